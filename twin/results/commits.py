"""The commit protocol: a block of a run exists when its commit record has been written, and not before.

Records are JSON files of their own name, written once under an attempt number. Where several attempts committed the
same block, the highest attempt counts: a killed driver, whose actors live on for some seconds, can no longer
change what readers see once a newer attempt has committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twin.results.storage import FileRecord, Storage

COMMITS = "commits"
ATTEMPTS = "attempts"


@dataclass(frozen=True, order=True)
class BlockKey:
    """One block: sweep point, replicate and day number; all arms of a replicate commit together.

    ``kind`` orders the parts of a run: ``0static`` (population), ``1block`` (simulated days), ``2analysis``.
    """

    kind: str
    point: int = 0
    replicate: int = 0
    block: int = 0

    @property
    def name(self) -> str:
        """File name stem, sortable."""
        return f"{self.kind}-p{self.point:04d}-r{self.replicate:04d}-b{self.block:05d}"


@dataclass(frozen=True)
class Commit:
    """A commit record as read back."""

    key: BlockKey
    attempt: int
    files: tuple[FileRecord, ...]
    checkpoint: tuple[FileRecord, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def begin_attempt(storage: Storage, identity: str, shards: int) -> int:
    """Claim the next attempt number by writing its record; earlier attempts are fenced off by it."""
    attempt = len(storage.list(ATTEMPTS, ".json")) + 1
    storage.write_json(f"{ATTEMPTS}/{attempt:06d}.json", {"attempt": attempt, "identity": identity, "shards": shards})
    return attempt


def latest_attempt(storage: Storage) -> int:
    """Number of the newest attempt, 0 if there is none."""
    return len(storage.list(ATTEMPTS, ".json"))


def write_commit(storage: Storage, commit: Commit) -> None:
    """Make a block exist. The files it lists must all have been written."""
    key = commit.key
    storage.write_json(
        f"{COMMITS}/{key.name}-a{commit.attempt:06d}.json",
        {
            "kind": key.kind,
            "point": key.point,
            "replicate": key.replicate,
            "block": key.block,
            "attempt": commit.attempt,
            "files": [record.as_dict() for record in commit.files],
            "checkpoint": [record.as_dict() for record in commit.checkpoint],
            "extra": commit.extra,
        },
    )


def read_commits(storage: Storage) -> list[Commit]:
    """All blocks that exist, in run order, each in its highest attempt."""
    best: dict[BlockKey, Commit] = {}
    for path in storage.list(COMMITS, ".json"):
        raw = storage.read_json(path)
        key = BlockKey(raw["kind"], raw["point"], raw["replicate"], raw["block"])
        commit = Commit(
            key,
            raw["attempt"],
            tuple(FileRecord(**record) for record in raw["files"]),
            tuple(FileRecord(**record) for record in raw["checkpoint"]),
            raw["extra"],
        )
        if key not in best or best[key].attempt < commit.attempt:
            best[key] = commit
    return [best[key] for key in sorted(best)]
