"""Several fleets at once: each is a whole set of shards and works through cases of its own; one driver serves all.

A fleet's work is a generator that yields what it waits for; the driver serves whichever is answered. Nothing runs
beside anything in this process, so nothing here needs a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol, TypeVar

PSS_PER_SHARD = 16
"""Substations per shard that keep the largest shard within about a tenth of the mean (``docs/scaling.md``)."""

T = TypeVar("T")


class Fleet(Protocol):
    """What the loop of a run needs of a backend."""

    n_shards: int

    def call(self, method: str, args: list[tuple[Any, ...]], what: str) -> list[Any]:
        """Call a method of every shard and wait."""
        ...

    def submit(self, method: str, args: list[tuple[Any, ...]]) -> Any:
        """Call a method of every shard without waiting; calls of a shard are done in order."""
        ...

    def is_answered(self, handle: Any) -> bool:
        """Whether `gather` would not wait."""
        ...

    def gather(self, handle: Any, what: str) -> list[Any]:
        """Wait for what `submit` began."""
        ...


class Wait(NamedTuple):
    """What a program waits for."""

    handle: Any
    what: str


Program = Generator[Wait, list[Any], T]
"""Work of one fleet: yields what it waits for, is sent the answers."""


def work_together(programs: list[tuple[Fleet, Program[None]]]) -> None:
    """Run all programs to their ends, each on its fleet, going on with whichever has its answers."""
    waiting = deque[tuple[Fleet, Program[None], Wait]]()
    for fleet, program in programs:
        wait = next(program, None)
        if wait is not None:
            waiting.append((fleet, program, wait))
    while waiting:
        fleet, program, wait = waiting.popleft()
        if waiting and not fleet.is_answered(wait.handle):
            waiting.append((fleet, program, wait))
            continue
        try:
            wait = program.send(fleet.gather(wait.handle, wait.what))
        except StopIteration:
            continue
        waiting.append((fleet, program, wait))


def fleets_for(asked: int | None, workers: int, cases: int, n_pss: int) -> int:
    """How many fleets a run has: at most one per case and worker.

    Unless a number is asked for, there are more than one only where a single fleet would cut its substations too
    small; more fleets cost their population's memory each.

    Parameters
    ----------
    asked : int or None
        What the user wants.
    workers : int
        Shards that there are CPUs for, in all.
    cases : int
        Replicates of all sweep points; the arms of one share a fleet.
    n_pss : int
        Substations to divide.
    """
    useful = max(1, n_pss // PSS_PER_SHARD)
    wanted = workers // useful if asked is None else asked
    return max(1, min(wanted, workers, cases))
