"""The four-wire LV solver beside other engines on the reference tile: nanoseconds per consumer-step, one thread each.

    python -m benchmarks.lv_peers [--rounds 7]

The reference tile: 85 consumers (5 % three-phase), 22 poles on three branches of AB cable 3x50, spans of 40 m,
services of 10 to 35 m, a DT of 200 kVA; ZIP loads of 0.35 / 0.25 / 0.40; a day of 96 steps. Ours hands up everything it
does in a run (sums, elasticities, registers by zone, status); the others are asked for voltages only. All solve to 1e-5
pu: ours in every voltage, the others in the last change. Rounds alternate; medians, and the largest difference of a
consumer's voltage in the last step.

power-grid-model: asymmetric batch with three loads (Z, I, P) on a consumer, services as lines, sequence impedances that
say the same as the four wires. OpenDSS: four wires, model 8 loads, its own time series mode, no monitors.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
import opendssdirect as dss
from numpy.typing import NDArray
from power_grid_model import (
    CalculationMethod,
    ComponentType,
    DatasetType,
    LoadGenType,
    PowerGridModel,
    WindingType,
    initialize_array,
)

from tests.powerflow_cases import LvCase, leg_voltages, lv_case
from tests.reference.test_lv_opendss import matrix
from twin.powerflow import lv
from twin.units import LV_BASE_V, LV_NOMINAL_PU

LOADS_KW = {"light": 47.0, "peak": 140.0, "overloaded": 228.0}
"""Mean demand at 230 V; the lowest voltage is then about 0.95, 0.85 and 0.75 pu."""
CONSUMERS, POLES, STEPS, RATING_KVA, HV_KV = 85, 22, 96, 200.0, 11.0
TOLERANCE, AGREEMENT_PU = 1e-5, 3e-5
LV_KV, NOMINAL_KV = LV_BASE_V * np.sqrt(3) / 1000, LV_NOMINAL_PU * LV_BASE_V / 1000
TYPES = LoadGenType.const_impedance, LoadGenType.const_current, LoadGenType.const_power
NO_CLAMP_PU = 0.1
LEAST_S = 0.2

Run = Callable[[], NDArray[np.float64]]
"""Solves a day; returns the voltage of every leg in the last step, in the order of the tile. [pu of 250 V]"""


def phases_of(case: LvCase) -> NDArray[np.int64]:
    """Phase of every leg. [n_legs]"""
    group = np.searchsorted(case.lv.group_ptr, np.arange(len(case.lv.leg_consumer)), side="right") - 1
    return group % 3


@nb.njit(error_model="numpy")
def solve_often(tiles, kw, zips, v, zones, options, scratch, out, kwh, repeats):
    for _ in range(repeats):
        lv.solve_tile(tiles, 0, kw, zips, v, zones, 0.25, options, scratch, out, kwh)


REPEATS = 16
"""Days in one call of ours: it would else be timed with Python's own call of some microseconds."""


