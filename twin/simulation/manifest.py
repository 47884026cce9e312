"""``manifest.json``: what a run was, on what it rests, and how it went."""

from __future__ import annotations

import os
import platform
import resource
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from twin import __version__
from twin.kernels import compile_seconds, instruction_set
from twin.results.commits import check_not_fenced
from twin.results.storage import Storage

PACKAGES = (
    "ray", "pandapower", "networkx", "numpy", "numba", "lightsim2grid", "pyarrow", "duckdb", "pydantic", "plotly",
)  # fmt: skip


@dataclass
class Manifest:
    """Content of ``manifest.json``; written at the start, after every block and at the end."""

    name: str
    identity: str
    seed: int
    command: str
    status: str = "running"
    consumers: int = 0
    consumer_steps: int = 0
    wall_s: dict[str, float] = field(
        default_factory=lambda: {"build": 0.0, "compile": 0.0, "simulate": 0.0, "write": 0.0, "report": 0.0}
    )
    """Wall time by phase. ``compile`` is not a phase of its own but what the slowest process spent compiling kernels
    within the others; processes compile side by side. [s]"""
    levels_s: dict[str, float] = field(default_factory=dict)
    """CPU seconds of the workers by level (demand, response, lv, 11kv, verification, write) and of the driver
    (33kv_and_above), in all blocks of the run."""
    cpu_s: float = 0.0
    peak_rss_bytes: int = 0
    energy_balance: dict[str, dict[str, float]] = field(default_factory=dict)
    failed_solves: list[dict[str, Any]] = field(default_factory=list)
    controls_unsettled: int = 0
    """Grid substations times steps (over all arms) whose taps or banks were stopped by the limit of rounds."""
    assumed: list[dict[str, Any]] = field(default_factory=list)
    synthetic: list[str] = field(default_factory=list)
    population: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    rounds: dict[str, float] = field(default_factory=dict)
    attempts: int = 1
    recoveries: list[dict[str, Any]] = field(default_factory=list)
    """Workers lost while the run went on: what died, after how many committed blocks, with how many shards on."""
    storage_retries: int = 0
    """Storage calls that failed and were made again, in this attempt."""
    shards: int = 1
    """Of every fleet."""
    fleets: int = 1
    """Whole sets of shards, which work on different replicates and sweep points at once."""
    backend: str = "local"
    months_complete: bool = False
    left_out: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Results that the run does not hold because the scenario leaves out tables that they need."""
    versions: dict[str, str] = field(default_factory=lambda: versions())
    instruction_set: str = field(default_factory=instruction_set)
    prediction: dict[str, float] = field(default_factory=dict)
    """What the dry run says of this run."""
    measured: dict[str, float] = field(default_factory=dict)
    """What those figures came out as."""
    digest: dict[str, str] = field(default_factory=dict)

    def write(self, storage: Storage) -> None:
        """Write the manifest; the newest content replaces the old.

        Raises
        ------
        FencedError
            If a newer attempt owns the folder: a driver that comes back must not undo what that one says.
        """
        storage.replace_json("manifest.json", asdict(self), lambda: check_not_fenced(storage, self.attempts))

    def note_usage(self, before: Usage, after: list[Usage]) -> None:
        """Take up what the processes of this attempt have used, this one since ``before``; each counts once."""
        processes = {usage.process: usage for usage in after}
        own = processes.pop(before.process)
        self.cpu_s = own.cpu_s - before.cpu_s + sum(usage.cpu_s for usage in processes.values())
        self.peak_rss_bytes = own.peak_rss_bytes + sum(usage.peak_rss_bytes for usage in processes.values())
        compiled = [own.compile_s - before.compile_s, *(usage.compile_s for usage in processes.values())]
        self.wall_s["compile"] = max(self.wall_s["compile"], *compiled)

    def note_balance(self, level: str, closure: float, closure_limit: float) -> None:
        """Keep the largest closure gap seen at a level."""
        entry = self.energy_balance.setdefault(level, {})
        entry["closure"] = max(entry.get("closure", 0.0), float(closure))
        entry["closure_limit"] = closure_limit

    def note_border(self, level: str, mismatch: float, limit: float) -> None:
        """Keep the largest border mismatch seen at a level."""
        entry = self.energy_balance.setdefault(level, {})
        entry["border_mismatch"] = max(entry.get("border_mismatch", 0.0), float(mismatch))
        entry["border_limit"] = limit


def versions() -> dict[str, str]:
    """Versions of the twin, Python and the packages that results rest on."""
    found = {"twin": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


class Usage(NamedTuple):
    """What one process has used of its machine since it began."""

    process: tuple[str, int]
    """Machine and process number."""
    cpu_s: float
    peak_rss_bytes: int
    compile_s: float
    """Spent compiling kernels. [s]"""


def process_usage() -> Usage:
    """What this process has used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1 if sys.platform == "darwin" else 1024
    process = (socket.gethostname(), os.getpid())
    return Usage(process, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale, compile_seconds())


class Stopwatch:
    """Adds wall time, or a share of it, to one entry of a dict: ``with Stopwatch(manifest.wall_s, "build"): ...``."""

    def __init__(self, into: dict[str, float], key: str, share: float = 1.0) -> None:
        self.into, self.key, self.share = into, key, share

    def __enter__(self) -> Stopwatch:
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.into[self.key] = self.into.get(self.key, 0.0) + self.share * (time.perf_counter() - self.began)
