"""Effects on money and bills, and the table ``gains``, in one pass over the bills of each pair of cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.analysis.bills import (
    MEASURES,
    MONEY,
    CellSums,
    Money,
    Window,
    cell_sums,
    check_same_bills,
    monthly_inr,
    read_money,
    read_window,
)
from twin.analysis.design import Experiment
from twin.analysis.effect_rows import EffectRows
from twin.analysis.frames import Consumers, Feeders, areas, groups
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


@dataclass(frozen=True)
class Base:
    """The first arm of one replicate while its pairs are made: windows, monthly bill by billed consumer, money."""

    window: Window
    month_inr: FloatArray
    money: Money
    sums: BaseSums


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
        base = _read_base(run, feeders, consumers, experiment.case[point, 0, replicate])
        for arm in range(1, n_arms):
            _tally(run, feeders, consumers, base, experiment.case[point, arm, replicate], tallies[arm])
        bases.append(base.sums)
    gains: list[dict[str, Any]] = []
    for arm in range(1, n_arms):
        label, tally = experiment.label(point, arm), tallies[arm]
        _money_rows(label, feeders, tally, rows)
        for measure in MEASURES:
            _bill_rows((label, OUTCOME[measure]), feeders, consumers, bases, tally.change[measure], rows)
            gains += gain_rows(label, measure, consumers, tally.statistics[measure])
    return gains


def _read_base(run: RunTables, feeders: Feeders, consumers: Consumers, case: int) -> Base:
    window = read_window(run, consumers, case)
    month_inr = monthly_inr(run, window, case, "month_paise")
    money = read_money(run, feeders, consumers, window, case)
    count = cell_sums(feeders, consumers, window, np.ones(len(window.start)))
    return Base(window, month_inr, money, BaseSums(count, cell_sums(feeders, consumers, window, month_inr)))


def _tally(run: RunTables, feeders: Feeders, consumers: Consumers, base: Base, case: int, tally: ArmTally) -> None:
    """Add one case of an arm, paired with the first arm's case of the same replicate."""
    window = base.window
    check_same_bills(window, read_window(run, consumers, case), case)
    tally.money.append((base.money, read_money(run, feeders, consumers, window, case)))
    row = window.consumer
    for measure in MEASURES:
        change = _change(run, base, case, measure)
        tally.change[measure].append(cell_sums(feeders, consumers, window, change))
        statistics = cell_statistics(consumers.cell[row], consumers.weight[row], change, consumers.n_cells)
        tally.statistics[measure].append(statistics)


def _change(run: RunTables, base: Base, case: int, measure: str) -> FloatArray:
    """Monthly change of each billed consumer against the first arm. [INR/month]"""
    if measure == "surplus":
        return monthly_inr(run, base.window, case, "month_surplus_inr")
    column = "month_unchanged_paise" if measure == "unchanged" else "month_paise"
    return monthly_inr(run, base.window, case, column) - base.month_inr


def _money_rows(label: str, feeders: Feeders, tally: ArmTally, rows: EffectRows) -> None:
    for outcome in MONEY:
        error = None
        if feeders.represented:
            parts = [one.sampled[outcome] - base.sampled[outcome] for base, one in tally.money]
            error = feeders.sample.error(np.mean(parts, axis=0))
        for place, area in enumerate(areas(feeders)):
            own = np.array([base.by_area[outcome][place] for base, _ in tally.money])
            change = np.array([one.by_area[outcome][place] for _, one in tally.money]) - own
            rows.add((label, outcome, area, "all"), "INR", change, own, error if place == 0 else None)


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
        for place, area in enumerate(areas(feeders)):
            counts = np.array([base.count.by_area[place, cells].sum() for base in bases])
            if not np.all(counts > 0):
                continue
            change = np.array([one.by_area[place, cells].sum() for one in changes]) / counts
            own = np.array([base.bill.by_area[place, cells].sum() for base in bases]) / counts
            error = None
            if place == 0 and feeders.represented:
                parts = [
                    (one.sampled[:, cells].sum(axis=1) - mean * base.count.sampled[:, cells].sum(axis=1)) / count
                    for one, base, mean, count in zip(changes, bases, change, counts, strict=True)
                ]
                error = feeders.sample.error(np.mean(parts, axis=0))
            rows.add((*key, area, name), "INR/month", change, own, error)
