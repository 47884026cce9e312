"""Table ``payments``: what was billed, due, paid and is owed, by area, category and month; and how well an area pays.

Collection efficiency CE = received / billed amount, where received is what consumers paid (late payments of the month
before among it) and the subsidy that the state paid, and billed is what consumers owe and the whole subsidy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.collection import PER_MILLE, Collection, Paid, collect, habit_shares, load_collection
from twin.analysis.design import Experiment
from twin.analysis.frames import HT_FEEDER, Consumers, Feeders, by_code, read_consumers, rows_of
from twin.analysis.tables import RunTables, asked_for, build, read, read_case
from twin.calibrated import fitted
from twin.datapack import CLASSES
from twin.errors import Problem, RunFolderError
from twin.streams import replicate_seed
from twin.units import PAISE_PER_INR

Counts = NDArray[np.int64]
NEEDS = ("consumers", "bills")
WINDOWS = "wallet_windows"
FLOWS = ("billed", "due", "paid", "subsidy_received", "arrears")


@dataclass(frozen=True)
class Money:
    """Amounts of consumers by month, shape (n_consumers, months), consumers rising by id. [paise]

    ``billed`` is what consumers owe (``due``) and the state's subsidy.
    """

    months: NDArray[np.datetime64]
    billed: Counts
    due: Counts
    paid: Counts
    subsidy_received: Counts
    arrears: Counts

    @property
    def received(self) -> Counts:
        """From consumers and from the state. [paise]"""
        return self.paid + self.subsidy_received


def is_collected(run: RunTables) -> bool:
    """Does a run model payments, over whole billing months, and hold what they are drawn for?"""
    needs = (*NEEDS, WINDOWS) if has_wallets(run) else NEEDS
    complete = run.manifest.get("months_complete") and all(asked_for(run.scenario, table) for table in needs)
    return bool(complete) and run.scenario.get("payments") is not None


def has_wallets(run: RunTables) -> bool:
    """Do consumers of a run pay from prepaid wallets?"""
    return (run.scenario.get("meters") or {}).get("prepaid") is not None


def habits_of(run: RunTables) -> Collection:
    """The pack's collection habits, with the fitted factor of what is not paid, and the scenario's word on subsidy."""
    collection = load_collection().with_unpaid(fitted("unpaid"))
    asked = run.scenario["payments"].get("subsidy_received")
    return collection if asked is None else collection.model_copy(update={"subsidy_received": asked})


def case_money(run: RunTables, case: int, replicate: int) -> Money:
    """Bills and payments of all consumers of one case.

    Raises
    ------
    RunFolderError
        If a consumer lacks the bill of a month.
    """
    whose = read(run, "consumers", ["consumer_id", "district", "category", "smart"])
    bills = read_case(run, "bills", case, ["consumer_id", "period_start", "total_paise", "subsidy_paise"])
    consumer_id = whose["consumer_id"].astype(np.int64)
    starts = np.unique(bills["period_start"])
    shape = (len(consumer_id), len(starts))
    if not np.array_equal(bills["consumer_id"], np.repeat(consumer_id, len(starts))):
        what = f"case {case} does not hold one bill of each consumer and month"
        raise RunFolderError([Problem("tables/bills", "consumer_id", what, "the run is damaged; run it again")])
    due, subsidy = (bills[name].astype(np.int64).reshape(shape) for name in ("total_paise", "subsidy_paise"))
    months = starts.astype("datetime64[D]").astype("datetime64[M]")
    habits = habits_of(run)
    shares = habit_shares(habits, whose["category"], whose["district"], whose["smart"])
    seed = replicate_seed(int(run.scenario["seed"]), replicate)
    flows = collect(due, consumer_id, int(months[0].astype(np.int64)), shares, seed, habits.partly_paid)
    if has_wallets(run):
        _pay_from_wallets(run, case, consumer_id, due, flows)
    received = subsidy * round(habits.subsidy_received * PER_MILLE) // PER_MILLE
    return Money(months, due + subsidy, due, flows.paid, received, flows.arrears)


def _pay_from_wallets(run: RunTables, case: int, consumer_id: Counts, due: Counts, flows: Paid) -> None:
    """Put in what prepaid consumers paid: what their bills took from recharges, and what these paid of debts.

    Arrears are the debt of the wallet, that for bills which are not debited yet in it; ``paid = due - change of
    arrears``. Money that waits in a wallet is not received.
    """
    names = ["consumer_id", "start_paise", "held_paise", "balance_paise"]
    rows = read_case(run, WINDOWS, case, names)
    at = np.searchsorted(consumer_id, rows["consumer_id"].reshape(-1, due.shape[1])[:, 0])
    start, held, balance = (rows[name].astype(np.int64).reshape(len(at), -1) for name in names[1:])
    owed = np.maximum(held - balance, 0)
    flows.arrears[at] = owed
    flows.paid[at] = due[at] - owed + np.maximum(-start, 0)


def payments_table(run: RunTables, experiment: Experiment, feeders: Feeders) -> pa.Table:
    """Table ``payments``: means over replicates; empty where `is_collected` says so. [INR]"""
    if not is_collected(run):
        return build("payments", [])
    consumers = read_consumers(run, feeders)
    rows: list[dict[str, Any]] = []
    for point in range(len(experiment.points)):
        for arm in range(len(experiment.arms)):
            pairs = zip(experiment.case[point, arm], experiment.replicates, strict=True)
            drawn = [_sums(case_money(run, int(case), replicate), consumers, feeders) for case, replicate in pairs]
            mean = {key: np.mean([one[key] for one in drawn], axis=0) for key in drawn[0]}
            rows += [_row(experiment.label(point, arm), key, values) for key, values in mean.items()]
    return build("payments", rows)


Key = tuple[str, str, np.datetime64]


def _row(label: str, key: Key, values: NDArray[np.float64]) -> dict[str, Any]:
    area, category, month = key
    money = {f"{name}_inr": float(value) / PAISE_PER_INR for name, value in zip(FLOWS, values[1:], strict=True)}
    first = month.astype("datetime64[D]").item()
    return {"arm": label, "area": area, "category": category, "month": first, "consumers": float(values[0]), **money}


def _sums(money: Money, consumers: Consumers, feeders: Feeders) -> dict[Key, NDArray[np.float64]]:
    """Consumers, then `FLOWS`, of each area, category and month. [-, paise]"""
    code, n = consumers.cell // CLASSES, len(consumers.categories)
    kinds = [("state", consumers.weight)]
    kinds += [(f"district:{name}", (consumers.district == k) * 1.0) for k, name in enumerate(feeders.districts)]
    sums: dict[Key, NDArray[np.float64]] = {}
    for area, weight in kinds:
        count = by_code(code, weight, n)
        for k, month in enumerate(money.months):
            flows = [by_code(code, weight * getattr(money, name)[:, k], n) for name in FLOWS]
            table = np.stack([count, *flows], axis=1)
            present = np.flatnonzero(count > 0)
            sums |= {(area, consumers.categories[row], month): table[row] for row in present.tolist()}
    return sums


def efficiency_by_area(
    run: RunTables, feeders: Feeders, feeder_names: list[str], whose: dict[str, NDArray], case: int, replicate: int
) -> dict[str, float]:
    """Collection efficiency of feeders, districts, discoms (by feeders' weights) and the state; not capped. [-]

    Arguments as of `twin.analysis.atc.case_areas`. An area that bills nothing has 1.
    """
    money, n = case_money(run, case, replicate), len(feeders.feeder_id)
    place = np.where(whose["feeder_id"] == HT_FEEDER, n, rows_of(feeders, whose["feeder_id"]))
    received, billed = (
        by_code(place, amounts.sum(axis=1).astype(np.float64), n + 1) for amounts in (money.received, money.billed)
    )
    found = {name: _ratio(received[row], billed[row]) for row, name in enumerate(feeder_names)}
    for kind, names, code, weight in (
        ("district", feeders.districts, feeders.district, np.ones(n)),
        ("discom", feeders.discoms, feeders.discom, feeders.weight),
    ):
        sums = [by_code(code, weight * amounts[:n], len(names)) for amounts in (received, billed)]
        found |= {f"{kind}:{name}": _ratio(sums[0][row], sums[1][row]) for row, name in enumerate(names)}
    weight = np.append(feeders.weight, 1.0)
    return found | {"state": _ratio(np.sum(weight * received), np.sum(weight * billed))}


def _ratio(received: float, billed: float) -> float:
    return float(received / billed) if billed else 1.0
