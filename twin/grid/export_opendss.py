"""One DT with its LV network as an OpenDSS script, for people who work with OpenDSS.

All four wires stand as they are: the neutral is a conductor of its own, earthed at the DT only. A service is the
impedance of its loop in the phase wire, a load hangs between it and the pole's neutral. The DT's no-load power, with
the meters' own use, is a constant impedance at the 11 kV side, where the twin has it. The network is synthetic: it
stands at no real place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twin.errors import InputError, Problem
from twin.grid.export import peak_kw, planning_tan_phi
from twin.grid.feeder import FeederStatic
from twin.grid.rules import KV_11, lv_spacing_m
from twin.grid.settings import synthesis
from twin.grid.tables import Conductor, conductors
from twin.powerflow.impedance import LV_BASE_OHM, primitive_matrix
from twin.units import LV_BASE_KVA, LV_BASE_V, LV_NOMINAL_PU

LV_KV = LV_BASE_V * np.sqrt(3.0) / 1000.0
LEAST_KW = 1e-9
"""A leg with less than this is left out: OpenDSS has no use for loads of nothing."""
FIRST_SERVICE_NODE = 5
"""Nodes 1 to 4 of a pole's bus are its phases and neutral."""


def export_tile(static: FeederStatic, k: int, design_kw: NDArray[np.float64], path: Path) -> None:
    """Write DT k of a feeder with its consumers' expected demand at the feeder's peak, as constant power.

    ``design_kw``: as for `build_state`, shape (n_kinds, 96).
    """
    zips = np.zeros((len(static.kind), 6))
    zips[:, 2], zips[:, 5] = 1.0, planning_tan_phi(static)
    path.write_text(tile_script(static, k, peak_kw(static, design_kw), zips), encoding="utf-8")


def tile_script(static: FeederStatic, k: int, kw: ArrayLike, zips: ArrayLike, v_dt_pu: float = 1.0) -> str:
    """DT k of a feeder with everything below it.

    Parameters
    ----------
    static : FeederStatic
        The feeder.
    k : int
        Which of its DTs.
    kw : array, shape (n_consumers,)
        Demand of the feeder's consumers at 230 V. [kW]
    zips : array, shape (n_consumers, 6)
        Voltage dependence of P and Q, as for `twin.powerflow.lv.solve_tile`.
    v_dt_pu : float
        Voltage at the DT's 11 kV side. [pu]

    Returns
    -------
    str
        Commands that build, solve and leave the circuit open for questions. Buses ``p<pole>``, lines ``s<pole>``
        (segment to the parent) and ``c<consumer id>_<phase>`` (service), loads ``c<consumer id>_<phase>``.

    Raises
    ------
    InputError
        If the feeder has no such DT, or the columns have another length than its consumers.
    """
    kw, zips = np.asarray(kw, float), np.asarray(zips, float)
    problems = []
    if not 0 <= k < len(static.dt_id):
        problems.append(Problem("tile_script", "k", f"no DT {k}", f"give 0 to {len(static.dt_id) - 1}"))
    if kw.shape != (len(static.kind),) or zips.shape != (len(static.kind), 6):
        shapes = f"shapes {kw.shape} and {zips.shape}"
        problems.append(Problem("tile_script", "kw, zips", shapes, f"give {len(static.kind)} consumers, 6 shares each"))
    if problems:
        raise InputError(problems)
    return "\n".join([*_head(static, k, v_dt_pu), *_lines(static, k), *_loads(static, k, kw, zips), *_tail()]) + "\n"


def _head(static: FeederStatic, k: int, v_dt_pu: float) -> Iterator[str]:
    """Source and transformer: delta at 11 kV, star point earthed, 433 V at 1 pu, LV leading by 30 degrees."""
    kva, z = float(static.rating_kva[k]), static.lv.z_pu[static.lv.dt_pole_ptr[k], :2].astype(float)
    r_pct, x_pct = 100.0 * z * kva / (3.0 * LV_BASE_KVA)
    frequency = synthesis().lv.frequency_hz
    yield f"! DT {static.dt_id[k]}, {kva:g} kVA: a synthetic network, it stands at no real place"
    yield "clear"
    yield f"set defaultbasefrequency={frequency:g}"
    yield (
        f"new circuit.dt{static.dt_id[k]} bus1=hv basekv={KV_11:g} pu={v_dt_pu:.12g} r1=0 x1=1e-6 r0=0 x0=1e-6 "
        f"basefreq={frequency:g}"
    )
    yield (
        f"new transformer.dt phases=3 windings=2 buses=(hv p0.1.2.3.0) conns=(delta wye) leadlag=lead "
        f"kvs=({KV_11:g} {LV_KV:.12g}) kvas=({kva:g} {kva:g}) xhl={x_pct:.12g} %loadloss={r_pct:.12g} %noloadloss=0 "
        "%imag=0 ppm_antifloat=0"
    )
    yield (
        f"new load.noload phases=3 conn=delta bus1=hv kv={KV_11:g} model=2 kw={static.lv.iron_kw[k]:.12g} "
        f"kvar={static.lv.magnetising_kvar[k]:.12g} vminpu=0.1 vmaxpu=2"
    )


