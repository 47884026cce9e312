"""What meters show and miss, and how consumers are supplied, run by run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twin.report import numbers
from twin.report.answer_levels import missed, not_served
from twin.report.catalogue import clean
from twin.report.comparison.members import Member
from twin.report.facts import Arm, Facts
from twin.report.figures import base, meter_limits, meter_losses, meter_power, meter_service
from twin.report.figures.worlds import cases, in_cases, label, worlds
from twin.report.settings import setting

ESTIMATED = ("missing", "defective", "door_locked")
CSV = ("outcome", "arm", "run", "value")
DECIMALS = {"failed": 0, "estimated": 0, "unserved": 0, "share": 2, "theft": 2, "saifi": 2, "saidi": 2}
"""Of an outcome; 1 for the others."""


def outcomes(members: Sequence[Member], number: str) -> base.Figure | None:
    """A table by outcome and world, a column per run; None where no run has meters as devices or interruptions."""
    facts, t = members[0].facts, members[0].facts.t
    found = [{arm.name: (arm, values(m.facts, arm)) for arm in worlds(m.facts)} for m in members]
    keys = [key for key in MEASURES if any(key in told for own in found for _, told in own.values())]
    if not keys:
        return None
    names = dict.fromkeys(name for own in found for name in own)
    lines, rows = [], []
    for key in keys:
        for name in names:
            own = [told[name][1].get(key) if name in told else None for told in found]
            if all(value is None for value in own):
                continue
            facts_of, arm = next(
                (m.facts, told[name][0]) for m, told in zip(members, found, strict=True) if name in told
            )
            words = t.text(f"compare.meters.{key}", hour=_hour())
            cells = [t.text("compare.not_in_run") if value is None else _cell(key, value) for value in own]
            lines.append((words, clean(label(facts_of, arm), 60), *cells))
            rows += [(key, name, member.label, value) for member, value in zip(members, own, strict=True)]
    header = [t.text("column.outcome"), t.text("column.arm"), *(member.label for member in members)]
    title = t.text("compare.fig7.title")
    return base.Figure(
        number=number,
        title=title,
        subtitle=t.text("compare.fig7.subtitle", area=facts.area_name("state")),
        alt="",
        help=[t.text("compare.fig7.help")],
        table=base.Table(title, header, lines, frozenset(range(2, len(header)))),
        csv_header=CSV,
        csv_rows=rows,
    )


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
    flags = ", ".join(f"'{flag}'" for flag in ESTIMATED)
    where = f"{in_cases(facts, arm)} and flag in ({flags})"
    n = facts.rows(f"select count(*) as n from estimates where {where}")[0]["n"]
    return {"estimated": n / len(cases(facts, arm))} if n else {}


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
