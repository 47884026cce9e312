"""What meters show and miss, and how consumers are supplied, run by run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twin.report import numbers
from twin.report.answer_levels import estimated_bills, missed, not_served
from twin.report.catalogue import clean
from twin.report.comparison.members import Member
from twin.report.facts import Arm, Facts
from twin.report.figures import base, meter_limits, meter_losses, meter_power, meter_service
from twin.report.figures.worlds import cases, label, short_label, worlds
from twin.report.settings import setting

ARM_LIMIT = 60
"""Most characters of a world's name in a note."""
CSV = ("outcome", "arm", "run", "value")
DECIMALS = {"failed": 0, "estimated": 0, "unserved": 0, "share": 2, "theft": 2, "saifi": 2, "saidi": 2}
"""Of an outcome; 1 for the others."""


def outcomes(members: Sequence[Member], number: str) -> base.Figure | None:
    """A row per outcome, a column per run and world; None where no run has meters as devices or interruptions."""
    facts, t = members[0].facts, members[0].facts.t
    columns = [(member, arm, values(member.facts, arm)) for member in members for arm in worlds(member.facts)]
    keys = [key for key in MEASURES if any(key in own for _, _, own in columns)]
    if not keys:
        return None
    missing = t.text("compare.not_in_run")
    lines = [
        (
            t.text(f"compare.meters.{key}", hour=_hour()),
            *(_cell(key, own[key]) if key in own else missing for _, _, own in columns),
        )
        for key in keys
    ]
    header = [t.text("column.outcome"), *(_head(member, arm) for member, arm, _ in columns)]
    title = t.text("compare.fig7.title")
    return base.Figure(
        number=number,
        title=title,
        subtitle=t.text("compare.fig7.subtitle", area=facts.area_name("state")),
        alt="",
        help=[t.text("compare.fig7.help"), *(line for member in members for line in _worlds(member))],
        table=base.Table(title, header, lines, frozenset(range(1, len(header)))),
        csv_header=CSV,
        csv_rows=[(key, arm.name, member.label, own.get(key)) for key in keys for member, arm, own in columns],
    )


def _head(member: Member, arm: Arm) -> str:
    """The run, and its world in short where it holds several."""
    if len(worlds(member.facts)) == 1:
        return member.label
    return member.facts.t.text("compare.cell", value=member.label, verdict=short_label(member.facts, arm))


def _worlds(member: Member) -> list[str]:
    """A line that names a run's worlds, where it holds several."""
    names = [clean(label(member.facts, arm), ARM_LIMIT) for arm in worlds(member.facts)]
    return [member.facts.t.text("compare.fig7.worlds", run=member.label, worlds="; ".join(names))] if names[1:] else []


def _hour() -> int:
    return int(setting("service_level")["hours"][0])


def _cell(key: str, value: float) -> str:
    if key == "worth":
        return numbers.rupees(value).indian
    return numbers.number(value, DECIMALS.get(key, 1))


def values(facts: Facts, arm: Arm) -> dict[str, float]:
    """Outcomes of a world that the run holds, means over draws; shares in per cent."""
    return {key: value for part in PARTS for key, value in part(facts, arm).items()}


def _reads(facts: Facts, arm: Arm) -> dict[str, float]:
    rows = meter_service.daily_reads(facts, arm)
    if not rows:
        return {}
    failed = sum(row["meters"] - row["working"] for row in rows) / len(rows) / len(cases(facts, arm))
    return {
        "read": meter_service.share_read(rows, _hour()),
        "worst": min(meter_service.share_read([row], _hour()) for row in rows),
        "day": meter_service.share_read(rows, meter_service.HOURS[-1]),
        "failed": failed,
    }


def _bills(facts: Facts, arm: Arm) -> dict[str, float]:
    return {"estimated": n} if (n := estimated_bills(facts, arm)) else {}


def _missed(facts: Facts, arm: Arm) -> dict[str, float]:
    rows = missed(facts, arm, meter_losses.shown_area(facts))
    if not rows:
        return {}
    return {
        "share": sum(row["percent_of_used"] or 0.0 for row in rows),
        "theft": sum(row["percent_of_used"] or 0.0 for row in rows if row["part"] == "theft"),
        "worth": sum(row["value_inr"] for row in rows),
    }


def _power(facts: Facts, arm: Arm) -> dict[str, float]:
    share = meter_power.gasps_arrived(facts, arm)
    return {} if share is None else {"gasps": share}


def _limits(facts: Facts, arm: Arm) -> dict[str, float]:
    a_day = meter_limits.opened_a_day(facts, arm)
    return {"limited": a_day} if a_day else {}


def _supply(facts: Facts, arm: Arm) -> dict[str, float]:
    rows = facts.rows(
        f"select measure, value from reliability where arm = {arm.sql} and area = 'state' and feeders = 'all' "
        "and measure in ('saifi', 'saidi') order by measure"
    )
    energy, _ = not_served(facts, arm)
    return {row["measure"]: row["value"] for row in rows} | ({"unserved": energy} if energy else {})


PARTS: Sequence[Callable[[Facts, Arm], dict[str, float]]] = (_reads, _bills, _missed, _power, _limits, _supply)
MEASURES = (
    "read", "worst", "day", "failed", "estimated", "share", "theft", "worth", "gasps", "limited", "saifi", "saidi",
    "unserved",
)  # fmt: skip
