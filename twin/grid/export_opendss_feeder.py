"""A whole 11 kV feeder in OpenDSS, all three phases from the PSS to every consumer: for people who work with OpenDSS.

LV lines stand with the neutral eliminated, as in the twin: OpenDSS's ground is the local neutral there, which is exact
for voltages from phase to neutral. (`export_opendss` writes one DT with the neutral as a wire.) 11 kV lines are
transposed, or flat without transposition; DTs are Dyn11 with their no-load power as a constant impedance at the 11 kV
side, where the twin has it. The network is synthetic: it stands at no real place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twin.grid.export import peak_kw, planning_tan_phi
from twin.grid.feeder import FeederStatic
from twin.grid.rules import KV_11
from twin.grid.settings import synthesis
from twin.grid.tables import conductors
from twin.powerflow.impedance import LV_BASE_OHM, VACUUM_OHM_PER_KM_HZ
from twin.units import LV_BASE_KVA, LV_BASE_V, LV_NOMINAL_PU

LV_KV = LV_BASE_V * np.sqrt(3.0) / 1000.0
OPTIONS = ("set maxiterations=300", "set tolerance=1e-10", "set controlmode=off", "set mode=snap")
LEAST_KW = 1e-9
"""A leg with less than this is left out: OpenDSS has no use for loads of nothing."""
FLAT_MEAN = 2.0 ** (1 / 3)
"""Geometric mean of the distances 1, 1, 2 of three conductors side by side."""


def export_feeder_script(static: FeederStatic, design_kw: NDArray[np.float64], name: str, path: Path) -> None:
    """Write a feeder with its consumers' expected demand at the feeder's peak, as constant power; it solves itself.

    ``design_kw``: as for `build_state`, shape (n_kinds, 96). ``name`` is written into the file. Buses ``n<node>`` at
    11 kV, ``p<dt>_<pole>`` at LV, ``c<leg>`` behind a service; DTs ``t<dt>``.
    """
    zips = np.zeros((len(static.kind), 6))
    zips[:, 2], zips[:, 5] = 1.0, planning_tan_phi(static)
    lines = [
        f"! 11 kV feeder {name}: a synthetic network, it stands at no real place",
        *commands(static, peak_kw(static, design_kw), zips, 1.0, flat=False),
        f"set voltagebases=({KV_11:g} {LV_KV:.12g})",
        "calcvoltagebases",
        *OPTIONS,
        "solve",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def commands(
    static: FeederStatic, kw: NDArray[np.floating], zips: NDArray[np.floating], v_head_pu: float, *, flat: bool
) -> Iterator[str]:
    """The feeder as OpenDSS commands.

    ``kw`` (n_consumers,) at 230 V, ``zips`` (n_consumers, 6) as for `twin.powerflow.lv.solve_tile`. ``flat``: the three
    11 kV conductors side by side and never transposed, the most unequal usual arrangement; else transposed.
    """
    frequency = synthesis().lv.frequency_hz
    yield "clear"
    yield f"set defaultbasefrequency={frequency:g}"
    yield (
        f"new circuit.feeder bus1=n0 basekv={KV_11:g} pu={v_head_pu:.12g} r1=0 x1=1e-6 r0=0 x0=1e-6 "
        f"basefreq={frequency:g}"
    )
    yield from _line_11kv(static, flat=flat)
    yield from _dts(static)
    yield from _lv_lines(static)
    yield from _consumers(static, kw.astype(np.float64), zips.astype(np.float64))


def _line_11kv(static: FeederStatic, *, flat: bool) -> Iterator[str]:
    """Sections as matrices; no current returns through earth, so that only differences of mutual terms matter."""
    table, frequency = conductors(), synthesis().lv.frequency_hz
    farad = 1e3 / (2 * np.pi * frequency)
    near = VACUUM_OHM_PER_KM_HZ * frequency * np.log(FLAT_MEAN) if flat else 0.0
    far = VACUUM_OHM_PER_KM_HZ * frequency * np.log(FLAT_MEAN / 2) if flat else 0.0
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


def legs(static: FeederStatic, kw: NDArray[np.float64]) -> Iterator[tuple[int, str, str, float]]:
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
    for leg, pole, node, power in legs(static, kw):
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
