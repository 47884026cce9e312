"""Every voltage of the reference tile within 1e-5 pu of the converged solution, at the default tolerance.

The tile of the speed figures: 85 consumers, 22 poles, three branches of AB cable 3x50, spans of 40 m, services of 10 to
35 m, 200 kVA. The converged solution is iterated to 1e-13 in float64 on the dense impedance matrix of the legs, which
comes from the nodal equations with an explicit neutral (see `test_lv_newton`).
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.powerflow_cases import LvCase, leg_voltages, lv_case
from tests.reference.test_lv_newton import TURN, leg_impedance, legs_of, primitive
from twin.powerflow import lv
from twin.units import LV_BASE_V, LV_NOMINAL_PU

LOADS_KW = {"light": 60.0, "peak": 165.0, "overloaded": 240.0}
SHARES = {"P": (0.0, 0.0, 1.0), "ZIP": (0.35, 0.25, 0.40), "Z": (1.0, 0.0, 0.0)}
LARGEST_ERROR_PU = 1e-5


def converged(case: LvCase, steps: int) -> NDArray[np.complex128]:
    """Leg voltages in the order of `legs_of`. [n_legs, steps], pu"""
    legs = legs_of(case)
    z = leg_impedance(case, primitive(case)) / (LV_BASE_V**2 / 1000)
    kw = case.kw[[c for c, *_ in legs], :steps] * np.array([share for *_, share, _ in legs])[:, None]
    shares = case.zips[[c for c, *_ in legs]].astype(float)[:, :, None]
    source = TURN[[phase for _, _, phase, _, _ in legs]][:, None] * np.ones(steps)
    u, weight, before = source, np.ones(steps), np.full(steps, np.inf)
    for _ in range(2000):
        w = 1 / np.maximum(np.abs(u), 0.8 * LV_NOMINAL_PU)
        # The law of `solve_tile`: below the clamp the whole load is a constant impedance.
        p, q = (
            kw * (shares[:, i] / LV_NOMINAL_PU**2 + w * (shares[:, i + 1] / LV_NOMINAL_PU + w * shares[:, i + 2]))
            for i in (0, 3)
        )
        new = source - z @ ((p - 1j * q) * u)
        change = np.abs(new - u).max(axis=0)
        weight = np.where(change > 0.7 * before, np.maximum(0.1, 0.7 * weight), weight)
        u, before = u + weight * (new - u), change
        if change.max() < 1e-13:
            return u
    pytest.fail("the reference did not converge")


@pytest.mark.parametrize("loading", LOADS_KW)
@pytest.mark.parametrize("shares", SHARES)
def test_every_voltage_of_the_reference_tile(shares: str, loading: str) -> None:
    case = lv_case(
        np.random.default_rng(3), consumers=85, poles=22, dt_kw=LOADS_KW[loading], steps=lv.LANES,
        three_phase_frac=0.05, zip_shares=SHARES[shares], rating_kva=200.0,
    )  # fmt: skip
    scratch, out = lv.lv_scratch(case.lv), lv.tile_out(1, lv.LANES)
    zones, kwh = np.zeros(lv.LANES, np.uint8), np.zeros((len(case.kw), 1))
    lv.solve_tile(
        case.lv, 0, case.kw, case.zips, np.ones(lv.LANES), zones, 0.25, lv.lv_options(), scratch, out, kwh
    )  # fmt: skip
    truth = converged(case, lv.LANES)
    order = {(c, phase): row for row, (c, _, phase, _, _) in enumerate(legs_of(case))}
    n_legs = len(case.lv.leg_consumer)
    phase = scratch.leg_slot[:n_legs] // (2 * lv.LANES) % 3
    rows = [order[c, p] for c, p in zip(case.lv.leg_consumer.tolist(), phase.tolist(), strict=True)]
    error = np.abs(leg_voltages(case, scratch) - truth[rows]).max(axis=0)
    assert (out.status == lv.OK).all()
    assert error.max() <= LARGEST_ERROR_PU
    assert (error <= out.residual[0] + 3e-7).all(), "the solver's own bound, and what float32 adds"
    np.testing.assert_allclose(out.v_min_pu[0], np.abs(truth).min(axis=0), atol=LARGEST_ERROR_PU)
