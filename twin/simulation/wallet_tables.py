"""Tables of prepaid wallets: a day by feeder, a day of the chosen consumers, a billing window of every consumer."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.units import PAISE_PER_INR

if TYPE_CHECKING:
    from twin.simulation.meter_state import MeterState
    from twin.simulation.prepaid import ArmDay, Wallets
    from twin.simulation.replicate import ReplicateWorld
    from twin.simulation.shard import Shared


def wallet_tables(
    case: int, arm: int, wallets: Wallets, date: dt.date, watched: NDArray[np.int64]
) -> dict[str, pa.Table]:  # fmt: skip
    """A settled day of all wallets, and of the ``watched`` rows that have one."""
    day = wallets.prepare(date)[arm]
    return {
        "wallets": feeder_rows(case, wallets, date, day),
        "wallet_days": day_rows(case, wallets, date, day, watched),
    }


def feeder_rows(case: int, wallets: Wallets, date: dt.date, day: ArmDay) -> pa.Table:
    """Counts and sums by feeder."""
    place = wallets.devices.place.feeder[wallets.rows]
    feeders = np.array([part.feeder for part in wallets.devices.population.feeders], np.int32)

    def count(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
        return np.bincount(place[mask], minlength=len(feeders)).astype(np.int32)

    def money(paise: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(place, weights=paise, minlength=len(feeders)) / PAISE_PER_INR

    prepaid = count(np.ones(len(place), np.bool_))
    columns = {
        "case": np.full(len(feeders), case, np.int32),
        "date": np.full(len(feeders), np.datetime64(date, "D")),
        "feeder_id": feeders,
        "prepaid": prepaid,
        "negative": count(day.morning_paise < 0),
        "messages": count(day.messages),
        "debited_inr": money(day.wallets.debit_paise),
        "recharges": count(day.wallets.recharge_minute >= 0),
        "recharged_inr": money(day.wallets.recharge_paise),
        "disconnected": count(day.wallets.opened_minute >= 0),
        "reconnected": count(day.reconnected),
        "off": count(day.off),
    }
    return pa.table(columns, schema=arrow_schema("wallets")).filter(pa.array(prepaid > 0))


def day_rows(case: int, wallets: Wallets, date: dt.date, day: ArmDay, watched: NDArray[np.int64]) -> pa.Table:
    """A day of some wallets one by one."""
    at = np.flatnonzero(np.isin(wallets.rows, watched))
    step_h = wallets.world.plan.hours
    columns = {
        "case": np.full(len(at), case, np.int32),
        "date": np.full(len(at), np.datetime64(date, "D")),
        "consumer_id": wallets.ids[at],
        "debited_paise": day.wallets.debit_paise[at],
        "morning_paise": day.morning_paise[at],
        "recharged_paise": day.wallets.recharge_paise[at],
        "evening_paise": day.evening_paise[at],
        "recharged_at": _time(date, day.wallets.recharge_minute[at]),
        "disconnected_at": _time(date, day.wallets.opened_minute[at]),
        "hours_off": (day.wallets.off_until[at] - day.wallets.off_from[at]) * step_h,
    }
    return pa.table(columns, schema=arrow_schema("wallet_days"))


def _time(date: dt.date, minute: NDArray[np.int16]) -> pa.Array:
    """Times of a day; null where the minute is below zero."""
    when = np.datetime64(date, "us") + minute.astype("timedelta64[m]")
    return pa.array(when.astype("datetime64[us]"), mask=minute < 0)


def wallet_window_files(
    shared: Shared, name: str, world: ReplicateWorld, meters: MeterState, date: dt.date
) -> list[FileRecord]:
    """Settle the window that ends with ``date`` for the wallets, and write it for every arm."""
    wallets = meters.wallets
    if wallets is None:
        return []
    periods = wallets.close(date)
    first, n, records = meters.window_start(date), len(wallets.rows), []
    if "wallet_windows" not in shared.wanted or n == 0:
        return []
    for arm, period in enumerate(periods):
        case = world.plan.case(arm, world.replicate)
        columns = {
            "case": np.full(n, case, np.int32),
            "consumer_id": wallets.ids,
            "period_start": np.full(n, np.datetime64(first, "D")),
            "period_end": np.full(n, np.datetime64(date, "D")),
        } | {f"{flow}_paise": column for flow, column in period._asdict().items()}
        table = pa.table(columns, schema=arrow_schema("wallet_windows"))
        path = f"tables/wallet_windows/case={case}/{name}.parquet"
        records.append(shared.storage.write_table(path, "wallet_windows", table))
    return records
