"""Bills of a shard's consumers at the end of a billing window, for every arm, and the projected month.

The window's bill is that of the registers: bill(month to date at its end) less bill(month to date at its start). The
projected month answers "what would a whole month cost": baseline use of the month (to date, the window, and the mean
field for its rest), by zone, times what the arm changed in the window. Comparing arms on it does not hang on the days a
run happens to simulate.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.economics.billing import BillColumns, BillOut, bill_month, bill_out, bill_window, whole_month
from twin.economics.prices import consumer_prices
from twin.economics.rates import RateTable
from twin.economics.surplus import surplus_change_inr
from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.simulation.consumer_tables import chunks
from twin.simulation.meter_displays import ESTIMATED, READ, TAKEN_AS, Readings
from twin.simulation.plan import month_end
from twin.simulation.response import rows_of
from twin.simulation.shard_tables import named
from twin.units import PAISE_PER_INR, WH_PER_KWH

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver
    from twin.simulation.meter_state import MeterState
    from twin.simulation.replicate import ReplicateWorld
    from twin.simulation.shard import Shared

BASELINE = 0


def bill_files(
    shared: Shared, name: str, world: ReplicateWorld, meters: MeterState, solver: BlockSolver, date: dt.date
) -> list[FileRecord]:
    """Write the bills of the window that ends with ``date``, one file per arm, consumers in chunks."""
    if len(world.population.consumers) == 0:
        return []
    records = register_files(shared, name, world, meters, date) if "registers" in shared.wanted else []
    if "bills" not in shared.wanted:
        return records
    days_left = month_end(date).day - date.day
    expected_kwh = world.expected_day_kwh(solver, date) if days_left else None
    for arm in range(len(world.plan.arms)):
        case = world.plan.case(arm, world.replicate)
        path = f"tables/bills/case={case}/{name}.parquet"
        parts = partial(_bill_chunks, world, meters, arm, date, expected_kwh)
        records.append(shared.storage.write_chunks(path, "bills", parts))
    return records


def _bill_chunks(
    world: ReplicateWorld, meters: MeterState, arm: int, date: dt.date, expected_kwh: NDArray[np.float64] | None
) -> Iterator[pa.Table]:
    return (bill_rows(world, meters, arm, date, expected_kwh, rows) for rows in chunks(world.population))


def bill_rows(
    world: ReplicateWorld, meters: MeterState, arm: int, date: dt.date, expected_kwh: NDArray[np.float64] | None,
    rows: slice,
) -> pa.Table:  # fmt: skip
    """One arm's bills of some consumers as rows of the table.

    Parameters
    ----------
    expected_kwh : float64[n, n_zones] or None
        Every consumer's mean-field day for the rest of the month; None where the window ends with the month.
    rows : slice
        Of the shard's consumers.
    """
    plan, consumers = world.plan, world.population.consumers.part(rows)
    columns = consumers.bill_columns(world.smart[rows])
    first, n, month_days = meters.window_start(date), len(consumers), month_end(date).day
    start_kwh, base_kwh, end_kwh = meters.start_kwh[0, rows], meters.kwh[BASELINE, rows], meters.kwh[arm, rows]
    rest_kwh = 0.0 if expected_kwh is None else expected_kwh[rows] * (month_days - date.day)
    base_month = base_kwh + rest_kwh
    arm_month = arm_month_kwh(base_month, base_kwh - start_kwh, end_kwh - start_kwh)
    start_wh, end_wh = meters.start_wh(world, rows), meters.end_wh(world, arm, rows)
    used = end_kwh - start_kwh
    table: dict[str, Any] = {
        "case": np.full(n, plan.case(arm, world.replicate), np.int32),
        "consumer_id": consumers.consumer_id,
        "period_start": np.full(n, np.datetime64(first, "D")),
        "period_end": np.full(n, np.datetime64(date, "D")),
        "used_kwh": used.sum(axis=1),
        "metered_kwh": (end_wh - start_wh).sum(axis=1) / WH_PER_KWH,
        "peak_kwh": used[:, plan.evening].sum(axis=1),
        "month_kwh": arm_month.sum(axis=1),
    }
    base_rates = plan.rates(BASELINE, date)
    for tariff, own in world.response.groups(arm, rows):
        days = (first.day - 1, date.day, month_days)
        money = _money(
            plan.rates(tariff, date), base_rates, rows_of(columns, own), days, start_wh[own], end_wh[own],
            base_month[own], arm_month[own],
        )  # fmt: skip
        for name, values in money.items():
            table.setdefault(name, np.zeros(n, values.dtype))[own] = values
    return pa.table({name: table[name] for name in arrow_schema("bills").names}, schema=arrow_schema("bills"))


def _money(
    rates: RateTable, base_rates: RateTable, columns: BillColumns, days: tuple[int, int, int],
    start_wh: NDArray[np.int64], end_wh: NDArray[np.int64], base_month: NDArray[np.float64],
    arm_month: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Columns of money of consumers on one tariff: the window's bill, and the month's in three ways.

    ``days``: of the month at the window's start and end, and of the whole month. Energies have the shape (n, n_zones).
    """
    n, (at_start, at_end, month_days) = len(start_wh), days
    window = bill_window(
        rates, columns, start_wh, whole_month(n, at_start, month_days), end_wh, whole_month(n, at_end, month_days)
    )
    own = month_bill(rates, columns, arm_month, month_days)
    unchanged = month_bill(rates, columns, base_month, month_days)
    base = month_bill(base_rates, columns, base_month, month_days)
    surplus = surplus_change_inr(
        (unchanged.total - base.total) / PAISE_PER_INR,
        _marginal_inr_per_kwh(base_rates, columns, base_month), _marginal_inr_per_kwh(rates, columns, arm_month),
        base_month, arm_month,
    )  # fmt: skip
    return {
        "energy_paise": window.energy,
        "fixed_paise": window.fixed,
        "duty_paise": window.duty,
        "rebate_paise": window.rebate,
        "subsidy_paise": window.subsidy,
        "total_paise": window.total,
        "month_paise": own.total,
        "month_unchanged_paise": unchanged.total,
        "month_surplus_inr": surplus,
    }


