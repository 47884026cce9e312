"""Effects on money and bills, and the table ``gains``, in one pass over the bills of each pair of cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.analysis.bills import MEASURES, MONEY, Bills, CellSums, Money, cell_sums, check_same_bills, read_bills
from twin.analysis.design import Experiment
from twin.analysis.effect_rows import EffectRows
from twin.analysis.frames import Consumers, Feeders, bill_areas, groups
from twin.analysis.gains import cell_statistics, gain_rows
from twin.analysis.tables import RunTables

FloatArray = NDArray[np.float64]
OUTCOME = {"unchanged": "bill_unchanged", "response": "bill_response", "surplus": "surplus"}
"""Name in ``effects`` of each measure of ``gains``."""


@dataclass(frozen=True)
class BaseSums:
    """What is kept of the first arm of one replicate: sums of ones and of monthly bills by cell."""

    count: CellSums
    bill: CellSums


@dataclass
class ArmTally:
    """What the pass keeps of one arm: an entry per replicate in every list."""

    money: list[tuple[Money, Money]] = field(default_factory=list)
    change: dict[str, list[CellSums]] = field(default_factory=lambda: {name: [] for name in MEASURES})
    statistics: dict[str, list[dict[str, FloatArray]]] = field(default_factory=lambda: {name: [] for name in MEASURES})


def add_bill_effects(
    run: RunTables, experiment: Experiment, feeders: Feeders, consumers: Consumers, point: int, rows: EffectRows
) -> list[dict[str, Any]]:
    """Append the money and bill rows of every arm but the first at one sweep point; return the rows of ``gains``."""
    n_arms, n_replicates = experiment.case.shape[1:]
    tallies = [ArmTally() for _ in range(n_arms)]
    bases = []
    for replicate in range(n_replicates):
        base = read_bills(run, feeders, consumers, int(experiment.case[point, 0, replicate]))
        ones = np.ones(len(base.window.start))
        bases.append(BaseSums(*(cell_sums(feeders, consumers, base.window, one) for one in (ones, base.month))))
        for arm in range(1, n_arms):
            case = int(experiment.case[point, arm, replicate])
            own = read_bills(run, feeders, consumers, case)
            check_same_bills(base.window, own.window, case)
            _tally(feeders, consumers, base, own, tallies[arm])
    gains: list[dict[str, Any]] = []
    for arm in range(1, n_arms):
        label, tally = experiment.label(point, arm), tallies[arm]
        _money_rows(label, feeders, tally, rows)
        for measure in MEASURES:
            _bill_rows((label, OUTCOME[measure]), feeders, consumers, bases, tally.change[measure], rows)
            gains += gain_rows(label, measure, consumers, tally.statistics[measure])
    return gains


def _tally(feeders: Feeders, consumers: Consumers, base: Bills, own: Bills, tally: ArmTally) -> None:
    """Add one case of an arm, paired with the first arm's case of the same replicate."""
    tally.money.append((base.money, own.money))
    row = base.window.consumer
    cell, weight = consumers.cell[row], consumers.weight[row]
    for measure in MEASURES:
        change = _change(base, own, measure)
        tally.change[measure].append(cell_sums(feeders, consumers, base.window, change))
        tally.statistics[measure].append(cell_statistics(cell, weight, change, consumers.n_cells))


def _change(base: Bills, own: Bills, measure: str) -> FloatArray:
    """Monthly change of each billed consumer against the first arm. [INR/month]"""
    if measure == "surplus":
        return own.surplus
    return (own.unchanged if measure == "unchanged" else own.month) - base.month


def sampled_inside(feeders: Feeders, area: str) -> FloatArray | None:
    """Which sampled feeders are in the state or in a discom: 1 or 0, shape (n_sampled,); None without sampling error.

    Feeders of a district stand for themselves. A discom is whole strata, so that others add nothing to its error.
    """
    if not feeders.represented or area.startswith("district:"):
        return None
    own = feeders.discom[feeders.sampled_rows]
    if area == "state":
        return np.ones(len(own))
    return (own == feeders.discoms.index(area.removeprefix("discom:"))) * 1.0


def _money_rows(label: str, feeders: Feeders, tally: ArmTally, rows: EffectRows) -> None:
    for outcome in MONEY:
        parts = [one.sampled[outcome] - base.sampled[outcome] for base, one in tally.money]
        for place, area in enumerate(bill_areas(feeders)):
            inside, error = sampled_inside(feeders, area), None
            if inside is not None:
                error = feeders.sample.error(np.mean(parts, axis=0) * inside)
            own = np.array([base.by_area[outcome][place] for base, _ in tally.money])
            change = np.array([one.by_area[outcome][place] for _, one in tally.money]) - own
            rows.add((label, outcome, area, "all"), "INR", change, own, error)


def _bill_rows(
    key: tuple[str, str],
    feeders: Feeders,
    consumers: Consumers,
    bases: list[BaseSums],
    changes: list[CellSums],
    rows: EffectRows,
) -> None:
    """Mean change per consumer by area and group. The second value is the first arm's mean bill, for surplus too."""
    for name, cells in groups(consumers):
        for place, area in enumerate(bill_areas(feeders)):
            counts = np.array([base.count.by_area[place, cells].sum() for base in bases])
            if not np.all(counts > 0):
                continue
            change = np.array([one.by_area[place, cells].sum() for one in changes]) / counts
            own = np.array([base.bill.by_area[place, cells].sum() for base in bases]) / counts
            inside, error = sampled_inside(feeders, area), None
            if inside is not None:
                parts = [
                    (one.sampled[:, cells].sum(axis=1) - mean * base.count.sampled[:, cells].sum(axis=1)) / count
                    for one, base, mean, count in zip(changes, bases, change, counts, strict=True)
                ]
                error = feeders.sample.error(np.mean(parts, axis=0) * inside)
            rows.add((*key, area, name), "INR/month", change, own, error)
