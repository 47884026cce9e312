"""When a run's parts worked: spans of shards and of the grid above, and CPU seconds by level.

A block's commit record keeps them, so that a resumed run knows them all. They are small: rounds times arms a block.
Clocks are those of the machines that worked; on a cluster they must be set alike for overlaps to mean anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Part = Literal["shards", "above", "accept", "commit"]
"""Shards settle feeders; the driver solves the grid above; shards verify and let go; shards write."""


class Work(NamedTuple):
    """What a shard says of one call."""

    began_s: float = 0.0
    """By the shard's clock, since 1970. [s]"""
    ended_s: float = 0.0
    levels: tuple[tuple[str, float], ...] = ()
    """CPU seconds by level, which add up to those of the call."""


class Span(NamedTuple):
    """One part's work on one arm in one round."""

    part: Part
    arm: int
    round: int
    began_s: float
    ended_s: float
    busy_s: float
    """Sum over the shards. [s]"""


@dataclass
class Levels:
    """CPU seconds of this thread by level, where no measurement is inside another: other work on the machine does not
    count.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, level: str, seconds: float) -> None:
        """Add to one level."""
        self.seconds[level] = self.seconds.get(level, 0.0) + seconds

    @contextmanager
    def measure(self, level: str) -> Iterator[None]:
        """Add the CPU time of a block of code to one level."""
        began = time.thread_time()
        try:
            yield
        finally:
            self.add(level, time.thread_time() - began)

    def since(self, before: Mapping[str, float], whole_s: float, rest: str) -> tuple[tuple[str, float], ...]:
        """What was added after ``before``; ``rest`` is what is left of ``whole_s``."""
        parts = {name: value - before.get(name, 0.0) for name, value in self.seconds.items()}
        parts = {name: value for name, value in parts.items() if value > 0.0}
        parts[rest] = parts.get(rest, 0.0) + max(whole_s - sum(parts.values()), 0.0)
        return tuple(parts.items())


@dataclass
class BlockLog:
    """Spans and levels of one block, as the driver collects them."""

    spans: list[Span] = field(default_factory=list)
    levels: Levels = field(default_factory=Levels)

    def shards(self, part: Part, arm: int, number: int, works: Iterable[Work]) -> None:
        """Take what all shards say of one call."""
        told = [work for work in works if work.ended_s > 0.0]
        if not told:
            return
        for work in told:
            for name, seconds in work.levels:
                self.levels.add(name, seconds)
        began, ended = min(work.began_s for work in told), max(work.ended_s for work in told)
        self.spans.append(Span(part, arm, number, began, ended, sum(work.ended_s - work.began_s for work in told)))

    @contextmanager
    def above(self, arm: int, number: int) -> Iterator[None]:
        """A span of the driver's own work on the grid above."""
        began, clock = time.time(), time.perf_counter()
        with self.levels.measure("33kv_and_above"):
            yield
        seconds = time.perf_counter() - clock
        self.spans.append(Span("above", arm, number, began, began + seconds, seconds))

    def as_rows(self) -> list[list[str | float]]:
        """Plain form for a commit record; times to a tenth of a millisecond."""
        return [
            [span.part, span.arm, span.round, *(round(value, 4) for value in (span.began_s, span.ended_s, span.busy_s))]
            for span in self.spans
        ]  # fmt: skip


def spans_of(rows: Iterable[Iterable[str | float]]) -> list[Span]:
    """The inverse of `BlockLog.as_rows`."""
    return [Span(*row) for row in rows]  # type: ignore[arg-type]


def overlap_s(spans: Iterable[Span]) -> tuple[float, float]:
    """Seconds of the grid above, and those of them in which shards worked too (in any round of any arm)."""
    spans = list(spans)
    above = [(span.began_s, span.ended_s) for span in spans if span.part == "above"]
    busy = _union([(span.began_s, span.ended_s) for span in spans if span.part != "above"])
    both = sum(max(min(a1, b1) - max(a0, b0), 0.0) for a0, a1 in above for b0, b1 in busy)
    return sum(end - begin for begin, end in above), both


def idle_s(spans: Iterable[Span]) -> tuple[float, float]:
    """Seconds from the first span to the last, and those of them in which nobody worked: messages and waiting."""
    pairs = [(span.began_s, span.ended_s) for span in spans]
    if not pairs:
        return 0.0, 0.0
    length = max(end for _, end in pairs) - min(begin for begin, _ in pairs)
    return length, length - sum(end - begin for begin, end in _union(pairs))


def _union(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(pairs):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined
