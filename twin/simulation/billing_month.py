"""Bills of a shard's consumers at the end of a billing window, for every arm, and the projected month.

The window's bill is that of the registers: bill(month to date at its end) less bill(month to date at its start). The
projected month answers "what would a whole month cost": baseline use of the month (to date, the window, and the mean
field for its rest), by zone, times what the arm changed in the window. Comparing arms on it does not hang on the days a
run happens to simulate.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.economics.billing import BillColumns, BillOut, bill_month, bill_out, bill_window, whole_month
from twin.economics.prices import consumer_prices
from twin.economics.rates import RateTable
from twin.economics.surplus import surplus_change_inr
from twin.meters.register import register_wh
from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.simulation.plan import month_end
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
    """Write the bills of the window that ends with ``date``, one table per arm."""
    if "bills" not in shared.wanted or len(world.population.consumers) == 0:
        return []
    columns = world.population.consumers.bill_columns(world.smart)
    base_month = baseline_month_kwh(world, meters, solver, date)
    records = []
    for arm in range(len(world.plan.arms)):
        case = world.plan.case(arm, world.replicate)
        rows = bill_rows(world, meters, columns, arm, date, base_month)
        path = f"tables/bills/case={case}/{name}.parquet"
        records.append(shared.storage.write_table(path, "bills", rows))
    return records


def baseline_month_kwh(
    world: ReplicateWorld, meters: MeterState, solver: BlockSolver, date: dt.date
) -> NDArray[np.float64]:
    """The whole month under the first arm: month to date at the window's end plus a mean-field rest. (n, n_zones)."""
    days_left = month_end(date).day - date.day
    total = meters.kwh[BASELINE].copy()
    if days_left:
        total += world.expected_day_kwh(solver, date) * days_left
    return total


def arm_month_kwh(meters: MeterState, arm: int, base_month: NDArray[np.float64]) -> NDArray[np.float64]:
    """The whole month under an arm: every zone scaled by the change that the window shows. Shape (n, n_zones)."""
    base_window = meters.kwh[BASELINE] - meters.start_kwh[0]
    window = meters.kwh[arm] - meters.start_kwh[0]
    ratio = np.divide(window, base_window, out=np.ones_like(window), where=base_window > 0.0)
    return base_month * ratio


def bill_rows(
    world: ReplicateWorld, meters: MeterState, columns: BillColumns, arm: int, date: dt.date,
    base_month: NDArray[np.float64],
) -> pa.Table:  # fmt: skip
    """One arm's bills as rows of the table."""
    plan, consumers = world.plan, world.population.consumers
    rates = plan.rates(arm, date)
    first, n = meters.window_start(date), len(consumers)
    resolution = consumers.register_resolution_wh(world.smart)
    start_wh = register_wh(meters.start_kwh[0], resolution)
    end_wh = register_wh(meters.kwh[arm], resolution)
    month_days = month_end(date).day
    window = bill_window(
        rates, columns, start_wh, whole_month(n, first.day - 1, month_days), end_wh,
        whole_month(n, date.day, month_days),
    )  # fmt: skip
    arm_month = arm_month_kwh(meters, arm, base_month)
    used = meters.kwh[arm] - meters.start_kwh[0]
    own = _month_bill(rates, columns, arm_month, month_days)
    unchanged = _month_bill(rates, columns, base_month, month_days)
    base_rates = plan.rates(BASELINE, date)
    base = _month_bill(base_rates, columns, base_month, month_days)
    surplus = surplus_change_inr(
        (unchanged.total - base.total) / PAISE_PER_INR,
        _marginal_inr_per_kwh(base_rates, columns, base_month), _marginal_inr_per_kwh(rates, columns, arm_month),
        base_month, arm_month,
    )  # fmt: skip
    table = {
        "case": np.full(n, plan.case(arm, world.replicate), np.int32),
        "consumer_id": consumers.consumer_id,
        "period_start": np.full(n, np.datetime64(first, "D")),
        "period_end": np.full(n, np.datetime64(date, "D")),
        "used_kwh": used.sum(axis=1),
        "metered_kwh": (end_wh - start_wh).sum(axis=1) / WH_PER_KWH,
        "peak_kwh": used[:, plan.evening].sum(axis=1),
        "energy_paise": window.energy,
        "fixed_paise": window.fixed,
        "duty_paise": window.duty,
        "rebate_paise": window.rebate,
        "subsidy_paise": window.subsidy,
        "total_paise": window.total,
        "month_kwh": arm_month.sum(axis=1),
        "month_paise": own.total,
        "month_unchanged_paise": unchanged.total,
        "month_surplus_inr": surplus,
    }
    return pa.table(table, schema=arrow_schema("bills"))


def _month_bill(rates: RateTable, columns: BillColumns, month_kwh: NDArray[np.float64], month_days: int) -> BillOut:
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
