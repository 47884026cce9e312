"""Equivalents of DTs on their feeder: what they hand up, and their figures at the voltage that follows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.powerflow_cases import lv_case
from twin.powerflow import radial
from twin.powerflow.lv import tile_out
from twin.powerflow.lv_equivalents import settle, settled, tile_loads, tree_shunts, zone_factors


@pytest.fixture(scope="module")
def case():
    return lv_case(np.random.default_rng(4), n_dt=3, dt_kw=45)


def test_tiles_off_by_a_hundredth_are_good_to_a_few_thousandths_of_a_percent(case):
    """Trials of the method, ZIP at peak: used at 0.01 off within 0.002 %, losses within 0.02 %."""
    start, _ = case.solve(1.0, tolerance=1e-7)
    exact, _ = case.solve(0.99, tolerance=1e-7)
    final = settled(3, 16)
    for k in range(3):
        settle(case.lv, k, start, np.full(16, 0.99), final)
    np.testing.assert_allclose(final.used_kw, exact.used_kw, rtol=1e-4)
    np.testing.assert_allclose(final.sent_kvar, exact.sent_kvar, rtol=1e-3)
    np.testing.assert_allclose(final.loss_lv_kw, exact.loss_lv_kw, rtol=3e-3)
    np.testing.assert_allclose(final.loss_dt_kw, exact.loss_dt_kw, rtol=3e-3)
    np.testing.assert_array_equal(final.sent_kw, final.used_kw + final.loss_lv_kw + final.loss_dt_kw)


def test_at_its_own_voltage_a_tile_is_itself(case):
    out, _ = case.solve(0.98)
    final = settled(3, 16)
    for k in range(3):
        settle(case.lv, k, out, np.full(16, 0.98), final)
    np.testing.assert_array_equal(final.used_kw, out.used_kw)
    np.testing.assert_array_equal(final.loss_lv_kw, out.loss_lv_kw)
    np.testing.assert_allclose(final.loss_dt_kw, out.loss_dt_kw, rtol=1e-14)
    np.testing.assert_allclose(final.sent_kvar, out.sent_kvar, rtol=1e-14)


def test_two_dts_on_a_node_add_up(case):
    out, _ = case.solve(1.0)
    loads = radial.node_loads(4, 16)
    tile_loads(out, np.array([1, 2, 1], np.int32), loads)
    np.testing.assert_array_equal(loads.used_kw[2], out.used_kw[1])
    np.testing.assert_array_equal(loads.n_loss[2], out.n_loss[1])
    np.testing.assert_allclose(loads.used_kw[1], out.used_kw[0] + out.used_kw[2])
    slope = out.used_kw[0] * out.n_used[0] + out.used_kw[2] * out.n_used[2]
    np.testing.assert_allclose(loads.used_kw[1] * loads.n_used[1], slope)
    assert not loads.used_kw[[0, 3]].any()
    assert (loads.v0_pu == 1.0).all()


def test_tree_and_loads_together_take_what_the_dts_are_sent(case):
    out, _ = case.solve(1.0)
    node_of_dt = np.array([1, 2, 1], np.int32)
    g, b = tree_shunts(case.lv, node_of_dt, 3)
    loads = radial.node_loads(3, 16)
    tile_loads(out, node_of_dt, loads)
    tree = radial.RadialTree(np.array([0, 0, 1], np.int32), np.zeros(3), np.zeros(3), b, g)
    flow = radial.radial_out(3, 16, 1)
    radial.sweep(
        tree, loads, np.ones(16), np.ones((3, 1)), np.zeros(3, np.uint8), radial.radial_options(),
        radial.radial_scratch(3), flow,
    )  # fmt: skip
    np.testing.assert_allclose(flow.p_head_kw, out.sent_kw.sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose(flow.q_head_kvar, out.sent_kvar.sum(axis=0), rtol=1e-6)


def test_zone_factors_carry_energies_to_the_final_voltage():
    out, final = tile_out(1, 4), settled(1, 4)
    out.used_kw[0], final.used_kw[0] = [1, 2, np.nan, 0], [1.1, 2.2, 5, 0]
    factor = np.zeros(3)
    zone_factors(0, out, final, np.array([0, 0, 0, 2], np.uint8), factor)
    assert factor == pytest.approx([1.1, 1.0, 1.0])
