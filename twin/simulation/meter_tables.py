"""Tables of meters as devices: ``meter_balance`` is the truth by DT, ``meter_reads`` what a head-end sees by feeder and
type, ``meter_events`` what meters log and what befalls them, ``meter_days`` the story of the chosen consumers' meters.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.meters.clock import CLOCK_SET
from twin.meters.fleet import LEDGER
from twin.meters.reads import CHECKS, READS
from twin.meters.theft import KINDS, OCCURRENCE, RESTORATION
from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.simulation.dt_meters import HOURS
from twin.simulation.harvest import DT_COLUMNS
from twin.simulation.messages import Q
from twin.simulation.reading_tables import rows_of_ids
from twin.simulation.shard_tables import named
from twin.simulation.wallet_tables import wallet_tables

if TYPE_CHECKING:
    from twin.simulation.block import BlockState
    from twin.simulation.load_limits import LimitDay
    from twin.simulation.meter_devices import DeviceDay, MeterDevices
    from twin.simulation.meter_state import MeterState
    from twin.simulation.population import Population
    from twin.simulation.prepaid import Wallets
    from twin.simulation.replicate import ReplicateWorld
    from twin.simulation.shard import Shared

NO_CODE = 0
NOBODY = np.zeros(0, np.int64)
SENT = DT_COLUMNS.index("sent_kwh")
MIDNIGHT_AFTER = np.timedelta64(1, "D")


def meter_files(
    shared: Shared, name: str, world: ReplicateWorld, meters: MeterState, block: BlockState,
    reading_ids: NDArray[np.int64],
) -> list[FileRecord]:  # fmt: skip
    """Let the settled block pass the meters, where they are devices, and write their tables for every arm."""
    watched = rows_of_ids(world.population.consumers.consumer_id, reading_ids)
    day = meters.advance_devices(block, watched)
    if day is None or meters.devices is None:
        return []
    records = []
    for arm in range(len(day.arms)):
        case = world.plan.case(arm, world.replicate)
        for table, rows in _tables(case, arm, meters, meters.devices, block, day, watched):
            if table in shared.wanted and (made := rows()).num_rows:
                path = f"tables/{table}/case={case}/{name}.parquet"
                records.append(shared.storage.write_table(path, table, made))
    return records


def _tables(
    case: int, arm: int, meters: MeterState, devices: MeterDevices, block: BlockState, day: DeviceDay,
    watched: NDArray[np.int64],
) -> Iterator[tuple[str, Callable[[], pa.Table]]]:  # fmt: skip
    """Tables of a day of one arm, each with what makes its rows if they are wanted."""
    result, used = block.arms[arm], block.arms[arm].consumer_kwh[watched].sum(axis=1)
    today, date = devices.context(day.date), np.datetime64(day.date, "D")
    sent_kwh = result.dt_day[SENT].astype(np.float64)
    head_kwh = result.quantities[Q.P].sum(axis=1) * HOURS / result.quantities.shape[2]
    yield "meter_balance", lambda: balance_rows(case, arm, devices, day)
    yield "meter_reads", lambda: read_rows(case, arm, devices, day)
    yield "meter_events", lambda: event_rows(case, arm, devices, day, block.limits, watched, meters.wallets)
    yield "meter_days", lambda: day_rows(case, arm, devices, day, watched, used, meters.display_kwh(arm, watched))
    mapped = day.arms[arm].mapped
    yield "dt_meters", lambda: devices.dt_meters.rows(case, date, today, devices.first_day, sent_kwh, mapped)
    yield "feeder_meters", lambda: feeder_rows(case, arm, devices, day, head_kwh)
    if (commands := devices.commands) is not None and (sent := day.commands) is not None:
        yield "commands", lambda: commands.table(case, arm, sent)
        if commands.versions.told:
            yield "meter_firmware", lambda: commands.versions.table(case, day.date)
    if (limits := devices.limits) is not None and (limited := block.limits) is not None:
        yield "load_limits", lambda: limits.table(case, arm, limited)
    if (outages := devices.outages) is not None and (power := day.power) is not None:
        yield "meter_power", lambda: outages.table(case, power)
    if meters.wallets is not None:
        for table, rows in wallet_tables(case, arm, meters.wallets, block.date, watched).items():
            yield table, partial(_same, rows)


def _same(rows: pa.Table) -> pa.Table:
    return rows


def estimate_files(
    shared: Shared, name: str, world: ReplicateWorld, meters: MeterState, date: dt.date
) -> list[FileRecord]:  # fmt: skip
    """Settle what the window that ends with ``date`` is billed by, and write what of it is not simply read."""
    meters.close_window(date)
    if meters.devices is None or "estimates" not in shared.wanted:
        return []
    period = np.datetime64(meters.window_start(date), "D"), np.datetime64(date, "D")
    records = []
    for arm in range(len(world.plan.arms)):
        case = world.plan.case(arm, world.replicate)
        rows = meters.devices.estimates.table(case, arm, period)
        path = f"tables/estimates/case={case}/{name}.parquet"
        records += [shared.storage.write_table(path, "estimates", rows)] if rows.num_rows else []
    return records


def balance_rows(case: int, arm: int, devices: MeterDevices, day: DeviceDay) -> pa.Table:
    """Energy of a day by DT: used = metered + error + theft + unrecorded."""
    population = devices.population
    ledger = day.arms[arm].ledger_kwh[: population.n_dts]
    columns = {
        "case": np.full(len(ledger), case, np.int32),
        "date": np.full(len(ledger), np.datetime64(day.date, "D")),
        "dt_id": _dt_ids(population),
    } | {f"{line}_kwh": ledger[:, column] for column, line in enumerate(LEDGER)}
    return pa.table(columns, schema=arrow_schema("meter_balance"))


def _dt_ids(population: Population) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *(part.dt_id for part in population.feeders)])


def feeder_rows(
    case: int, arm: int, devices: MeterDevices, day: DeviceDay, sent_kwh: NDArray[np.float64]
) -> pa.Table:  # fmt: skip
    """A day of the feeders as a utility sees them: the head's meter beside the registers of its consumers."""
    parts, meters, today = devices.population.feeders, devices.feeder_meters, devices.context(day.date)
    counts = day.counts[: len(parts)].sum(axis=1)
    recorded, read = meters.told(today, devices.first_day, sent_kwh)
    columns = {
        "case": np.full(len(parts), case, np.int32),
        "date": np.full(len(parts), np.datetime64(day.date, "D")),
        "feeder_id": np.array([part.feeder for part in parts], np.int32),
        "sent_metered_kwh": recorded,
        "read": read,
        "meters": counts[:, READS.index("meters")].astype(np.int32),
        "meters_read": counts[:, READS.index("read_24h")].astype(np.int32),
        "read_kwh": day.arms[arm].read_kwh[: len(parts)].sum(axis=1),
    }
    return pa.table(columns, schema=arrow_schema("feeder_meters"))


