"""The low-voltage kernel against a dense four-wire Newton solution with an explicit neutral, written apart from it.

Tolerances: float32 against float64, trials of the method gave 3e-8 pu of voltages formed in float64 and 1e-5 of losses;
a stored float32 voltage adds 1e-7, the residual test at 1e-6 of the load as much again.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.powerflow_cases import LvCase, lv_case
from twin.powerflow import lv
from twin.powerflow.impedance import segment_matrix
from twin.units import LV_BASE_V, LV_NOMINAL_PU

TURN = np.exp(-2j * np.pi / 3 * np.arange(3))
COUPLING = 0.31j
"""Mutual reactance of all conductors, earth return included; any value, for currents sum to zero. [ohm/km]"""


def primitive(case: LvCase) -> NDArray[np.complex128]:
    """Four-wire impedance per km of the case's cable, all mutual terms alike."""
    own = [case.z_ohm_km] * 3 + [case.zn_ohm_km]
    return np.full((4, 4), COUPLING) + np.diag(own)


def legs_of(case: LvCase) -> list[tuple[int, int, int, float, complex]]:
    """(consumer, pole, phase, share, service) of every leg of a case with one DT."""
    legs = []
    for c, (pole, phase) in enumerate(zip(case.pole, case.phase, strict=True)):
        for p in (0, 1, 2) if phase < 0 else (phase,):
            legs.append((c, int(pole), int(p), 1 / 3 if phase < 0 else 1.0, complex(case.service_ohm[c])))
    return legs


