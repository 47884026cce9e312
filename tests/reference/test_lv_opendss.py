"""The low-voltage kernel against OpenDSS: Dyn11 transformer, four-wire cable, services, constant-power and ZIP loads.

Tolerances: trials of the method in float32 gave 2e-8 pu of voltages (formed in float64) and 5e-6 of losses; here a
stored float32 voltage and the residual test at 1e-6 of the load add some 1e-7.
"""

from __future__ import annotations

import numpy as np
import opendssdirect as dss
import pytest

from tests.powerflow_cases import LvCase, lv_case
from twin.powerflow import lv
from twin.units import LV_BASE_V, LV_NOMINAL_PU

V_DT = 1.02


def matrix(own: list[complex], mutual: complex) -> str:
    """Resistance and reactance per km, lower triangles."""
    rows = [[(own[i] if i == j else 0) + mutual for j in range(i + 1)] for i in range(len(own))]
    r = " | ".join(" ".join(f"{complex(e).real:.12g}" for e in row) for row in rows)
    x = " | ".join(" ".join(f"{complex(e).imag:.12g}" for e in row) for row in rows)
    zeros = " | ".join(" ".join("0" for _ in row) for row in rows)
    return f"rmatrix=({r}) xmatrix=({x}) cmatrix=({zeros}) units=km"


def build(case: LvCase, rating_kva: float) -> None:
    """Give OpenDSS the case, one step of it."""
    run = dss.Text.Command
    kv = LV_BASE_V * np.sqrt(3) / 1000
    r_pct, x_pct = (100 * part * rating_kva / 3 * 1000 / LV_BASE_V**2 for part in (case.dt_ohm.real, case.dt_ohm.imag))
    run("clear")
    run("set defaultbasefrequency=50")
    run(f"new circuit.c bus1=hv basekv=11 pu={V_DT} r1=0 x1=1e-5 r0=0 x0=1e-5 basefreq=50")
    run(
        f"new transformer.dt phases=3 windings=2 buses=(hv lv.1.2.3.0) conns=(delta wye) kvs=(11 {kv:.12g}) "
        f"kvas=({rating_kva} {rating_kva}) xhl={x_pct:.12g} %loadloss={r_pct:.12g} %noloadloss=0 %imag=0 "
        "ppm_antifloat=0"
    )
    run(f"new linecode.cable nphases=4 {matrix([case.z_ohm_km] * 3 + [case.zn_ohm_km], 0.05 + 0.31j)}")
    for i in range(1, len(case.length_km)):
        up = case.lv.parent[i]
        start = "lv.1.2.3.0" if up == 0 else f"p{up}.1.2.3.4"
        run(f"new line.s{i} phases=4 bus1={start} bus2=p{i}.1.2.3.4 linecode=cable length={case.length_km[i]} units=km")
    for c, (pole, phase) in enumerate(zip(case.pole, case.phase, strict=True)):
        zip_v = " ".join(f"{share:.9g}" for share in case.zips[c, :3])
        for p in (0, 1, 2) if phase < 0 else (int(phase),):
            share = 1 / 3 if phase < 0 else 1.0
            z, kw = case.service_ohm[c], float(case.kw[c, 0]) * share
            # The load stands at the pole, behind its service on a node of its own; its return is the pole's neutral.
            behind = 5 + 3 * c + p
            run(
                f"new line.v{c}_{p} phases=1 bus1=p{pole}.{p + 1} bus2=p{pole}.{behind} r1={z.real:.12g} "
                f"x1={z.imag:.12g} r0={z.real:.12g} x0={z.imag:.12g} c1=0 c0=0 length=1"
            )
            kv, kvar = LV_NOMINAL_PU * LV_BASE_V / 1000, kw * float(case.zips[c, 3:].sum())
            run(
                f"new load.l{c}_{p} phases=1 conn=wye bus1=p{pole}.{behind}.4 kv={kv:.12g} kw={kw:.12g} "
                f"kvar={kvar:.12g} model=8 zipv=({zip_v} {zip_v} 0) vminpu=0.1 vmaxpu=2"
            )
    run("set maxiterations=200")
    run("set tolerance=1e-10")
    run("set controlmode=off")
    run("solve")
    assert dss.Solution.Converged()


def load_voltage_pu(case: LvCase) -> float:
    """Lowest voltage across a load."""
    lowest = np.inf
    dss.Loads.First()
    while True:
        v = dss.CktElement.Voltages()
        lowest = min(lowest, abs(complex(v[0] - v[2], v[1] - v[3])) / LV_BASE_V)
        if not dss.Loads.Next():
            return lowest


def consumer_kw(case: LvCase) -> np.ndarray:
    """Power of every consumer, from its loads' terminals."""
    kw = np.zeros(len(case.pole))
    dss.Loads.First()
    while True:
        consumer = int(dss.Loads.Name()[1:].split("_")[0])
        kw[consumer] += sum(dss.CktElement.Powers()[0::2])
        if not dss.Loads.Next():
            return kw


CASES = {
    "P light": (15, (0.0, 0.0, 1.0), False),
    "P unbalanced": (45, (0.0, 0.0, 1.0), False),
    "ZIP unbalanced": (55, (0.35, 0.25, 0.40), False),
    "Z unbalanced": (55, (1.0, 0.0, 0.0), False),
    "P balanced": (90, (0.0, 0.0, 1.0), True),
    "ZIP balanced, heavy": (150, (0.35, 0.25, 0.40), True),
}


@pytest.mark.parametrize("name", CASES)
def test_against_opendss(name: str) -> None:
    dt_kw, shares, balanced = CASES[name]
    case = lv_case(np.random.default_rng(11), dt_kw=dt_kw, zip_shares=shares, balanced=balanced, rating_kva=100)
    out, kwh = case.solve(V_DT, steps=1, tolerance=1e-6)
    build(case, 100)
    assert out.status[0, 0] == lv.OK
    assert out.v_min_pu[0, 0] > 0.8 * LV_NOMINAL_PU, "OpenDSS has no clamp"
    assert out.v_min_pu[0, 0] == pytest.approx(load_voltage_pu(case), abs=6e-7)
    np.testing.assert_allclose(kwh[:, 0], consumer_kw(case), rtol=3e-6)
    total_loss = dss.Circuit.Losses()[0] / 1000
    copper = out.loss_lv_kw[0, 0] + out.loss_dt_kw[0, 0] - out.iron_kw[0, 0]
    assert copper == pytest.approx(total_loss, rel=1e-5)
    sent_kw, sent_kvar = (-power for power in dss.Circuit.TotalPower())
    assert out.sent_kw[0, 0] - out.iron_kw[0, 0] == pytest.approx(sent_kw, rel=2e-6)
    assert out.sent_kvar[0, 0] - out.magnetising_kvar[0, 0] == pytest.approx(sent_kvar, rel=5e-6)
