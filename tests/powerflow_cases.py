"""Networks for the tests of the power-flow kernels, described in ohm so that other engines can be given the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.powerflow import lv
from twin.powerflow.impedance import LV_BASE_OHM, dt_impedance_pu, dt_row, segment_matrix, service_pu
from twin.powerflow.lanes import aligned, padded
from twin.powerflow.radial import RadialTree

ZIP = (0.35, 0.25, 0.40)
TAN_PHI = 0.4


@dataclass
class LvCase:
    """A feeder's tiles and what they were made of."""

    lv: lv.LvTiles
    kw: NDArray[np.float32]
    zips: NDArray[np.float32]
    pole: NDArray[np.int32]
    """Pole of each consumer, within its DT."""
    phase: NDArray[np.int32]
    """Phase of each consumer, -1 for three-phase ones."""
    dt_ohm: complex
    length_km: NDArray[np.float64]
    z_ohm_km: complex
    zn_ohm_km: complex
    service_ohm: NDArray[np.complex128]
    """Loop impedance of each consumer's service; one conductor of a three-phase one."""

    def solve(
        self, v_dt_pu: float | NDArray[np.float64] = 1.0, steps: int | None = None, tolerance: float = 5e-5
    ) -> tuple[lv.TileOut, NDArray[np.float64]]:
        """All DTs at one voltage (or [n_dt, steps]); results and the energy of each consumer in one zone."""
        steps = self.kw.shape[1] if steps is None else steps
        n_dt = len(self.lv.iron_kw)
        v = np.array(np.broadcast_to(v_dt_pu, (n_dt, steps)), float, order="C")
        out, kwh, scratch = lv.tile_out(n_dt, steps), np.zeros((len(self.kw), 1)), lv.lv_scratch(self.lv)
        zones, options = np.zeros(steps, np.uint8), lv.lv_options(tolerance=tolerance)
        for k in range(n_dt):
            lv.solve_tile(self.lv, k, self.kw, self.zips, v[k], zones, 1.0, options, scratch, out, kwh)
        return out, kwh

    def with_kw(self, kw: NDArray[np.float32]) -> LvCase:
        """The same network with another demand, padded as the kernel wants it."""
        whole = aligned((len(kw), padded(kw.shape[1], lv.LANES)), np.float32)
        whole[:, : kw.shape[1]] = kw
        return LvCase(**(vars(self) | {"kw": whole}))


def leg_voltages(case: LvCase, scratch: lv.LvScratch) -> NDArray[np.complex128]:
    """Voltages at the legs of a case with one DT, from what its last bundle left behind. [n_legs, LANES]"""
    n = len(case.lv.leg_consumer)
    current = scratch.current[: 2 * n * lv.LANES].reshape(n, 2, lv.LANES).astype(float)
    at = scratch.leg_slot[:n, None] + np.arange(lv.LANES)
    pole = scratch.voltage[at].astype(float) + 1j * scratch.voltage[at + lv.LANES]
    service = case.lv.service_pu.astype(float)
    return pole - (service[:, :1] + 1j * service[:, 1:]) * (current[:, 0] + 1j * current[:, 1])


