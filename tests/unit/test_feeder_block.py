"""A feeder settled against its line: equivalents, exact mode, and what is asked for demand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.powerflow_cases import lv_case, random_tree
from twin.powerflow.lv import lv_options
from twin.powerflow.radial import radial_options
from twin.powerflow.tile_book import tile_book, tree_shunts
from twin.simulation.feeder_block import FeederNet, FeederSolver, Solvers

STEPS, N_DT, N_NODES = 16, 6, 10
ZONES = np.zeros(STEPS, np.uint8)
EXACT, WIDE = 2e-6, 0.01


@pytest.fixture(scope="module")
def feeder():
    rng = np.random.default_rng(8)
    case = lv_case(rng, n_dt=N_DT, dt_kw=50)
    nodes = np.sort(rng.choice(np.arange(1, N_NODES), N_DT, replace=False)).astype(np.int32)
    tree = random_tree(rng, N_NODES, scale=30.0)
    g, b = tree_shunts(case.lv, nodes, N_NODES)
    tree = tree._replace(g_pu=tree.g_pu + g, b_pu=tree.b_pu + b)
    return case, FeederNet(case.lv, tree, nodes, np.ones((N_NODES, 1)), np.zeros(N_NODES, np.uint8))


class Demand:
    """Counts how often demand is asked for."""

    def __init__(self, kw):
        self.kw, self.asked = kw, 0

    def __call__(self, wanted):
        self.asked += 1
        return self.kw


def settle(feeder, head, limit, *, book=None):
    case, net = feeder
    solver = FeederSolver([net], STEPS, Solvers(lv_options(tolerance=1e-7), radial_options()))
    demand, kwh = Demand(case.kw), np.zeros((len(case.kw), 1))
    first = book is None
    book = tile_book(N_DT, STEPS) if first else book
    solved = solver.settle(net, book, np.full(STEPS, head), limit, demand, case.zips, ZONES, kwh, first=first)
    return solver.work.line, book, solved, demand


def test_exact_mode_leaves_tiles_at_their_nodes(feeder):
    line, book, _, demand = settle(feeder, 1.0, EXACT)
    assert np.abs(line.v_pu[feeder[1].node_of_dt] - book.v0_pu).max() <= EXACT
    assert demand.asked == 1
    assert line.v_pu[:, :STEPS].min() < 0.97, "the line must be loaded for this to mean anything"


def test_equivalents_follow_a_head_that_moved_by_a_hundredth(feeder):
    wide, book, solved, _ = settle(feeder, 1.0, WIDE)
    assert solved == N_DT, "the guess is within the limit of equivalents"
    followed, _, solved, demand = settle(feeder, 1.006, WIDE, book=book)
    assert (solved, demand.asked) == (0, 0)
    exact, *_ = settle(feeder, 1.006, EXACT)
    assert np.abs(followed.v_pu - exact.v_pu).max() < 2e-5
    np.testing.assert_allclose(followed.p_head_kw, exact.p_head_kw, rtol=1e-4)
    np.testing.assert_allclose(followed.loss_kw, exact.loss_kw, rtol=1e-3)


def test_a_head_that_moved_far_has_its_tiles_solved_again(feeder):
    _, book, *_ = settle(feeder, 1.0, WIDE)
    followed, _, solved, demand = settle(feeder, 0.96, WIDE, book=book)
    assert solved >= N_DT
    assert demand.asked == 1
    exact, *_ = settle(feeder, 0.96, EXACT)
    assert np.abs(followed.v_pu - exact.v_pu).max() < 2e-5


def test_polishing_ends_where_a_fresh_exact_solution_does(feeder):
    _, book, *_ = settle(feeder, 1.0, WIDE)
    polished, *_ = settle(feeder, 1.006, EXACT, book=book)
    exact, *_ = settle(feeder, 1.006, EXACT)
    assert np.abs(polished.v_pu - exact.v_pu).max() < 2e-6
