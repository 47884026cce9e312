"""What a run's bills say, case by case: money by area, and each consumer's projected monthly bill.

Bills of a window (the simulated days within a bill month) give the money of the run; the projected month gives the
change that a consumer would see. A consumer billed in two months is represented by the mean of both, by days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.analysis.frames import Consumers, Feeders, by_code
from twin.analysis.tables import RunTables, read_case
from twin.errors import Problem, RunFolderError
from twin.units import PAISE_PER_INR

FloatArray = NDArray[np.float64]

MONEY = {
    "revenue": {"energy_paise": 1, "fixed_paise": 1, "rebate_paise": -1},
    "duty": {"duty_paise": 1},
    "subsidy": {"subsidy_paise": 1},
    "consumer_payment": {"total_paise": 1},
}
"""Outcomes of a window's bill. The discom's revenue comes from consumers and the state:
consumer_payment = revenue + duty - subsidy."""
PROJECTED = ["month_paise", "month_unchanged_paise", "month_surplus_inr"]
MEASURES = ("unchanged", "response", "surplus")
"""Monthly change against the first arm: bill at the first arm's use, bill after response, consumer surplus."""


@dataclass(frozen=True)
class Window:
    """Which consumer each bill row is of: ``row`` (n_rows,) into `Consumers`, rising; ``start`` the first row of each
    billed consumer; ``days`` the length of each window.
    """

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    days: FloatArray
    period_start: NDArray[np.integer]

    @property
    def consumer(self) -> NDArray[np.int64]:
        """Row in `Consumers` of each billed consumer, shape (n_billed,)."""
        return self.row[self.start]

    def monthly(self, values: FloatArray) -> FloatArray:
        """Mean of a projected month's value over the consumer's windows, by days; shape (n_billed,)."""
        if len(self.start) == len(self.row):
            return values
        return np.add.reduceat(values * self.days, self.start) / np.add.reduceat(self.days, self.start)


@dataclass(frozen=True)
class Money:
    """Sums of one case over the run's days, by outcome of `MONEY`. [INR]

    ``by_area[outcome]`` has shape (n_areas,) by `bill_areas`, the state and the discoms weighted;
    ``sampled[outcome]`` has shape (n_sampled,), unweighted.
    """

    by_area: dict[str, FloatArray]
    sampled: dict[str, FloatArray]


@dataclass(frozen=True)
class Bills:
    """The bills of one case: windows, money, and each billed consumer's projected month. [INR/month], shape (n_billed,)

    ``month`` is the bill at the arm's tariff and use, ``unchanged`` at the arm's tariff and the first arm's use,
    ``surplus`` the change of consumer surplus against the first arm.
    """

    window: Window
    money: Money
    month: FloatArray
    unchanged: FloatArray
    surplus: FloatArray


def read_bills(run: RunTables, feeders: Feeders, consumers: Consumers, case: int) -> Bills:
    """Bills of one case, in two reads, of which the first is let go before the second: bills may be millions of rows.

    Raises
    ------
    RunFolderError
        If there are none, or one is of an unknown consumer.
    """
    keys = ["consumer_id", "period_start", "period_end"]
    rows = read_case(run, "bills", case, [*keys, *PROJECTED])
    window = _window(consumers, rows, case)
    month, unchanged = (window.monthly(rows[name] / PAISE_PER_INR) for name in PROJECTED[:2])
    surplus = window.monthly(rows[PROJECTED[2]])
    del rows
    return Bills(window, _money(run, feeders, consumers, window, case), month, unchanged, surplus)


def _window(consumers: Consumers, rows: dict[str, NDArray], case: int) -> Window:
    """Windows of the bills of one case."""
    ids = rows["consumer_id"].astype(np.int64)
    row = np.minimum(np.searchsorted(consumers.consumer_id, ids), len(consumers.consumer_id) - 1)
    if not np.array_equal(consumers.consumer_id[row], ids):
        lost = int(ids[consumers.consumer_id[row] != ids][0])
        what = f"case {case}: consumer {lost} has a bill but is not in tables/consumers"
        raise RunFolderError([Problem("tables/bills", "consumer_id", what, "the run is damaged; run it again")])
    start = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
    days = (rows["period_end"].astype(np.int64) - rows["period_start"] + 1).astype(np.float64)
    return Window(row, start, days, rows["period_start"])


def _money(run: RunTables, feeders: Feeders, consumers: Consumers, window: Window, case: int) -> Money:
    """Money of one case by area and of every sampled feeder. Paise are added as whole numbers before any weighting."""
    by_area, sampled = {}, {}
    district, place = consumers.district[window.consumer], consumers.sampled_row[window.consumer]
    weight, discom = consumers.weight[window.consumer], consumers.discom[window.consumer]
    rows = read_case(run, "bills", case, [column for parts in MONEY.values() for column in parts])
    for outcome, parts in MONEY.items():
        paise = np.zeros(len(window.start), dtype=np.int64)
        for column, sign in parts.items():
            paise += sign * np.add.reduceat(rows[column], window.start)
        inr = paise / PAISE_PER_INR
        by_area[outcome] = np.r_[
            float(np.sum(weight * inr)),
            by_code(district, inr, len(feeders.districts)),
            by_code(discom, weight * inr, len(feeders.discoms)),
        ]
        sampled[outcome] = by_code(place, inr, len(feeders.sampled_rows))
    return Money(by_area, sampled)


def check_same_bills(base: Window, other: Window, case: int) -> None:
    """Refuse to compare two arms whose bills are not of the same consumers and windows.

    Raises
    ------
    RunFolderError
        If they differ.
    """
    if np.array_equal(base.row, other.row) and np.array_equal(base.period_start, other.period_start):
        return
    what = f"case {case} bills other consumers or windows than the first arm's case of the same replicate"
    raise RunFolderError([Problem("tables/bills", "consumer_id", what, "the run is damaged; run it again")])


@dataclass(frozen=True)
class CellSums:
    """Sums of a quantity per consumer, by cell: shape (n_areas, n_cells) by `bill_areas`, the state and the discoms
    weighted, and (n_sampled, n_cells), unweighted.
    """

    by_area: FloatArray
    sampled: FloatArray


def cell_sums(feeders: Feeders, consumers: Consumers, window: Window, values: FloatArray) -> CellSums:
    """Sum ``values`` (n_billed,) by area and cell, and by sampled feeder and cell."""
    row, cells = window.consumer, consumers.n_cells
    cell = consumers.cell[row]
    state = by_code(cell, consumers.weight[row] * values, cells)

    def crossed(code: NDArray[np.int64], own: FloatArray, size: int) -> FloatArray:
        inside = code >= 0
        return by_code(code[inside] * cells + cell[inside], own[inside], size * cells).reshape(size, cells)

    districts = crossed(consumers.district[row], values, len(feeders.districts))
    discoms = crossed(consumers.discom[row], consumers.weight[row] * values, len(feeders.discoms))
    sampled = crossed(consumers.sampled_row[row], values, len(feeders.sampled_rows))
    return CellSums(np.concatenate([state[None, :], districts, discoms]), sampled)