def lv_case(
    rng: np.random.Generator,
    consumers: int = 30,
    poles: int = 13,
    branches: int = 3,
    dt_kw: float = 60.0,
    steps: int = 16,
    n_dt: int = 1,
    three_phase_frac: float = 0.15,
    zip_shares: tuple[float, float, float] = ZIP,
    balanced: bool = False,
    rating_kva: float = 100.0,
) -> LvCase:
    """DTs with ``branches`` lines of poles 40 m apart, AB cable 3x50, services of 10 to 35 m."""
    per_line = (poles - 1) // branches
    poles = 1 + branches * per_line
    parent = np.array([-1] + [0 if i % per_line == 0 else i for i in range(branches * per_line)], np.int32)
    z, zn = 0.75 + 0.09j, 0.9 + 0.1j
    length = np.full(poles, 0.04)
    segments = segment_matrix(z.real, z.imag, length, r_neutral_ohm_km=zn.real, x_neutral_ohm_km=zn.imag)
    r_dt, x_dt = dt_impedance_pu(rating_kva, 4.5, 0.0176 * rating_kva * 1000)
    segments[0] = dt_row(r_dt, x_dt)[0]

    columns = [_consumers(rng, consumers, poles, three_phase_frac, balanced) for _ in range(n_dt)]
    pole, phase = np.concatenate([c[0] for c in columns]), np.concatenate([c[1] for c in columns])
    service_ohm = (5.0 + 0.1j) * rng.uniform(0.01, 0.035, len(pole)) * np.where(phase < 0, 1, 2)
    legs: list[list[tuple[int, int, int]]] = []
    for k in range(n_dt):
        rows = range(k * len(columns[0][0]), (k + 1) * len(columns[0][0]))
        legs.append(sorted((3 * pole[c] + p, c, p) for c in rows for p in ((0, 1, 2) if phase[c] < 0 else (phase[c],))))
    flat = [(k * 3 * poles + group, c) for k in range(n_dt) for group, c, _ in legs[k]]
    leg_consumer = np.array([c for _, c in flat], np.int32)
    pointers = np.searchsorted([group for group, _ in flat], np.arange(3 * poles * n_dt + 1)).astype(np.int32)
    single = phase[leg_consumer] >= 0
    tiles = lv.LvTiles(
        dt_pole_ptr=np.arange(0, poles * n_dt + 1, poles, dtype=np.int32),
        dt_leg_ptr=np.cumsum([0] + [len(rows) for rows in legs]).astype(np.int32),
        dt_consumer_ptr=np.arange(0, len(pole) + 1, len(columns[0][0]), dtype=np.int32),
        parent=np.tile(parent, n_dt),
        z_pu=np.tile(segments, (n_dt, 1)),
        group_ptr=pointers,
        leg_consumer=leg_consumer,
        leg_share=np.where(single, 1, 1 / 3).astype(np.float32),
        service_pu=service_pu(
            service_ohm[leg_consumer].real, service_ohm[leg_consumer].imag, np.where(single, 500.0, 1000.0), ~single
        ),
        iron_kw=np.full(n_dt, 0.26),
        magnetising_kvar=np.full(n_dt, 1.5),
    )
    mean = dt_kw / len(columns[0][0])
    factor = np.ones((len(pole), steps)) if balanced else rng.uniform(0.2, 1.8, (len(pole), steps))
    zips = np.tile(np.array([*zip_shares, *(TAN_PHI * share for share in zip_shares)], np.float32), (len(pole), 1))
    case = LvCase(tiles, np.zeros((1, 1), np.float32), zips, pole, phase, 0j, length, z, zn, service_ohm)
    case.dt_ohm = complex(r_dt, x_dt) * LV_BASE_OHM
    return case.with_kw((mean * factor).astype(np.float32))


def _consumers(
    rng: np.random.Generator, n: int, poles: int, three_phase_frac: float, balanced: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pole and phase of the consumers of one DT, in (pole, phase) order."""
    pole, phase = rng.integers(1, poles, n), rng.integers(0, 3, n)
    phase[rng.random(n) < three_phase_frac] = -1
    if balanced:
        phase[:] = -1
    order = np.lexsort((phase, pole))
    return pole[order].astype(np.int32), phase[order].astype(np.int32)


def random_tree(rng: np.random.Generator, n: int, scale: float = 1.0) -> RadialTree:
    """A tree of ``n`` nodes of 11 kV size, mostly chains, with charging and a little iron at every node."""
    parent = np.array([0] + [max(0, i - 1 - min(int(rng.geometric(0.55)) - 1, i - 1)) for i in range(1, n)], np.int32)
    r, x = scale * rng.uniform(5e-4, 2e-3, n), scale * rng.uniform(4e-4, 1.5e-3, n)
    return RadialTree(parent, r, x, rng.uniform(-2e-3, 1e-3, n), rng.uniform(0, 5e-4, n))
