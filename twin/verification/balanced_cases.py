"""What it costs to take 11 kV as balanced: a feeder with all its unbalanced consumers in OpenDSS, in three phases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lv import lv_options
from twin.powerflow.radial import radial_options
from twin.powerflow.tile_book import tile_book
from twin.simulation.feeder_block import FeederSolver, Solvers
from twin.simulation.harvest import DT_COLUMNS, feeder_results
from twin.simulation.messages import N_Q, Q
from twin.simulation.population import feeder_net
from twin.verification.case import Case, Row
from twin.verification.compare import Against
from twin.verification.coupling.layers import EXACT_LIMIT_PU, EXACT_LINE_PU, EXACT_LV
from twin.verification.coupling.tree import HOURS
from twin.verification.opendss_feeder import ThreePhaseResult, solve
from twin.verification.radial_cases import HEAD_PU, longest_feeder

EVENING = len(HOURS) - 1
POSITIVE_PU = 5e-5
"""The balanced line is the positive sequence of the real one but for products of small negative ones. [pu]"""
NO_CLAMP_PU = 0.1
"""OpenDSS follows the voltage law all the way down: here ours does so too."""


@dataclass(frozen=True)
class OursBalanced:
    """The feeder with unbalanced LV and a balanced 11 kV line, at one step."""

    v_dt_pu: NDArray[np.float64]
    v_min_pu: NDArray[np.float64]
    quantities: NDArray[np.float64]


@lru_cache(maxsize=1)
def ours() -> OursBalanced:
    """Settled exactly by the production solver, from the head's voltage."""
    feeder = longest_feeder()
    static, net = feeder.static, feeder_net(feeder.static)
    n, steps = len(net.node_of_dt), len(HOURS)
    options = lv_options(tolerance=EXACT_LV, clamp_pu=NO_CLAMP_PU)
    solver = FeederSolver([net], steps, Solvers(options, radial_options(EXACT_LINE_PU)))
    book, zones, quantities = tile_book(n, steps), np.zeros(steps, np.uint8), np.zeros((N_Q, steps))
    solver.settle(
        net, book, np.full(steps, HEAD_PU), EXACT_LIMIT_PU, lambda _: feeder.kw, feeder.zips, zones,
        np.zeros((len(feeder.kw), 1)), first=True,
    )  # fmt: skip
    feeder_results(
        net, book, solver.work.line, zones, np.zeros(steps, np.bool_), static.rating_kva, solver.hours, quantities,
        np.zeros(steps), np.zeros((len(DT_COLUMNS), n), np.float32), np.ones((n, 1)),
    )  # fmt: skip
    v_dt = solver.work.line.v_pu[net.node_of_dt, EVENING]
    return OursBalanced(v_dt, book.v_min_pu[:, EVENING].astype(np.float64), quantities[:, EVENING])


def rows(name: str, *, flat: bool, v_pu: float, loss: float, power: float) -> Iterator[Row]:
    """Voltages at DTs and consumers, losses and power of the feeder at the evening step."""
    feeder, mine = longest_feeder(), ours()
    theirs = solve(feeder.static, feeder.kw[:, EVENING], feeder.zips, HEAD_PU, flat=flat)
    line = "flat, not transposed" if flat else "transposed"
    against = Against(
        name,
        f"OpenDSS in three phases, 11 kV line {line}: {len(feeder.static.dt_id)} DTs, {len(feeder.kw):,} consumers; "
        f"negative sequence up to {100 * theirs.v_negative_pu.max():.2g} %",
    )
    yield against.worst("11 kV at DTs, positive sequence", mine.v_dt_pu, theirs.v_positive_pu, POSITIVE_PU, "pu")
    three = np.repeat(mine.v_dt_pu[:, None], 3, axis=1)
    yield against.worst("11 kV at DTs, between any two phases", three, theirs.v_line_pu, v_pu, "pu")
    yield against.worst("lowest consumer of a DT", mine.v_min_pu, theirs.v_lowest_pu, v_pu, "pu")
    yield from _sums(against, mine, theirs, loss, power)


def _sums(against: Against, mine: OursBalanced, theirs: ThreePhaseResult, loss: float, power: float) -> Iterator[Row]:
    for level, quantity in (("11 kV", Q.LOSS_11KV), ("DT", Q.LOSS_DT), ("LV", Q.LOSS_LV)):
        yield against.share(f"losses, {level}", mine.quantities[quantity], theirs.loss_kw[level], loss, "kW")
    yield against.share("power from the PSS", mine.quantities[Q.P], theirs.sent_kw, power, "kW")
    yield against.share("reactive power from the PSS", mine.quantities[Q.QVAR], theirs.sent_kvar, power, "kvar")


CASES = (
    Case(
        "balanced-11kv",
        "11 kV taken as balanced",
        "one rural feeder with unbalanced consumers, against three phases of a transposed 11 kV line",
        partial(rows, "balanced-11kv", flat=False, v_pu=2e-3, loss=5e-4, power=1e-4),
        ("opendssdirect",),
    ),
    Case(
        "balanced-11kv-flat",
        "11 kV taken as balanced",
        "the same against a flat line that is never transposed, the most unequal usual arrangement",
        partial(rows, "balanced-11kv-flat", flat=True, v_pu=8e-3, loss=1e-3, power=1e-3),
        ("opendssdirect",),
    ),
)
