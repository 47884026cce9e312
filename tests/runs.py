"""Helpers of the tests that run whole scenarios."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from twin.calibrated import factors
from twin.results.reader import Run, open_run
from twin.runner import RunOptions, run_scenario
from twin.scenario import load_scenario

ROOT = Path(__file__).parent.parent
TINY = ROOT / "scenarios" / "ci_tiny.yaml"
UNFITTED = f"calibrated={{{', '.join(f'{name}: 1' for name in factors())}}}"
"""The data pack's own numbers: for tests whose limits are made for them, not for what the last fit made of them."""


def run_local(out: Path, shards: int = 1, overrides: tuple[str, ...] = (), scenario: Path = TINY) -> Run:
    """Run the smallest scenario in this process."""
    loaded = load_scenario(scenario, overrides)
    run_scenario(loaded, RunOptions(out=str(out), backend="local", shards=shards))
    return open_run(str(out))


def twin(*args: str, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Call the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "twin", *args], capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT
    )


def manifest(out: Path) -> dict[str, Any]:
    """The run's manifest."""
    return json.loads((out / "manifest.json").read_text())
