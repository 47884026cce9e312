"""What ``twin bill`` shows: a consumer's bill of a run, line by line, checked against the run's table ``bills``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from twin.datapack import categories
from twin.economics.billing import BillColumns
from twin.economics.slabs import SMART
from twin.economics.worked_bill import COMPONENTS, BillLine, MonthToDate, component_paise, worked_bill
from twin.errors import Problem, RunFolderError
from twin.meters.register import rollover_wh, row_gained_wh
from twin.results.reader import Run
from twin.scenario.names import suggestion
from twin.scenario.schema import Scenario
from twin.simulation.plan import PointPlan, month_end, plans
from twin.simulation.response import BASELINE
from twin.units import PAISE_PER_INR, WH_PER_KWH


@dataclass(frozen=True)
class WindowReadings:
    """What a meter's registers showed, and what a window is billed by; arrays of shape (n_zones,). [Wh]"""

    month_wh: NDArray[np.int64]
    """When the bill month began."""
    start_wh: NDArray[np.int64]
    end_wh: NDArray[np.int64]
    removed_wh: NDArray[np.int64] | None
    """Of a meter that was taken down in the window; the one that showed ``end_wh`` began at zero."""
    rollover_wh: int | None
    """Energy at which the registers show zero again; None: never."""
    taken_as: list[str]
    window_wh: NDArray[np.int64]
    """Energy that the window is billed by."""

    @property
    def before_wh(self) -> NDArray[np.int64]:
        """Energy of the bill month before the window."""
        before = self.start_wh - self.month_wh
        return before if self.rollover_wh is None else np.mod(before, self.rollover_wh)

    def counter_wh(self, readings_wh: NDArray[np.int64]) -> int:
        """What the register of all hours shows."""
        total = int(readings_wh.sum())
        return total if self.rollover_wh is None else total % self.rollover_wh


@dataclass(frozen=True)
class WindowBill:
    """A billing window: the month to date at its end, less the month to date at its start."""

    first: dt.date
    last: dt.date
    readings: WindowReadings
    at_end: list[BillLine]
    at_start: list[BillLine]
    """Empty where the window starts with the month."""

    @property
    def paise(self) -> dict[str, int]:
        """Components of the window and their total, as in table ``bills``."""
        late, early = component_paise(self.at_end), component_paise(self.at_start)
        return {name: late[name] - early[name] for name in late}


@dataclass(frozen=True)
class ConsumerBill:
    """All bills of one consumer in one case of a run."""

    consumer: dict[str, Any]
    arm: str
    tariff: str
    """The arm whose tariff the consumer is on. That is not ``arm`` for those who did not join it, or who left it."""
    case: int
    windows: list[WindowBill]


def consumer_bill(
    run: Run, consumer_id: int, arm: str | None = None, replicate: int = 0, point: int = 0
) -> ConsumerBill:
    """The bills of one consumer of a run.

    Parameters
    ----------
    run : Run
        A run that wrote ``consumers``, ``bills`` and ``registers``.
    consumer_id : int
        As in table ``consumers``.
    arm : str, optional
        An arm of the experiment; left out: the first.
    replicate, point : int
        Which replicate, and which sweep point.

    Raises
    ------
    RunFolderError
        If the run lacks the tables, the consumer or the case, or the lines do not add up to table ``bills``.
    """
    _check_tables(run)
    plan, arm_row = _plan(run, arm, replicate, point)
    case = plan.case(arm_row, replicate)
    consumer = _rows(run, "consumers", consumer_id)
    if not consumer:
        raise _refused("CONSUMER", f"there is no consumer {consumer_id} in this run", _known_consumers(run))
    bills = _rows(run, "bills", consumer_id, case)
    if not bills:
        raise _refused("bills", f"case {case} has no bill of consumer {consumer_id}", "finish the run with --resume")
    registers = _rows(run, "registers", consumer_id, case)
    choices = _choices(run, plan, arm_row, case, consumer[0])
    tariff, windows = _own_tariff(plan, choices, consumer[0], bills, registers)
    return ConsumerBill(consumer[0], plan.arms[arm_row], tariff, case, windows)


def _choices(run: Run, plan: PointPlan, arm: int, case: int, consumer: dict[str, Any]) -> list[int]:
    """Arms whose tariff a consumer may be on: in a pilot's world that of the DT; with enrolment the first arm's too."""
    if arm == plan.pilot_world:
        where = f'"case" = {case} AND dt_id = {int(consumer["dt_id"])}'
        drawn = [name for name in run.table("pilot", ["arm"], where).column(0).to_pylist() if name]
        arm = plan.tariff_arms.index(drawn[0]) if drawn else BASELINE
    return [arm] if plan.scenario.arms[arm].enrolment is None or arm == BASELINE else [arm, BASELINE]