def ours(case: LvCase, out: lv.TileOut) -> Run:
    scratch, options = lv.lv_scratch(case.lv), lv.lv_options(tolerance=TOLERANCE, clamp_pu=NO_CLAMP_PU)
    zones, kwh = (np.arange(STEPS) // 24).astype(np.uint8), np.zeros((len(case.kw), 4))
    v = np.ones(STEPS)

    def run() -> NDArray[np.float64]:
        solve_often(case.lv, case.kw, case.zips, v, zones, options, scratch, out, kwh, REPEATS)
        assert (out.status == lv.OK).all()
        return np.abs(leg_voltages(case, scratch))[:, (STEPS - 1) % lv.LANES]

    return run


def power_grid_model(case: LvCase) -> PowerGridModel:
    """Nodes: 0 at 11 kV, then poles, then consumers. Components are numbered on from there."""
    poles, consumers = len(case.length_km), len(case.pole)
    n = 1 + poles + consumers
    node = initialize_array(DatasetType.input, ComponentType.node, n)
    node["id"], node["u_rated"] = np.arange(n), np.sqrt(3) * NOMINAL_KV * 1e3
    node["u_rated"][0] = HV_KV * 1e3
    line = initialize_array(DatasetType.input, ComponentType.line, poles - 1 + consumers)
    line["id"] = n + np.arange(len(line))
    line["from_node"] = 1 + np.concatenate([case.lv.parent[1:], case.pole])
    line["to_node"] = 1 + np.concatenate([np.arange(1, poles), poles + np.arange(consumers)])
    z1 = np.concatenate([case.z_ohm_km * case.length_km[1:], case.service_ohm])
    z0 = np.concatenate([(case.z_ohm_km + 3 * case.zn_ohm_km) * case.length_km[1:], case.service_ohm])
    line["r1"], line["x1"], line["r0"], line["x0"] = z1.real, z1.imag, z0.real, z0.imag
    for name in ("c1", "tan1", "c0", "tan0"):
        line[name] = 0.0
    line["from_status"] = line["to_status"] = 1
    load = initialize_array(DatasetType.input, ComponentType.asym_load, 3 * consumers)
    load["id"], load["node"] = load_ids(case), np.repeat(1 + poles + np.arange(consumers), 3)
    load["type"], load["status"] = np.tile(TYPES, consumers), 1
    load["p_specified"] = load["q_specified"] = 0.0
    source = initialize_array(DatasetType.input, ComponentType.source, 1)
    source["id"], source["node"], source["status"], source["u_ref"], source["sk"] = 10 * n, 0, 1, 1.0, 1e20
    parts = {
        ComponentType.node: node, ComponentType.line: line, ComponentType.asym_load: load,
        ComponentType.source: source, ComponentType.transformer: _transformer(case, 10 * n + 1),
    }  # fmt: skip
    return PowerGridModel(parts, system_frequency=50.0)


def _transformer(case: LvCase, number: int) -> Any:
    dt = initialize_array(DatasetType.input, ComponentType.transformer, 1)
    per_unit = case.dt_ohm * RATING_KVA * 1e3 / (LV_KV * 1e3) ** 2
    settings = dict(
        id=number, from_node=0, to_node=1, from_status=1, to_status=1, u1=HV_KV * 1e3, u2=LV_KV * 1e3,
        sn=RATING_KVA * 1e3, uk=abs(per_unit), pk=per_unit.real * RATING_KVA * 1e3, i0=0.0, p0=0.0,
        winding_from=WindingType.delta, winding_to=WindingType.wye_n, clock=11, tap_side=0, tap_pos=0, tap_min=0,
        tap_max=0, tap_size=0.0,
    )  # fmt: skip
    for name, value in settings.items():
        dt[name] = value
    return dt


def load_ids(case: LvCase) -> NDArray[np.int64]:
    return 100_000 + np.arange(3 * len(case.pole))


def pgm(case: LvCase, method: CalculationMethod) -> Run:
    model, poles, consumers = power_grid_model(case), len(case.length_km), len(case.pole)
    update = initialize_array(DatasetType.update, ComponentType.asym_load, (STEPS, 3 * consumers))
    on = np.where(case.phase[:, None] < 0, 1 / 3, case.phase[:, None] == np.arange(3))
    watt = 1e3 * case.kw[:, :STEPS].T.astype(float)
    update["id"] = load_ids(case)
    for name, shares in (("p_specified", case.zips[:, :3]), ("q_specified", case.zips[:, 3:])):
        power = watt[:, :, None, None] * shares.astype(float)[:, :, None] * on[:, None, :]
        update[name] = power.reshape(STEPS, 3 * consumers, 3)
    phase = phases_of(case)

    def run() -> NDArray[np.float64]:
        out = model.calculate_power_flow(
            symmetric=False, update_data={ComponentType.asym_load: update}, calculation_method=method,
            error_tolerance=TOLERANCE, max_iterations=100, threading=-1,
            output_component_types={ComponentType.node: ["u_pu"]},
        )  # fmt: skip
        u = out[ComponentType.node]["u_pu"][-1, 1 + poles :]
        return np.asarray(LV_NOMINAL_PU * u[case.lv.leg_consumer, phase])

    return run


def opendss(case: LvCase) -> Run:
    run_text = dss.Text.Command
    r_pct, x_pct = (100 * part * RATING_KVA / 3 * 1000 / LV_BASE_V**2 for part in (case.dt_ohm.real, case.dt_ohm.imag))
    run_text("clear")
    run_text("set defaultbasefrequency=50")
    run_text(f"new circuit.c bus1=hv basekv={HV_KV} pu=1 r1=0 x1=1e-6 r0=0 x0=1e-6 basefreq=50")
    run_text(
        f"new transformer.dt phases=3 windings=2 buses=(hv lv.1.2.3.0) conns=(delta wye) kvs=({HV_KV} {LV_KV:.12g}) "
        f"kvas=({RATING_KVA} {RATING_KVA}) xhl={x_pct:.12g} %loadloss={r_pct:.12g} %noloadloss=0 %imag=0 "
        "ppm_antifloat=0"
    )
    run_text(f"new linecode.cable nphases=4 {matrix([case.z_ohm_km] * 3 + [case.zn_ohm_km], 0.0)}")
    for i in range(1, len(case.length_km)):
        up = case.lv.parent[i]
        start = "lv.1.2.3.0" if up == 0 else f"p{up}.1.2.3.4"
        km = case.length_km[i]
        run_text(f"new line.s{i} phases=4 bus1={start} bus2=p{i}.1.2.3.4 linecode=cable length={km} units=km")
    for leg in range(len(case.lv.leg_consumer)):
        _opendss_leg(case, leg)
    run_text(f"set tolerance={TOLERANCE:g} maxiterations=100 controlmode=off")

    def run() -> NDArray[np.float64]:
        run_text(f"set mode=daily stepsize=15m hour=0 sec=0 number={STEPS}")
        dss.Solution.Solve()
        assert dss.Solution.Converged()
        return np.array([_across(leg) for leg in range(len(case.lv.leg_consumer))])

    return run


def _opendss_leg(case: LvCase, leg: int) -> None:
    consumer, phase = case.lv.leg_consumer[leg], phases_of(case)[leg]
    pole, z, law = case.pole[consumer], case.service_ohm[consumer], case.zips[consumer].astype(float)
    kw, tangent = case.kw[consumer, :STEPS] * float(case.lv.leg_share[leg]), law[3:].sum()
    zip_v = " ".join(f"{share:.9g}" for share in (*law[:3], *(law[3:] / tangent)))
    dss.Text.Command(f"new loadshape.l{leg} npts={STEPS} minterval=15 useactual=yes")
    dss.LoadShape.Name(f"l{leg}")
    dss.LoadShape.PMult(kw.astype(float).tolist())
    dss.LoadShape.QMult((tangent * kw).astype(float).tolist())
    dss.Text.Command(
        f"new line.v{leg} phases=1 bus1=p{pole}.{phase + 1} bus2=p{pole}.{5 + leg} r1={z.real:.12g} x1={z.imag:.12g} "
        f"r0={z.real:.12g} x0={z.imag:.12g} c1=0 c0=0 length=1"
    )
    dss.Text.Command(
        f"new load.l{leg} phases=1 conn=wye bus1=p{pole}.{5 + leg}.4 kv={NOMINAL_KV:.12g} kw=1 kvar=1 model=8 "
        f"zipv=({zip_v} 0) vminpu=0.1 vmaxpu=2 status=variable daily=l{leg}"
    )


def _across(leg: int) -> float:
    dss.Circuit.SetActiveElement(f"load.l{leg}")
    v = np.asarray(dss.CktElement.Voltages()).view(np.complex128)
    return float(abs(v[0] - v[1])) / LV_BASE_V


def medians_ns(engines: dict[str, Run], rounds: int) -> dict[str, tuple[float, NDArray[np.float64]]]:
    """Median time per consumer-step, and the answer, of each engine; rounds alternate."""
    spent: dict[str, list[float]] = {name: [] for name in engines}
    answers, repeats = {}, {}
    for name, run in engines.items():
        run()
        begun = time.perf_counter()
        answers[name] = run()
        repeats[name] = 1 + int(LEAST_S / (time.perf_counter() - begun))
    for _ in range(rounds):
        for name, run in engines.items():
            begun = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            days = repeats[name] * (REPEATS if name == "twin" else 1)
            spent[name].append(1e9 * (time.perf_counter() - begun) / (days * CONSUMERS * STEPS))
    return {name: (float(np.median(times)), answers[name]) for name, times in spent.items()}


def compare(name: str, dt_kw: float, rounds: int) -> None:
    case = lv_case(
        np.random.default_rng(1), consumers=CONSUMERS, poles=POLES, dt_kw=dt_kw, steps=STEPS, three_phase_frac=0.05,
        rating_kva=RATING_KVA,
    )  # fmt: skip
    out = lv.tile_out(1, STEPS)
    engines = {"twin": ours(case, out), "OpenDSS": opendss(case)}
    for method in (CalculationMethod.newton_raphson, CalculationMethod.iterative_current):
        engines[f"power-grid-model {method.name}"] = pgm(case, method)
    found = medians_ns(engines, rounds)
    (ours_ns, answer), sweeps = found["twin"], out.passes.mean()
    print(f"{name}, {dt_kw:.0f} kW: lowest voltage {np.median(out.v_min_pu):.3f} pu (median of the steps)", flush=True)
    for engine, (ns, theirs) in found.items():
        difference = float(np.abs(theirs - answer).max())
        assert difference < AGREEMENT_PU, f"{engine} differs by {difference:.1e} pu"
        beside = f"{ns / ours_ns:.0f} times ours, within {difference:.0e} pu"
        print(
            f"  {engine:34s} {ns:8.1f} ns per consumer-step, {f'{sweeps:.1f} sweeps' if engine == 'twin' else beside}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for name, dt_kw in LOADS_KW.items():
        compare(name, dt_kw, rounds)


if __name__ == "__main__":
    main()