def read_rows(case: int, arm: int, devices: MeterDevices, day: DeviceDay) -> pa.Table:
    """What came in of a day, by feeder and type of meter; HT consumers are left out."""
    feeders = np.array([part.feeder for part in devices.population.feeders], np.int32)
    counts = day.counts[: len(feeders)]
    feeder, kind = np.nonzero(counts[:, :, READS.index("meters")])
    columns = {
        "case": np.full(len(feeder), case, np.int32),
        "date": np.full(len(feeder), np.datetime64(day.date, "D")),
        "feeder_id": feeders[feeder],
        "device": named(kind, devices.types.names),
    } | {name: counts[feeder, kind, column].astype(np.int32) for column, name in enumerate(READS)}
    for column, name in enumerate(CHECKS):
        columns[name] = day.arms[arm].checks[feeder, kind, column].astype(np.int32)
    columns["read_kwh"] = day.arms[arm].read_kwh[feeder, kind]
    return pa.table(columns, schema=arrow_schema("meter_reads"))


def event_rows(
    case: int, arm: int, devices: MeterDevices, day: DeviceDay, limits: LimitDay | None = None,
    watched: NDArray[np.int64] = NOBODY, wallets: Wallets | None = None,
) -> pa.Table:  # fmt: skip
    """Failures, swaps of meters and switches, clocks set, signs of tampering, commands, overloads, wallets of a day.

    Interruptions of supply are told of ``watched`` meters only, since all meters log several a day.
    """
    start = np.datetime64(day.date, "us")
    state, out, ids = devices.state, day.devices, devices.fleet.ids
    swapped = (state.swap_day == devices.context(day.date).day) & (state.installed_day == state.swap_day)
    # a clock is set when the day's profile comes in, after the next midnight
    set_at = start + MIDNIGHT_AFTER + _microseconds(out.arrival_h[out.clock_set])
    parts = [
        (ids[out.failed], np.full(out.failed.sum(), start), NO_CODE, "failed"),
        (ids[swapped], np.full(swapped.sum(), start), NO_CODE, "swapped"),
        (ids[out.clock_set], set_at, CLOCK_SET, "clock_set"),
        *_signs(devices, day, start),
    ]
    if devices.commands is not None and day.commands is not None:
        parts += devices.commands.events(arm, day.commands)
    if devices.relays is not None:
        parts += devices.relays.events(arm)
    if devices.limits is not None and limits is not None:
        parts += devices.limits.events(arm, limits)
    if devices.outages is not None and day.power is not None:
        parts += devices.outages.events(day.power, watched)
    if wallets is not None:
        parts += wallets.events(arm, day.date)
    rows = [
        pa.table(
            {
                "case": np.full(len(who), case, np.int32),
                "event_time": when,
                "consumer_id": who,
                "code": np.full(len(who), code, np.int32),
                "event": pa.array([event] * len(who), pa.string()),
            },
            schema=arrow_schema("meter_events"),
        )
        for who, when, code, event in parts
    ]
    return pa.concat_tables(rows)