def _own_tariff(
    plan: PointPlan, choices: list[int], consumer: dict[str, Any], bills: list[dict[str, Any]],
    registers: list[dict[str, Any]],
) -> tuple[str, list[WindowBill]]:  # fmt: skip
    """The arm whose tariff the run billed, and the windows on it.

    No table holds who joined: it is the tariff whose lines add up to table ``bills`` in every window. Where both
    do, the bills are the same, and both are named.
    """
    windows = {arm: [_window(plan, arm, consumer, row, registers) for row in bills] for arm in choices}
    misfits = {arm: _misfit(own, bills) for arm, own in windows.items()}
    fitting = [arm for arm in choices if misfits[arm] is None]
    if not fitting:
        first = misfits[choices[0]]
        assert first is not None, "no choice fits"
        raise first
    return " or ".join(plan.arms[arm] for arm in fitting), windows[fitting[0]]


def _refused(path: str, what: str, fix: str) -> RunFolderError:
    return RunFolderError([Problem("bill", path, what, fix)])


def _check_tables(run: Run) -> None:
    missing = [name for name in ("consumers", "bills", "registers") if not run.files(name)]
    if missing:
        fix = f"run it again with `output: {{tables: all}}`, or a list that holds {', '.join(missing)}"
        raise RunFolderError([Problem(run.path, f"tables/{name}", "was not written", fix) for name in missing])


def _plan(run: Run, arm: str | None, replicate: int, point: int) -> tuple[PointPlan, int]:
    """The plan of a sweep point, and the row of the arm."""
    steps = run.scenario.get("time", {}).get("step_minutes")
    try:
        scenario = Scenario.model_validate(run.scenario, context={"step_minutes": steps})
    except ValidationError as error:
        what = f"this version does not understand the run's scenario ({error.error_count()} problems)"
        raise _refused("scenario.yaml", what, "use the version that made the run") from error
    points = plans(scenario)
    problems = []
    if not 0 <= point < len(points):
        fix = f"use 0 to {len(points) - 1}"
        problems.append(Problem("bill", "--point", f"there is no sweep point {point}", fix))
    if not 0 <= replicate < scenario.experiment.replicates:
        fix = f"use 0 to {scenario.experiment.replicates - 1}"
        problems.append(Problem("bill", "--replicate", f"there is no replicate {replicate}", fix))
    names = scenario.world_names
    if arm is not None and arm not in names:
        problems.append(Problem("bill", "--arm", f"there is no arm '{arm}'", suggestion(arm, names)))
    if problems:
        raise RunFolderError(problems)
    return points[point], names.index(arm) if arm is not None else 0


def _rows(run: Run, table: str, consumer_id: int, case: int | None = None) -> list[dict[str, Any]]:
    """A consumer's rows of a table, in key order."""
    where = f"consumer_id = {int(consumer_id)}" + ("" if case is None else f' AND "case" = {int(case)}')
    rows: pa.Table = run.table(table, where=where)
    return list(rows.to_pylist())


def _known_consumers(run: Run) -> str:
    """Some consumers that the run holds, and where all of them stand."""
    some = run.query('SELECT consumer_id FROM "consumers" ORDER BY consumer_id LIMIT 3').column(0).to_pylist()
    return f"take one of tables/consumers, for example {', '.join(map(str, some))}"


def _window(
    plan: PointPlan, arm: int, consumer: dict[str, Any], bill: dict[str, Any], registers: list[dict[str, Any]]
) -> WindowBill:
    first, last = bill["period_start"], bill["period_end"]
    own = sorted((row for row in registers if row["period_start"] == first), key=lambda row: int(row["zone"]))
    if [row["zone"] for row in own] != list(range(plan.zones.n_zones)):
        what = f"holds {len(own)} zones of the window from {first}, not {plan.zones.n_zones}"
        raise _refused("registers", what, "the run is damaged; run it again")
    code = [row.category for row in categories()].index(consumer["category"])
    columns = BillColumns(
        np.array([code], np.uint8),
        np.array([consumer["sanctioned_kw"]], np.float32),
        np.array([consumer["contract_kva"]], np.float32),
        np.array([SMART if own[0]["smart"] else 0], np.uint8),
        np.array([consumer["power_factor"]], np.float32),
    )
    rates, month_days = plan.rates(arm, last), month_end(last).day
    tariff = plan.arm_tariffs[arm if last >= plan.tariff_start else BASELINE]

    def lines(to_date_wh: NDArray[np.int64], days: int) -> list[BillLine]:
        return worked_bill(tariff, rates, plan.zones, columns, MonthToDate(to_date_wh, days, month_days, month_days))

    readings = _readings(own)
    at_start = lines(readings.before_wh, first.day - 1) if first.day > 1 else []
    return WindowBill(first, last, readings, lines(readings.before_wh + readings.window_wh, last.day), at_start)


