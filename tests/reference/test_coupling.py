"""The layered solution against one merged network: it agrees, and an error put into the reference is seen."""

from __future__ import annotations

import numpy as np
import pytest

from twin.powerflow.lv import lv_options
from twin.powerflow.radial import radial_options
from twin.powerflow.tile_book import tile_book
from twin.simulation.feeder_block import FeederSolver, Solvers
from twin.verification.coupling.layers import EXACT_LIMIT_PU, EXACT_LINE_PU, EXACT_LV, exact
from twin.verification.coupling.merged import merge, solve_step
from twin.verification.coupling.tree import HOURS, build_tree
from twin.verification.coupling_cases import CASES, losses_kw, merged
from twin.verification.opendss_feeder import solve
from twin.verification.outcome import run_case

BY_NAME = {case.name: case for case in CASES}


def test_the_merged_network_is_large_and_reaches_from_132_kv_to_lv() -> None:
    net = merged().net
    assert len(net.bus) >= 3000
    assert set(net.bus.vn_kv.round(3)) == {132.0, 33.0, 11.0, 0.433}
    assert len(net.pss) >= 3
    assert (build_tree().pss.parent >= 0).any()


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_both_modes_agree_with_the_merged_network(name: str) -> None:
    outcome = run_case(BY_NAME[name])
    assert not outcome.error
    failed = [row for row in outcome.rows if not row.passed]
    assert not failed
    by_quantity = {row.quantity.partition(",")[0]: row for row in outcome.rows}
    asked_pu, asked_loss = (1e-6, 1e-4) if name == "coupling-exact" else (2e-4, 2e-3)
    for quantity in ("PSS 11 kV bus", "11 kV node", "lowest pole of a DT"):
        assert by_quantity[quantity].tolerance <= asked_pu
    assert by_quantity["all losses"].tolerance <= asked_loss * by_quantity["all losses"].reference


def test_one_percent_more_dt_impedance_in_the_reference_is_seen() -> None:
    tree = build_tree()
    layers, other = exact(tree), merge(tree)
    is_dt = other.net.trafo.vn_lv_kv < 1.0
    other.net.trafo.loc[is_dt, ["vk_percent", "vkr_percent"]] *= 1.01
    theirs = solve_step(other, tree, layers.positions, len(HOURS) - 1)
    loss = losses_kw(tree, layers, len(HOURS) - 1)["DT"]
    assert abs(loss / theirs.loss_kw["DT"] - 1) > 1e-3


def test_positions_of_taps_reach_the_reference() -> None:
    tree = build_tree()
    layers = exact(tree)
    moved = layers.positions._replace(pss_tap=layers.positions.pss_tap + np.int8(1))
    here, there = (solve_step(merged(), tree, at, 0) for at in (layers.positions, moved))
    buses = merged().net.pss.bus_11.to_numpy()
    assert (here.vm_pu[buses] - there.vm_pu[buses] > 0.005).all()


def test_the_opendss_feeder_is_the_twins_when_its_consumers_are_balanced() -> None:
    """Then no phase differs from another, and only float32 at LV is left: the writer adds nothing of its own."""
    feeder = min(build_tree().feeders, key=lambda one: len(one.kw))
    static, step = feeder.static._replace(lv=feeder.net.lv), 1
    theirs = solve(static, feeder.kw[:, step], feeder.zips, 1.0, flat=False)
    solver = FeederSolver(
        [feeder.net], len(HOURS), Solvers(lv_options(tolerance=EXACT_LV), radial_options(EXACT_LINE_PU))
    )
    book, kwh = tile_book(len(static.dt_id), len(HOURS)), np.zeros((len(feeder.kw), 1))
    zones, heads = np.zeros(len(HOURS), np.uint8), np.ones(len(HOURS))
    solver.settle(feeder.net, book, heads, EXACT_LIMIT_PU, lambda _: feeder.kw, feeder.zips, zones, kwh, first=True)
    mine = solver.work.line.v_pu[feeder.net.node_of_dt, step]
    np.testing.assert_allclose(theirs.v_positive_pu, mine, atol=1e-7, rtol=0)
    np.testing.assert_allclose(theirs.v_line_pu, np.repeat(mine[:, None], 3, axis=1), atol=1e-7, rtol=0)
    assert theirs.v_negative_pu.max() < 1e-9
    np.testing.assert_allclose(theirs.v_lowest_pu, book.v_min_pu[:, step], atol=1e-6, rtol=0)
    assert solver.work.line.loss_kw[0, step] == pytest.approx(theirs.loss_kw["11 kV"], rel=1e-5)
    assert book.loss_lv_kw[:, step].sum() == pytest.approx(theirs.loss_kw["LV"], rel=1e-4)
    assert solver.work.line.p_head_kw[step] == pytest.approx(theirs.sent_kw, rel=1e-6)