def _signs(
    devices: MeterDevices, day: DeviceDay, start: np.datetime64
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.datetime64], int, str]]:
    """Occurrence and restoration of every sign of tampering, kind by kind; meters that have failed log none."""
    works = devices.state.swap_day <= devices.context(day.date).day
    at_h = devices.signs_h(day.date)
    hours = read_yaml("meter_fleet")["theft_signs"]["hours"]
    for kind, code in OCCURRENCE.items():
        mine = np.isfinite(at_h) & works & (devices.fleet.theft_kind == KINDS.index(kind))
        yield devices.fleet.ids[mine], start + _microseconds(at_h[mine]), code, kind
        yield devices.fleet.ids[mine], start + _microseconds(at_h[mine] + hours), RESTORATION[kind], f"{kind}_ended"


def day_rows(
    case: int, arm: int, devices: MeterDevices, day: DeviceDay, watched: NDArray[np.int64],
    used_kwh: NDArray[np.float64], register_kwh: NDArray[np.float64],
) -> pa.Table:  # fmt: skip
    """A day of some meters one by one: the device as it is, and what came in."""
    fleet, state, out = devices.fleet, devices.state, day.devices
    arrival = out.arrival_h[watched].astype(np.float64)
    columns = {
        "case": np.full(len(watched), case, np.int32),
        "date": np.full(len(watched), np.datetime64(day.date, "D")),
        "consumer_id": fleet.ids[watched],
        "device": named(fleet.kind[watched], devices.types.names),
        "working": state.swap_day[watched] <= devices.context(day.date).day,
        "clock_s": state.clock_s[watched].astype(np.float64),
        "arrival_h": pa.array(arrival, mask=~np.isfinite(arrival)),
        "days_fetched": out.fetched[watched].astype(np.int32),
        "days_lost": out.lost[watched].astype(np.int32),
        "days_waiting": state.waiting[watched].astype(np.int32),
        "theft": named(fleet.theft_kind[watched], list(KINDS)),
        "used_kwh": used_kwh,
        "metered_kwh": day.arms[arm].metered_kwh,
        "register_kwh": register_kwh,
    }
    return pa.table(columns, schema=arrow_schema("meter_days"))


def _microseconds(hours: NDArray[np.float32]) -> NDArray[np.timedelta64]:
    return np.rint(hours.astype(np.float64) * 3.6e9).astype("timedelta64[us]")