def _readings(own: list[dict[str, Any]]) -> WindowReadings:
    """A window's rows of table ``registers``, zone by zone."""

    def column(name: str) -> NDArray[np.int64] | None:
        values = [row[name] for row in own]
        return None if values[0] is None else np.array(values, np.int64)

    start, end, digits = column("start_wh"), column("end_wh"), own[0]["digits"]
    assert start is not None, "a window has readings at both ends"
    assert end is not None, "a window has readings at both ends"
    month = column("month_wh")
    rollover = None if digits is None else int(rollover_wh(np.array([digits], np.int64))[0])
    return WindowReadings(
        start if month is None else month, start, end, column("removed_wh"), rollover,
        [row["taken_as"] for row in own], np.array([row_gained_wh(row) for row in own], np.int64),
    )  # fmt: skip


def _misfit(windows: list[WindowBill], bills: list[dict[str, Any]]) -> RunFolderError | None:
    """The lines must add up to the run's own bills, to the paisa; None: they do."""
    for window, row in zip(windows, bills, strict=True):
        for name, paise in window.paise.items():
            if paise != row[f"{name}_paise"]:
                what = f"the lines of {name} add up to {paise} paise, table bills says {row[f'{name}_paise']}"
                return _refused(f"bills, {window.first}", what, "use the version that made the run")
    return None


def show_bill(bill: ConsumerBill, console: Console) -> None:
    """Print a consumer's bills."""
    who = bill.consumer
    meter = "smart meter" if who["smart"] else "ordinary meter"
    console.print(
        f"consumer {who['consumer_id']}, {who['category']} in {who['district']}, {who['sanctioned_kw']:g} kW, {meter}; "
        f"arm {bill.arm}{'' if bill.tariff == bill.arm else f', on the tariff of {bill.tariff}'}, case {bill.case}",
        highlight=False, markup=False,
    )  # fmt: skip
    for window in bill.windows:
        console.print(_printed_readings(window, with_zones=bool(who["smart"])), highlight=False)
        console.print(_printed(window), highlight=False)
    console.print("Amounts are rounded so that lines add up to the bill. Not in it: online rebate.", highlight=False)


def _printed_readings(window: WindowBill, *, with_zones: bool) -> Table:
    """What the meter showed at both ends, and what that comes to."""
    readings, title = window.readings, f"Register, {window.first} to {window.last}"
    old = readings.removed_wh
    table = Table(title=title, title_justify="left")
    between = [] if old is None else ["old meter kWh"]
    for name in ("register", "at start kWh", *between, "at end kWh", "billed kWh", "taken as"):
        table.add_column(name, justify="left" if name in ("register", "taken as") else "right")

    def add(name: str, start: int, removed: int | None, end: int, billed: int, taken_as: str) -> None:
        shown = (start, end) if removed is None else (start, removed, end)
        table.add_row(name, *(_kwh(wh) for wh in (*shown, billed)), taken_as.replace("_", " "))

    total = readings.counter_wh
    zones = range(len(readings.start_wh)) if with_zones and len(readings.start_wh) > 1 else []
    for zone in zones:
        removed = None if old is None else int(old[zone])
        start, end, billed = (int(part[zone]) for part in (readings.start_wh, readings.end_wh, readings.window_wh))
        add(f"zone {zone}", start, removed, end, billed, readings.taken_as[zone])
    removed = None if old is None else total(old)
    word = "" if zones else max(readings.taken_as, key=lambda one: one != "read")
    add("all hours", total(readings.start_wh), removed, total(readings.end_wh), int(readings.window_wh.sum()), word)
    return table


def _kwh(wh: int) -> str:
    return f"{wh / WH_PER_KWH:,.2f}"


def _printed(window: WindowBill) -> Table:
    table = Table(title=f"{window.first} to {window.last}", title_justify="left")
    for name, justify in (("line", "left"), ("quantity", "right"), ("rate", "right"), ("Rs", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    begin = window.last.replace(day=1)
    if window.at_start:
        table.add_row(f"month to date, {begin} to {window.last}", "", "", "", style="bold")
    for row in _line_rows(window.at_end):
        table.add_row(*row)
    if window.at_start:
        before = window.first - dt.timedelta(days=1)
        table.add_section()
        table.add_row(f"month to date, {begin} to {before}", "", "", "", style="bold")
        for row in _line_rows(window.at_start):
            table.add_row(*row)
    table.add_section()
    for name in COMPONENTS:
        sign = -1 if name in ("rebate", "subsidy") else 1
        table.add_row(f"{name} of the window", "", "", _inr(sign * window.paise[name]))
    table.add_row("bill of the window", "", "", _inr(window.paise["total"]), style="bold")
    return table


def _line_rows(lines: list[BillLine]) -> Iterator[tuple[str, str, str, str]]:
    for line in lines:
        quantity = "" if line.quantity is None else f"{float(line.quantity):,.3f} {line.unit}"
        rate = "" if line.rate_inr is None else f"{float(line.rate_inr):.4f}"
        yield line.what, quantity, rate, _inr(line.paise)
    yield "month to date", "", "", _inr(sum(line.paise for line in lines))


def _inr(paise: int) -> str:
    sign = "-" if paise < 0 else ""
    return f"{sign}{abs(paise) // PAISE_PER_INR:,}.{abs(paise) % PAISE_PER_INR:02d}"