def register_files(
    shared: Shared, name: str, world: ReplicateWorld, meters: MeterState, date: dt.date
) -> list[FileRecord]:
    """Write what the registers showed at both ends of the window that ends with ``date``, one file per arm."""
    records = []
    for arm in range(len(world.plan.arms)):
        path = f"tables/registers/case={world.plan.case(arm, world.replicate)}/{name}.parquet"

        def parts(arm: int = arm) -> Iterator[pa.Table]:
            return (register_rows(world, meters, arm, date, rows) for rows in chunks(world.population))

        records.append(shared.storage.write_chunks(path, "registers", parts))
    return records


def register_rows(world: ReplicateWorld, meters: MeterState, arm: int, date: dt.date, rows: slice) -> pa.Table:
    """One arm's registers of some consumers, consumer after consumer: what a bill can be worked out from.

    Meters as devices show what they have counted since they were put up, rolled over; others the month to date.
    """
    consumers, smart, n_zones = world.population.consumers.part(rows), world.smart[rows], world.plan.zones.n_zones
    n, first, schema = len(consumers), meters.window_start(date), arrow_schema("registers")
    shown: dict[str, Any]
    start_wh, end_wh = meters.start_wh(world, rows), meters.end_wh(world, arm, rows)
    readings = meters.readings(world, arm, date, rows)
    if readings is None:
        month, shown = np.zeros_like(start_wh), {"start_wh": start_wh.ravel(), "end_wh": end_wh.ravel()}
        shown |= {
            name: pa.nulls(n * n_zones, schema.field(name).type) for name in ("digits", "removed_wh", "billed_wh")
        }
        shown["taken_as"] = _taken_as(np.full(start_wh.shape, READ))
    else:
        assert meters.displays is not None
        month, shown = readings.month_wh, _shown(readings, meters.displays.digits[rows], end_wh - start_wh)
    table = {
        "case": np.full(n * n_zones, world.plan.case(arm, world.replicate), np.int32),
        "consumer_id": np.repeat(consumers.consumer_id, n_zones),
        "period_start": np.full(n * n_zones, np.datetime64(first, "D")),
        "zone": np.tile(np.arange(n_zones, dtype=np.int8), n),
        "smart": np.repeat(smart, n_zones),
        "month_wh": _unless(np.full(n * n_zones, first.day == 1), month.ravel()),
    } | shown
    return pa.table({name: table[name] for name in schema.names}, schema=schema)


def _shown(readings: Readings, digits: NDArray[np.int64], billed_wh: NDArray[np.int64]) -> dict[str, Any]:
    """Columns of displayed readings; ``billed_wh`` is the energy that a window is billed by, shape (n, n_zones)."""
    n_zones = billed_wh.shape[1]
    otherwise = (billed_wh != readings.gained_wh).any(axis=1, keepdims=True) & np.ones(n_zones, np.bool_)
    return {
        "start_wh": readings.start_wh.ravel(),
        "end_wh": readings.end_wh.ravel(),
        "digits": np.repeat(digits.astype(np.int8), n_zones),
        "removed_wh": _unless(~np.repeat(readings.swapped, n_zones), readings.removed_wh.ravel()),
        "billed_wh": _unless(~otherwise.ravel(), billed_wh.ravel()),
        "taken_as": _taken_as(np.where(otherwise, ESTIMATED, readings.taken_as)),
    }


def _taken_as(codes: NDArray[np.int64]) -> pa.Array:
    return named(codes.ravel(), list(TAKEN_AS))


def _unless(condition: NDArray[np.bool_], values: NDArray[np.int64]) -> pa.Array:
    """Values, and null where a condition holds."""
    return pa.array(values, mask=condition)


def arm_month_kwh(
    base_month: NDArray[np.float64], base_window: NDArray[np.float64], window: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The whole month under an arm: every zone scaled by the change that the window shows. Shapes (n, n_zones)."""
    return base_month * np.divide(window, base_window, out=np.ones_like(window), where=base_window > 0.0)


def month_bill(rates: RateTable, columns: BillColumns, month_kwh: NDArray[np.float64], month_days: int) -> BillOut:
    """Bill of a whole month of this use, held to the Wh."""
    out = bill_out(len(month_kwh))
    bill_month(rates, columns, _whole_wh(month_kwh), whole_month(len(month_kwh), month_days, month_days), out)
    return out


def _marginal_inr_per_kwh(
    rates: RateTable, columns: BillColumns, month_kwh: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What one more kWh costs each consumer in each zone at a month's use, shape (n, n_zones)."""
    seen, state = np.zeros(month_kwh.shape), np.zeros(len(month_kwh), np.uint8)
    consumer_prices(rates, columns, _whole_wh(month_kwh), seen, state)
    return seen


def _whole_wh(kwh: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(kwh * WH_PER_KWH).astype(np.int64)
