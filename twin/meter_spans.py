"""Spans of time in one meter's life: without supply, or with an open switch."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, order=True)
class Span:
    """From ``began`` until ``ended``; ``cause`` is empty where nothing tells it."""

    began: dt.datetime
    ended: dt.datetime
    cause: str = ""

    @property
    def hours(self) -> float:
        """Length. [h]"""
        return (self.ended - self.began) / HOUR


def flips(
    events: Iterable[Mapping[str, Any]], opens: tuple[str, ...], closes: tuple[str, ...], begin: dt.datetime | None,
    end: dt.datetime,
) -> list[Span]:  # fmt: skip
    """Spans between events whose names end in one of ``opens`` and the next that ends in one of ``closes``.

    What is open at the run's ``end`` ends there. A closing before any opening began before the run, at ``begin``; where
    that is None it closes nothing, as a command to connect what was connected.
    """
    spans: list[Span] = []
    since, cause = begin, ""
    for row in sorted(events, key=lambda row: row["event_time"]):
        if row["event"].endswith(opens):
            if since is None or since == begin:
                since, cause = row["event_time"], row["event"]
            begin = None
        elif row["event"].endswith(closes):
            if since is not None:
                spans.append(Span(since, row["event_time"], cause))
            since = begin = None
    return [*spans, Span(since, end, cause)] if since is not None and since != begin else spans


def of_events(
    events: Iterable[Mapping[str, Any]], begins: str, ends: str, begin: dt.datetime, end: dt.datetime
) -> list[Span]:
    """Spans between two events of exactly these names."""
    mine = [row for row in events if row["event"] in (begins, ends)]
    return [Span(span.began, span.ended) for span in flips(mine, (begins,), (ends,), begin, end)]


def merged(spans: Sequence[Span]) -> list[Span]:
    """Spans that overlap or touch as one, rising; its cause is that of the parts that tell one."""
    out: list[Span] = []
    for span in sorted(spans):
        if out and span.began <= out[-1].ended:
            last = out.pop()
            causes = dict.fromkeys(name for name in (*last.cause.split(", "), *span.cause.split(", ")) if name)
            span = Span(last.began, max(last.ended, span.ended), ", ".join(causes))
        out.append(span)
    return out


def hours_by_day(spans: Iterable[Span]) -> dict[dt.date, float]:
    """Hours in some spans that lie apart, by calendar day."""
    found: dict[dt.date, float] = {}
    for span in spans:
        began = span.began
        while began < span.ended:
            midnight = dt.datetime.combine(began.date(), dt.time()) + DAY
            until = min(midnight, span.ended)
            found[began.date()] = found.get(began.date(), 0.0) + (until - began) / HOUR
            began = until
    return found
