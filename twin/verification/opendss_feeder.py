"""One 11 kV feeder of the twin in OpenDSS, all three phases from the PSS to every consumer.

LV lines stand with the neutral eliminated, as in the twin: OpenDSS's ground is the local neutral there, which is exact
for voltages from phase to neutral. 11 kV lines are transposed, or flat without transposition; DTs are Dyn11 with their
no-load power as a constant impedance at the 11 kV side, where the twin has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.errors import NetworkError, Problem
from twin.grid.feeder import FeederStatic
from twin.grid.rules import KV_11
from twin.grid.tables import conductors
from twin.powerflow.impedance import LV_BASE_OHM, VACUUM_OHM_PER_KM_HZ
from twin.units import KW_PER_MW, LV_BASE_KVA, LV_BASE_V, LV_NOMINAL_PU

FREQUENCY_HZ = 50.0
LV_KV = LV_BASE_V * np.sqrt(3.0) / 1000.0
OPTIONS = ("set maxiterations=300", "set tolerance=1e-10", "set controlmode=off", "set mode=snap")
LEAST_KW = 1e-9
FLAT_MEAN = 2.0 ** (1 / 3)
"""Geometric mean of the distances 1, 1, 2 of three conductors side by side."""


@dataclass(frozen=True)
class ThreePhaseResult:
    """What OpenDSS finds; magnitudes in pu of 11 kV and of 250 V."""

    v_line_pu: NDArray[np.float64]
    """Voltages between phases at the DTs' 11 kV nodes: ab, bc, ca. [n_dt, 3]"""
    v_positive_pu: NDArray[np.float64]
    """Positive-sequence voltage there. [n_dt]"""
    v_negative_pu: NDArray[np.float64]
    """Negative-sequence voltage there. [n_dt]"""
    v_lowest_pu: NDArray[np.float64]
    """Lowest voltage at a consumer of each DT. [n_dt]"""
    loss_kw: dict[str, float]
    """``11 kV``, ``DT`` (with iron), ``LV`` (with services)."""
    sent_kw: float
    sent_kvar: float


def commands(
    static: FeederStatic, kw: NDArray[np.float32], zips: NDArray[np.float32], v_head_pu: float, *, flat: bool
) -> Iterator[str]:
    """The feeder as OpenDSS commands.

    ``kw`` (n_consumers,) at 230 V, ``zips`` (n_consumers, 6) as for `twin.powerflow.lv.solve_tile`. ``flat``: the three
    11 kV conductors side by side and never transposed, the most unequal usual arrangement; else transposed.
    """
    yield "clear"
    yield f"set defaultbasefrequency={FREQUENCY_HZ:g}"
    yield (
        f"new circuit.feeder bus1=n0 basekv={KV_11:g} pu={v_head_pu:.12g} r1=0 x1=1e-6 r0=0 x0=1e-6 "
        f"basefreq={FREQUENCY_HZ:g}"
    )
    yield from _line_11kv(static, flat=flat)
    yield from _dts(static)
    yield from _lv_lines(static)
    yield from _consumers(static, kw.astype(np.float64), zips.astype(np.float64))


def _line_11kv(static: FeederStatic, *, flat: bool) -> Iterator[str]:
    """Sections as matrices; no current returns through earth, so that only differences of mutual terms matter."""
    table, farad = conductors(), 1e3 / (2 * np.pi * FREQUENCY_HZ)
    near = VACUUM_OHM_PER_KM_HZ * FREQUENCY_HZ * np.log(FLAT_MEAN) if flat else 0.0
    far = VACUUM_OHM_PER_KM_HZ * FREQUENCY_HZ * np.log(FLAT_MEAN / 2) if flat else 0.0
    for i in range(1, len(static.line_km)):
        row = table[static.conductor[i]]
        r, x, c_nf = row.r_working_ohm_km, row.x_ohm_km, (row.b_us_km or 0.0) * farad
        yield (
            f"new line.m{i} phases=3 bus1=n{static.tree.parent[i]} bus2=n{i} rmatrix={_lower(r, 0, 0)} "
            f"xmatrix={_lower(x, near, far)} cmatrix={_lower(c_nf, 0, 0)} length={static.line_km[i]:.12g} units=km"
        )