def leg_impedance(case: LvCase, z4_ohm_km: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Voltage at leg i (against its pole's neutral) lost to a unit of current in leg j, from the nodal equations.

    Nodes: a, b, c, n of every pole; the DT's star point is node n of the busbar and is the reference.
    """
    n_poles = len(case.length_km)
    y = np.zeros((4 * n_poles, 4 * n_poles), complex)
    for phase in range(3):
        y[phase, phase] += 1 / case.dt_ohm
    for i in range(1, n_poles):
        branch = np.linalg.inv(z4_ohm_km * case.length_km[i])
        up, own = 4 * case.lv.parent[i] + np.arange(4), 4 * i + np.arange(4)
        y[np.ix_(up, up)] += branch
        y[np.ix_(own, own)] += branch
        y[np.ix_(up, own)] -= branch
        y[np.ix_(own, up)] -= branch
    keep = np.delete(np.arange(4 * n_poles), 3)
    z = np.zeros_like(y)
    z[np.ix_(keep, keep)] = np.linalg.inv(y[np.ix_(keep, keep)])
    legs = legs_of(case)
    incidence = np.zeros((len(legs), 4 * n_poles))
    for row, (_, pole, phase, _, _) in enumerate(legs):
        incidence[row, 4 * pole + phase], incidence[row, 4 * pole + 3] = 1, -1
    return incidence @ z @ incidence.T + np.diag([service for *_, service in legs])


def newton(case: LvCase, z4_ohm_km: NDArray[np.complex128], v_dt: float, step: int) -> dict[str, float]:
    """Solve leg voltages by Newton with a numerical Jacobian of the load law; volts and watts."""
    legs, nominal = legs_of(case), LV_NOMINAL_PU * LV_BASE_V
    z = leg_impedance(case, z4_ohm_km)
    source = np.array([LV_BASE_V * v_dt * TURN[phase] for _, _, phase, _, _ in legs])
    watt = np.array([1000.0 * share * case.kw[c, step] for c, _, _, share, _ in legs])
    shares = case.zips[[c for c, *_ in legs]].astype(float)

    def current(u: NDArray[np.complex128]) -> NDArray[np.complex128]:
        m = np.abs(u) / nominal
        p = watt * (shares[:, 0] * m**2 + shares[:, 1] * m + shares[:, 2])
        q = watt * (shares[:, 3] * m**2 + shares[:, 4] * m + shares[:, 5])
        return np.conj((p + 1j * q) / u)

    u, n = source.copy(), len(legs)
    for _ in range(30):
        mismatch = u + z @ current(u) - source
        if np.abs(mismatch).max() < 1e-10:
            break
        jacobian = np.zeros((2 * n, 2 * n))
        for part, move in ((0, 1e-4), (n, 1e-4j)):
            slope = (current(u + move) - current(u - move)) / (2 * abs(move))
            column = z * slope + np.eye(n) * (1 if part == 0 else 1j)
            jacobian[:n, part : part + n], jacobian[n:, part : part + n] = column.real, column.imag
        change = np.linalg.solve(jacobian, np.concatenate([mismatch.real, mismatch.imag]))
        u = u - (change[:n] + 1j * change[n:])
    else:
        pytest.fail("the reference did not converge")
    i = current(u)
    used, sent = u * np.conj(i), source * np.conj(i)
    busbar = np.array([i[[phase == p for _, _, phase, _, _ in legs]].sum() for p in range(3)])
    dt_loss = case.dt_ohm.real * np.sum(np.abs(busbar) ** 2)
    by_consumer = np.zeros(len(case.pole))
    np.add.at(by_consumer, [c for c, *_ in legs], used.real / 1000)
    return {
        "used": used.real.sum() / 1000,
        "used_q": used.imag.sum() / 1000,
        "sent": sent.real.sum() / 1000,
        "sent_q": sent.imag.sum() / 1000,
        "dt": dt_loss / 1000,
        "lv": (sent.real.sum() - used.real.sum() - dt_loss) / 1000,
        "v_min": float(np.abs(u).min() / LV_BASE_V),
        "consumers": by_consumer,
    }  # type: ignore[dict-item]


@pytest.mark.parametrize("shares", [(0, 0, 1), (0.35, 0.25, 0.40), (1, 0, 0)], ids=["P", "ZIP", "Z"])
@pytest.mark.parametrize("dt_kw", [15, 45, 60])
def test_against_dense_four_wire_newton(shares: tuple[float, float, float], dt_kw: float) -> None:
    case = lv_case(np.random.default_rng(7), dt_kw=dt_kw, zip_shares=shares)
    out, kwh = case.solve(1.01, steps=1, tolerance=1e-6)
    truth = newton(case, primitive(case), 1.01, 0)
    assert out.status[0, 0] == lv.OK
    iron, magnetising = case.lv.iron_kw[0] * 1.01**2, case.lv.magnetising_kvar[0] * 1.01**2
    assert out.v_min_pu[0, 0] == pytest.approx(truth["v_min"], abs=6e-7)
    assert out.used_kw[0, 0] == pytest.approx(truth["used"], rel=2e-6)
    assert out.used_kvar[0, 0] == pytest.approx(truth["used_q"], rel=2e-6)
    assert out.sent_kw[0, 0] - iron == pytest.approx(truth["sent"], rel=2e-6)
    assert out.sent_kvar[0, 0] - magnetising == pytest.approx(truth["sent_q"], rel=2e-6)
    assert out.loss_lv_kw[0, 0] == pytest.approx(truth["lv"], rel=1e-5)
    assert out.loss_dt_kw[0, 0] - iron == pytest.approx(truth["dt"], rel=1e-5)
    np.testing.assert_allclose(kwh[:, 0], truth["consumers"], rtol=3e-6)


def test_default_tolerance_on_a_peak() -> None:
    """The three-sweep rule: voltages within 2e-5 pu, losses within 1e-4."""
    case = lv_case(np.random.default_rng(7), dt_kw=45)
    out, _ = case.solve(1.0, steps=1)
    truth = newton(case, primitive(case), 1.0, 0)
    assert out.v_min_pu[0, 0] == pytest.approx(truth["v_min"], abs=2e-5)
    assert out.loss_lv_kw[0, 0] == pytest.approx(truth["lv"], rel=1e-4)


def test_bare_conductors_with_their_own_geometry() -> None:
    """Four bare conductors 0.3 m apart in a vertical row; the primitive matrix is Carson's with earth at 931 m."""
    case = lv_case(np.random.default_rng(3), dt_kw=40)
    place = np.array([0.0, 0.3, 0.6, 0.9])
    spacing = np.abs(place[:, None] - place)
    case.lv = case.lv._replace(
        z_pu=np.vstack([
            case.lv.z_pu[:1],
            segment_matrix(1.11, 0.38, case.length_km[1:], r_neutral_ohm_km=1.11, x_neutral_ohm_km=0.38,
                           spacing_m=spacing, x_spacing_m=1.2, frequency_hz=50.0),
        ])
    )  # fmt: skip
    k = 2 * np.pi * 50 * 2e-4
    radius = 1.2 * np.exp(-0.38 / k)
    z4 = 1j * k * np.log(931 / np.where(spacing > 0, spacing, radius)) + np.eye(4) * 1.11 + 0.05
    out, _ = case.solve(1.0, steps=1, tolerance=1e-6)
    truth = newton(case, z4, 1.0, 0)
    assert out.v_min_pu[0, 0] == pytest.approx(truth["v_min"], abs=6e-7)
    assert out.loss_lv_kw[0, 0] == pytest.approx(truth["lv"], rel=1e-5)
