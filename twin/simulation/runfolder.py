"""Preparing a run folder: refused when in use, resumed when it is the same run."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from twin.errors import Problem, RunFolderError
from twin.results.commits import ATTEMPTS, Commit, attempt_identities, begin_attempt, read_commits
from twin.results.storage import Storage

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """An output folder claimed by this attempt."""

    storage: Storage
    attempt: int
    commits: list[Commit]
    """What earlier attempts of the same run committed, in run order."""

    @property
    def completed(self) -> bool:
        """Did an earlier attempt finish the whole run?"""
        return any(commit.key.kind == "2analysis" for commit in self.commits)


def claim(out: str, identity: str, *, resume: bool, shards: int | None) -> RunFolder:
    """Claim a folder for a run of this identity (hash of the resolved scenario, without shards and paths).

    Raises
    ------
    RunFolderError
        If the folder is not empty and not resumed, or holds another run. Nothing is ever overwritten.
    """
    storage = Storage(out)
    if not storage.is_empty():
        _check_same_run(storage, out, identity, resume=resume)
    return next_attempt(storage, identity, shards)


def next_attempt(storage: Storage, identity: str, shards: int | None) -> RunFolder:
    """Fence off earlier attempts and take over what they committed."""
    # Claimed before the commits are read: what an older attempt commits later is not missed, but done again.
    attempt = begin_attempt(storage, identity, shards)
    return RunFolder(storage, attempt, [commit for commit in read_commits(storage) if _is_whole(storage, commit)])


def _is_whole(storage: Storage, commit: Commit) -> bool:
    """Are all files of a commit as recorded? A block whose tables are damaged is simulated again."""
    damaged = [record.path for record in commit.files if not storage.is_intact(record)]
    if damaged:
        LOG.warning("%s is done again: damaged or missing: %s", commit.key.name, ", ".join(damaged))
    return not damaged


def _check_same_run(storage: Storage, out: str, identity: str, *, resume: bool) -> None:
    if not resume:
        fix = "give another --out, or --resume to continue the run that is in it"
        raise RunFolderError([Problem(out, "", "the output folder is not empty", fix)])
    begun = storage.list(ATTEMPTS, ".json")
    if not begun and not storage.exists("manifest.json"):
        fix = "give an empty folder, or one that a run of this scenario has begun"
        raise RunFolderError([Problem(out, "", "holds files but no run that could be resumed", fix)])
    if attempt_identities(storage) - {identity}:
        fix = "resume with the scenario and overrides it was begun with, or give another --out"
        raise RunFolderError([Problem(out, "", "holds a run of another scenario", fix)])


def default_out(name: str) -> str:
    """First free folder ``runs/<name>``, ``runs/<name>-2``, ..."""
    number = 1
    while True:
        out = f"runs/{name}" if number == 1 else f"runs/{name}-{number}"
        if Storage(out).is_empty():
            return out
        number += 1