def _lower(own: float, near: float, far: float) -> str:
    """Lower triangle of a line of three conductors: neighbours ``near``, the outer two ``far``."""
    return f"({own:.12g} | {near:.12g} {own:.12g} | {far:.12g} {near:.12g} {own:.12g})"


def _dts(static: FeederStatic) -> Iterator[str]:
    busbar = static.lv.dt_pole_ptr[:-1]
    for k, kva in enumerate(static.rating_kva):
        r_pct, x_pct = (100 * float(static.lv.z_pu[busbar[k], part]) * kva / (3 * LV_BASE_KVA) for part in (0, 1))
        yield (
            f"new transformer.t{k} phases=3 windings=2 buses=(n{static.node_of_dt[k]} p{k}_0.1.2.3.0) "
            f"conns=(delta wye) kvs=({KV_11:g} {LV_KV:.12g}) kvas=({kva:.12g} {kva:.12g}) xhl={x_pct:.12g} "
            f"%loadloss={r_pct:.12g} %noloadloss=0 %imag=0 ppm_antifloat=0"
        )
        yield (
            f"new load.i{k} phases=3 conn=delta bus1=n{static.node_of_dt[k]} kv={KV_11:g} model=2 "
            f"kw={static.lv.iron_kw[k]:.12g} kvar={static.lv.magnetising_kvar[k]:.12g} vminpu=0.1 vmaxpu=2"
        )


def _lv_lines(static: FeederStatic) -> Iterator[str]:
    for k in range(len(static.dt_id)):
        first = static.lv.dt_pole_ptr[k]
        for i in range(1, static.lv.dt_pole_ptr[k + 1] - first):
            z = static.lv.z_pu[first + i].astype(np.float64) * LV_BASE_OHM
            r, x = (
                f"({e[0]:.12g} | {e[1]:.12g} {e[3]:.12g} | {e[2]:.12g} {e[4]:.12g} {e[5]:.12g})"
                for e in (z[0::2], z[1::2])
            )
            yield (
                f"new line.s{k}_{i} phases=3 bus1=p{k}_{static.lv.parent[first + i]} bus2=p{k}_{i} rmatrix={r} "
                f"xmatrix={x} cmatrix=(0 | 0 0 | 0 0 0) length=1 units=none"
            )


def _legs(static: FeederStatic, kw: NDArray[np.float64]) -> Iterator[tuple[int, str, str, float]]:
    """Every leg with its pole's node, its load's node and its power; they are one where the service is nothing. [kW]"""
    lv = static.lv
    group = np.repeat(np.arange(len(lv.group_ptr) - 1), np.diff(lv.group_ptr))
    dt = np.searchsorted(lv.dt_leg_ptr, np.arange(len(group)), side="right") - 1
    for leg, consumer in enumerate(lv.leg_consumer):
        pole, phase = group[leg] // 3 - lv.dt_pole_ptr[dt[leg]], group[leg] % 3 + 1
        power = kw[consumer] * float(lv.leg_share[leg])
        at = f"p{dt[leg]}_{pole}.{phase}"
        through = abs(power) >= LEAST_KW and lv.service_pu[leg].any()
        yield leg, at, f"c{leg}.1" if through else at, power


