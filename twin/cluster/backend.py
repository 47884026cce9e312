"""Where the shards live: one interface, two backends. `open_backend` chooses; only `ray_backend` knows Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twin.simulation.shard import Shard, ShardSpec, Shared


class Backend(Protocol):
    """A fleet of shards that are called together, once per shard, and answer in shard order."""

    n_shards: int

    def call(self, method: str, args: Sequence[tuple[Any, ...]], what: str) -> list[Any]:
        """Call ``method`` of every shard with its own arguments; ``what`` says in messages what is being waited for."""
        ...

    def submit(self, method: str, args: Sequence[tuple[Any, ...]]) -> Any:
        """Call ``method`` of every shard without waiting. A shard does its calls in order."""
        ...

    def is_answered(self, handle: Any) -> bool:
        """Whether `gather` would not wait; looks for a few milliseconds."""
        ...

    def gather(self, handle: Any, what: str) -> list[Any]:
        """Wait for what `submit` began; answers in shard order."""
        ...

    def close(self) -> None:
        """Let the shards go."""
        ...


def shard_class(shared: Shared) -> type[Shard]:
    """What kind of shard a run needs."""
    if shared.own is None:
        return Shard
    from twin.simulation.own_shard import OwnShard  # it imports pandapower, which takes a worker seconds

    return OwnShard


class LocalBackend:
    """Shards in this process, one after another: for tests, notebooks and small scenarios."""

    def __init__(self, specs: Sequence[ShardSpec], shared: Shared) -> None:
        self.n_shards = len(specs)
        self.shards = [shard_class(shared)(spec, shared) for spec in specs]

    def call(self, method: str, args: Sequence[tuple[Any, ...]], what: str) -> list[Any]:
        """Call each shard in turn."""
        return self.gather(self.submit(method, args), what)

    def submit(self, method: str, args: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call each shard in turn, now."""
        return [getattr(shard, method)(*one) for shard, one in zip(self.shards, args, strict=True)]

    def is_answered(self, handle: list[Any]) -> bool:
        """Always: `submit` has done the work."""
        return True

    def gather(self, handle: list[Any], what: str) -> list[Any]:
        """What `submit` returned."""
        return handle

    def close(self) -> None:
        """Drop the shards."""
        self.shards = []


@dataclass(frozen=True)
class Workplace:
    """How to make backends of one kind, and how many shards there is room for."""

    n_shards: Callable[[int | None], int]
    """Shards to cut into, of those asked for (None: as many as there are CPUs)."""
    open: Callable[[Sequence[ShardSpec], Shared], Backend]
    leave: Callable[[], None]
    """Give back what was started for the run."""


def workplace(kind: str, address: str | None) -> Workplace:
    """Where shards of this kind of backend live: ``local`` or ``ray`` (imported only then)."""
    if kind == "local":
        return Workplace(lambda asked: asked or os.cpu_count() or 1, LocalBackend, lambda: None)
    from twin.cluster.ray_backend import RayPlace

    place = RayPlace(address)
    return Workplace(place.n_shards, place.open, place.leave)
