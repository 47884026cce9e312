"""Ours: the production functions of every layer, settled at the border between feeders and the 33 kV tree.

`exact` iterates every layer until nothing moves; `by_equivalents` solves each LV network once, at an expected voltage,
and again only where its voltage turns out more than a limit away (design, section 2, Borders).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.grid.transmission_controls import control_devices
from twin.grid.transmission_upper import build_trees
from twin.powerflow.lv import lv_options
from twin.powerflow.radial import radial_options
from twin.powerflow.tile_book import TileBook, carried_low_pu, tile_book
from twin.powerflow.upper_alone import solve_alone
from twin.powerflow.upper_trees import SWEEP_OK, Loads, Positions, SweepOut, Trees
from twin.simulation.border import WIDE_LIMIT_PU
from twin.simulation.feeder_block import FeederSolver, Solvers
from twin.simulation.harvest import DT_COLUMNS, feeder_results, feeder_slopes
from twin.simulation.messages import N_Q, Q
from twin.units import KW_PER_MW
from twin.verification.coupling.tree import SOURCE_PU, BalancedFeeder, Tree

EXPECTED_PU = 1.0
"""Voltage of a PSS's 11 kV bus before anything above is known; runs guess better, so this is the harder case."""
EXACT_LIMIT_PU, EXACT_LV, EXACT_LINE_PU = 1e-6, 1e-7, 1e-12
"""Exact mode: how far a node may be from its tile's solution (below it the equivalents' error is of second order and
float32 hides it), and the tolerances of the LV and 11 kV solvers."""
BORDER_PU = 2e-9
"""Largest move of a PSS's voltage in the last exchange. [pu]"""
MOST_EXCHANGES = 40
SLOPE_STEP = 0.005


@dataclass
class SettledFeeder:
    """A feeder's results; arrays as [.., steps]."""

    feeder: BalancedFeeder
    book: TileBook
    v_node_pu: NDArray[np.float64]
    """11 kV nodes."""
    quantities: NDArray[np.float64]
    """Totals, (N_Q, steps)."""
    solved: int = 0
    """Tiles solved so far, repeats included."""

    @property
    def v_end_pu(self) -> NDArray[np.float64]:
        """Lowest pole of every DT at the final voltage, carried there as a run does. [n_dt, steps]"""
        book, v_dt = self.book, self.v_node_pu[self.feeder.net.node_of_dt]
        return np.asarray(carried_low_pu.py_func(book.v_end_pu, book.v0_pu, book.n_end, v_dt))


@dataclass
class Layers:
    """The settled tree."""

    feeders: list[SettledFeeder]
    trees: Trees
    above: SweepOut
    positions: Positions
    moved_pu: list[float]
    """Largest move of any PSS's voltage, exchange by exchange. [pu]"""

    @property
    def v_pss_pu(self) -> NDArray[np.float64]:
        """Voltage of the 11 kV buses, [n_pss, steps]."""
        return np.hypot(self.above.v_re[self.trees.node_11], self.above.v_im[self.trees.node_11])

    @property
    def largest_offset_pu(self) -> float:
        """How far any DT ended from the voltage of its solution. [pu]"""
        return max(
            float(np.abs(one.v_node_pu[one.feeder.net.node_of_dt] - one.book.v0_pu).max()) for one in self.feeders
        )


def exact(tree: Tree) -> Layers:
    """Every tile solved at the voltage that its 11 kV node ends up with."""
    return _iterate(tree, EXACT_LIMIT_PU, Solvers(lv_options(tolerance=EXACT_LV), radial_options(EXACT_LINE_PU)))


def by_equivalents(tree: Tree) -> Layers:
    """Every tile solved once, at an expected voltage; from then on its equivalents, within the limit."""
    return _iterate(tree, WIDE_LIMIT_PU, Solvers(lv_options(), radial_options()))


def _iterate(tree: Tree, limit_pu: float, solvers: Solvers) -> Layers:
    """Feeders and 33 kV tree in turn until no PSS voltage moves; taps and capacitors stay after the first exchange."""
    steps, n_pss = tree.steps, len(tree.pss.gss)
    base_mva = tree.above.sn_mva
    trees, controls = build_trees(tree.above, tree.pss, base_mva), control_devices(tree.above, tree.pss, base_mva)
    source = np.full((1, steps), SOURCE_PU)
    solver = FeederSolver([feeder.net for feeder in tree.feeders], steps, solvers)
    feeders, moved_pu = [_begin(feeder, steps) for feeder in tree.feeders], list[float]()
    v, held = np.full((n_pss, steps), EXPECTED_PU), None
    for turn in range(MOST_EXCHANGES):
        for one in feeders:
            _settle(solver, one, v[one.feeder.pss], limit_pu, first=turn == 0)
        loads = _loads(feeders, v, base_mva * KW_PER_MW)
        above, held = solve_alone(trees, controls, loads, source, held)
        if (above.status != SWEEP_OK).any():
            raise ArithmeticError("coupling: the 33 kV tree has no solution")
        layers = Layers(feeders, trees, above, held, moved_pu)
        moved_pu.append(float(np.abs(layers.v_pss_pu - v).max()))
        v = layers.v_pss_pu
        if moved_pu[-1] <= BORDER_PU:
            return layers
    raise ArithmeticError(f"coupling: a PSS voltage still moves {moved_pu[-1]:.1e} pu after {MOST_EXCHANGES}")


def _begin(feeder: BalancedFeeder, steps: int) -> SettledFeeder:
    n_dt, n_nodes = len(feeder.net.node_of_dt), len(feeder.net.tree.parent)
    return SettledFeeder(feeder, tile_book(n_dt, steps), np.zeros((n_nodes, steps)), np.zeros((N_Q, steps)))


def _settle(
    solver: FeederSolver, one: SettledFeeder, v_head_pu: NDArray[np.float64], limit_pu: float, *, first: bool
) -> None:
    """Settle a feeder as a run's block does: the one place that knows the production signatures."""
    feeder, steps = one.feeder, len(v_head_pu)
    net, zones, kwh = feeder.net, np.zeros(steps, np.uint8), np.zeros((len(feeder.kw), 1))
    one.solved += solver.settle(
        net, one.book, v_head_pu, limit_pu, lambda _: feeder.kw, feeder.zips, zones, kwh, first=first
    )
    n_dt = len(net.node_of_dt)
    feeder_results(
        net, one.book, solver.work.line, zones, np.zeros(steps, np.bool_), feeder.static.rating_kva, solver.hours,
        one.quantities, np.zeros(steps), np.zeros((len(DT_COLUMNS), n_dt), np.float32), np.ones((n_dt, 1)),
    )  # fmt: skip
    one.v_node_pu[:] = solver.work.line.v_pu[: len(one.v_node_pu)]
    feeder_slopes(solver.sweep_line(net, one.book, v_head_pu * (1 + SLOPE_STEP)), SLOPE_STEP, one.quantities)


def _loads(feeders: list[SettledFeeder], v_pss_pu: NDArray[np.float64], base_kw: float) -> Loads:
    """What the feeders draw at ``v_pss_pu`` (n_pss, steps), with its elasticities."""
    total = np.zeros((N_Q, *v_pss_pu.shape))
    for one in feeders:
        total[:, one.feeder.pss] += one.quantities
    p, q, zero = total[Q.P], total[Q.QVAR], np.zeros_like(v_pss_pu)
    return Loads(p / base_kw, q / base_kw, total[Q.SLOPE_P] / p, total[Q.SLOPE_Q] / q, v_pss_pu, zero, zero)
