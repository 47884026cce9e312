"""The commit protocol: a block of a run exists when its commit record has been written, and not before.

Records are JSON files of their own name, written once under an attempt number. Where several attempts committed the
same block, the highest attempt counts: a killed driver, whose actors live on for some seconds, can no longer
change what readers see once a newer attempt has committed. A driver that comes back after a newer attempt has begun
is stopped before its next commit.
"""

from __future__ import annotations

import json
import logging
import os
import random
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from twin.errors import FencedError, StorageError
from twin.results.storage import FileRecord, Storage

LOG = logging.getLogger(__name__)

COMMITS = "commits"
ATTEMPTS = "attempts"
MOST_CLAIMS = 10
"""Tries to get an attempt number that nobody else has taken at the same moment."""


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


def begin_attempt(storage: Storage, identity: str, shards: int | None) -> int:
    """Claim the next attempt number by writing its record; earlier attempts are fenced off by it.

    Records carry a random part in their names: of drivers that claim at the same moment, all see each other and
    claim again. ``shards`` is what was asked for, None: as many as there are CPUs.
    """
    content = {"identity": identity, "shards": shards, "host": socket.gethostname(), "process": os.getpid()}
    for _ in range(MOST_CLAIMS):
        attempt = latest_attempt(storage) + 1
        path = f"{ATTEMPTS}/{attempt:06d}-{secrets.token_hex(4)}.json"
        storage.write_json(path, {"attempt": attempt, **content})
        if [name for name in storage.list(ATTEMPTS, ".json") if _number(name) >= attempt] == [path]:
            return attempt
        time.sleep(random.uniform(0.1, 1.0))  # noqa: S311, decides no result
    raise StorageError(f"{storage.uri}: other runs keep claiming this folder; let one of them run alone")


def _number(path: str) -> int:
    return int(path.rpartition("/")[2][:6])


def latest_attempt(storage: Storage) -> int:
    """Number of the newest attempt, 0 if there is none."""
    return max((_number(path) for path in storage.list(ATTEMPTS, ".json")), default=0)


def attempt_identities(storage: Storage) -> set[str]:
    """Of which runs there are attempts; records that were cut short are passed over."""
    found = [_read_record(storage, path) for path in storage.list(ATTEMPTS, ".json")]
    return {str(record["identity"]) for record in found if record is not None}


def check_not_fenced(storage: Storage, attempt: int) -> None:
    """Stop an attempt that a newer one has taken over.

    Raises
    ------
    FencedError
        If there is a newer attempt.
    """
    newest = latest_attempt(storage)
    if newest > attempt:
        raise FencedError(f"attempt {newest} has taken over the run in {storage.uri}; this one, {attempt}, stops")


def _read_record(storage: Storage, path: str) -> Any | None:
    """A JSON record; None if it is cut short, as a kill or a full disk leaves it."""
    try:
        return storage.read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError):
        LOG.warning("%s is not whole; it does not count", storage.full(path))
        return None


def write_commit(storage: Storage, commit: Commit) -> None:
    """Make a block exist. The files it lists must all have been written; FencedError if a newer attempt has begun."""
    check_not_fenced(storage, commit.attempt)
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
        raw = _read_record(storage, path)
        if raw is None:
            continue
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