def _lines(static: FeederStatic, k: int) -> Iterator[str]:
    """The DT's conductor as a four-wire line code, and a line for every segment."""
    row = conductors()[static.lv_conductor[k]]
    z = _four_wires(row)
    yield (
        f"new linecode.main nphases=4 rmatrix={_lower(z.real)} xmatrix={_lower(z.imag)} "
        f"cmatrix={_lower(np.zeros((4, 4)))} units=km ! {row.name}"
    )
    first = static.lv.dt_pole_ptr[k]
    for i in range(1, static.lv.dt_pole_ptr[k + 1] - first):
        up, km = static.lv.parent[first + i], static.span_m[first + i] / 1000.0
        yield (
            f"new line.s{i} phases=4 bus1=p{up}.1.2.3.{_neutral(up)} bus2=p{i}.1.2.3.4 linecode=main "
            f"length={km:.12g} units=km"
        )


def _four_wires(row: Conductor) -> NDArray[np.complex128]:
    rule = synthesis().lv
    return primitive_matrix(
        row.r_working_ohm_km,
        row.x_ohm_km,
        r_neutral_ohm_km=rule.neutral_ratio * row.r_working_ohm_km,
        x_neutral_ohm_km=row.x_ohm_km,
        spacing_m=lv_spacing_m(row),
        x_spacing_m=rule.bare_reference_m,
        frequency_hz=rule.frequency_hz,
    )


def _lower(matrix: NDArray[np.float64]) -> str:
    """Lower triangle, as OpenDSS reads symmetric matrices."""
    return "(" + " | ".join(" ".join(f"{e:.12g}" for e in row[: i + 1]) for i, row in enumerate(matrix)) + ")"


def _neutral(pole: int) -> int:
    """Node of a pole's neutral: earth at the busbar."""
    return 0 if pole == 0 else 4


def _loads(static: FeederStatic, k: int, kw: NDArray[np.float64], zips: NDArray[np.float64]) -> Iterator[str]:
    """Service and load of every leg, ZIP shares at 230 V (model 8)."""
    lv, kv = static.lv, LV_NOMINAL_PU * LV_BASE_V / 1000.0
    first = lv.dt_pole_ptr[k]
    for pole in range(lv.dt_pole_ptr[k + 1] - first):
        node = FIRST_SERVICE_NODE
        for phase in range(3):
            group = 3 * (first + pole) + phase
            for leg in range(lv.group_ptr[group], lv.group_ptr[group + 1]):
                consumer = lv.leg_consumer[leg]
                power, law = kw[consumer] * float(lv.leg_share[leg]), zips[consumer]
                if abs(power) < LEAST_KW:
                    continue
                name, tangent = f"c{static.consumer_id[consumer]}_{'abc'[phase]}", law[3:].sum()
                q_law = law[3:] / tangent if tangent != 0 else np.array([0.0, 0.0, 1.0])
                r, x = lv.service_pu[leg].astype(float) * LV_BASE_OHM
                yield (
                    f"new line.{name} phases=1 bus1=p{pole}.{phase + 1} bus2=p{pole}.{node} r1={r:.12g} x1={x:.12g} "
                    f"r0={r:.12g} x0={x:.12g} c1=0 c0=0 length=1 units=none"
                )
                yield (
                    f"new load.{name} phases=1 conn=wye bus1=p{pole}.{node}.{_neutral(pole)} kv={kv:.12g} "
                    f"kw={power:.12g} kvar={power * tangent:.12g} model=8 "
                    f"zipv=({' '.join(f'{part:.9g}' for part in (*law[:3], *q_law))} 0) vminpu=0.1 vmaxpu=2"
                )
                node += 1


def _tail() -> Iterator[str]:
    yield f"set voltagebases=({KV_11:g} {LV_KV:.12g})"
    yield "calcvoltagebases"
    yield "set maxiterations=200"
    yield "set tolerance=1e-10"
    yield "set controlmode=off"
    yield "solve"