def _consumers(static: FeederStatic, kw: NDArray[np.float64], zips: NDArray[np.float64]) -> Iterator[str]:
    """A service and a load for every leg; a leg without power is left out."""
    kv = LV_NOMINAL_PU * LV_BASE_V / 1000.0
    for leg, pole, node, power in _legs(static, kw):
        if abs(power) < LEAST_KW:
            continue
        law = zips[static.lv.leg_consumer[leg]]
        tangent = law[3:].sum()
        q_law = law[3:] / tangent if tangent != 0 else np.array([0.0, 0.0, 1.0])
        if node != pole:
            r, x = static.lv.service_pu[leg].astype(np.float64) * LV_BASE_OHM
            yield (
                f"new line.v{leg} phases=1 bus1={pole} bus2={node} r1={r:.12g} x1={x:.12g} r0={r:.12g} x0={x:.12g} "
                "c1=0 c0=0 length=1 units=none"
            )
        yield (
            f"new load.l{leg} phases=1 conn=wye bus1={node} kv={kv:.12g} kw={power:.12g} kvar={power * tangent:.12g} "
            f"model=8 zipv=({' '.join(f'{part:.9g}' for part in (*law[:3], *q_law))} 0) vminpu=0.1 vmaxpu=2"
        )


def solve(
    static: FeederStatic, kw: NDArray[np.float32], zips: NDArray[np.float32], v_head_pu: float, *, flat: bool
) -> ThreePhaseResult:
    """Solve the feeder in OpenDSS at a balanced head voltage; arguments as for `commands`.

    Raises
    ------
    NetworkError
        If OpenDSS finds no solution.
    """
    import opendssdirect as dss

    for command in commands(static, kw, zips, v_head_pu, flat=flat):
        dss.Text.Command(command)
    for command in OPTIONS:
        dss.Text.Command(command)
    dss.Text.Command("solve")
    if not dss.Solution.Converged():
        raise NetworkError([Problem("OpenDSS", "", "no solution of the feeder", "look at its voltages")])
    return _results(dss, static, kw)


def _results(dss: Any, static: FeederStatic, kw: NDArray[np.float32]) -> ThreePhaseResult:
    volts = np.asarray(dss.Circuit.AllBusVolts()).view(np.complex128)
    at = dict(zip((name.lower() for name in dss.Circuit.AllNodeNames()), volts, strict=True))
    phases = np.array([[at[f"n{node}.{p}"] for p in (1, 2, 3)] for node in static.node_of_dt])
    base = KV_11 * 1000.0 / np.sqrt(3.0)
    turn = np.exp(2j * np.pi / 3)
    legs = np.array([abs(at[node]) for _, _, node, _ in _legs(static, kw.astype(np.float64))]) / LV_BASE_V
    sent = -np.asarray(dss.Circuit.TotalPower())
    return ThreePhaseResult(
        v_line_pu=np.abs(phases - np.roll(phases, -1, axis=1)) / (KV_11 * 1000.0),
        v_positive_pu=np.abs(phases @ np.array([1, turn, turn**2])) / 3 / base,
        v_negative_pu=np.abs(phases @ np.array([1, turn**2, turn])) / 3 / base,
        v_lowest_pu=np.minimum.reduceat(legs, static.lv.dt_leg_ptr[:-1]),
        loss_kw=_losses(dss),
        sent_kw=float(sent[0]),
        sent_kvar=float(sent[1]),
    )


def _losses(dss: Any) -> dict[str, float]:
    """Losses by level from the elements; the DTs' iron is a load by its first letter."""
    names = [name.lower() for name in dss.Circuit.AllElementNames()]
    watts = np.asarray(dss.Circuit.AllElementLosses()).view(np.complex128).real * KW_PER_MW
    level = {"line.m": "11 kV", "transformer.t": "DT", "line.s": "LV", "line.v": "LV"}
    out = dict.fromkeys(("11 kV", "DT", "LV"), 0.0)
    for name, loss in zip(names, watts, strict=True):
        kind, _, rest = name.partition(".")
        key = level.get(f"{kind}.{rest[:1]}")
        if key is not None:
            out[key] += loss / KW_PER_MW
    for name in names:
        if name.startswith("load.i"):
            dss.Circuit.SetActiveElement(name)
            out["DT"] += float(sum(dss.CktElement.Powers()[0::2]))
    return out
