"""The digital twin of a state's electricity grid, down to every consumer's meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin import kernels as _kernels

_kernels.prepare()

__version__ = "0.1.0"
__all__ = ["__version__", "load_scenario", "open_run", "run", "run_timeseries"]

if TYPE_CHECKING:
    from twin.results.reader import open_run
    from twin.runner import run
    from twin.scenario import load_scenario
    from twin.timeseries import run_timeseries

_HOMES = {
    "load_scenario": "twin.scenario",
    "run": "twin.runner",
    "open_run": "twin.results.reader",
    "run_timeseries": "twin.timeseries",
}


def __getattr__(name: str) -> Any:
    """Import the public functions on first use: commands that need no kernels start fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'twin' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
