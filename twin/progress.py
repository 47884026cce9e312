"""Telling the user how far a long job is: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LOG = logging.getLogger("twin")
LINE_EVERY_S = 10.0


class Reporter(Protocol):
    """Receives the job's progress."""

    def phase(self, text: str) -> None:
        """A new phase has begun."""
        ...

    def advance(self, done: int, total: int, detail: str) -> None:
        """``done`` of ``total`` units are finished."""
        ...

    def close(self) -> None:
        """The job is over."""
        ...


class Silent:
    """Says nothing."""

    def phase(self, text: str) -> None:
        """Log only."""
        LOG.info("%s", text)

    def advance(self, done: int, total: int, detail: str) -> None:
        """Log only."""
        LOG.info("%d/%d %s", done, total, detail)

    def close(self) -> None:
        """Nothing to end."""


class PlainLines:
    """One line per phase, and at most one per `LINE_EVERY_S` while a phase runs."""

    def __init__(self, console: Console) -> None:
        self.console, self.last, self.began = console, 0.0, time.monotonic()

    def phase(self, text: str) -> None:
        """Print the phase."""
        LOG.info("%s", text)
        self.began = time.monotonic()
        self.console.print(f"[twin] {text}", highlight=False, markup=False)

    def advance(self, done: int, total: int, detail: str) -> None:
        """Print rate and time left, not too often."""
        LOG.info("%d/%d %s", done, total, detail)
        now = time.monotonic()
        if now - self.last < LINE_EVERY_S and done < total:
            return
        self.last = now
        left_s = (now - self.began) / max(done, 1) * (total - done)
        text = f"[twin] {done}/{total} blocks, {detail}, {left_s:.0f} s left"
        self.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Nothing to end."""


class LiveBar:
    """A bar with rate and time left, on a terminal."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} blocks"),
            TextColumn("{task.fields[detail]}"), TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self.progress = Progress(*columns, console=console, transient=True)
        self.task = self.progress.add_task("starting", total=None, detail="")
        self.progress.start()

    def phase(self, text: str) -> None:
        """Show the phase as the bar's name."""
        LOG.info("%s", text)
        self.progress.update(self.task, description=text)

    def advance(self, done: int, total: int, detail: str) -> None:
        """Move the bar."""
        LOG.info("%d/%d %s", done, total, detail)
        self.progress.update(self.task, completed=done, total=total, detail=detail)

    def close(self) -> None:
        """Take the bar away."""
        self.progress.stop()


def reporter(console: Console) -> Reporter:
    """A live bar when the console is a terminal, plain lines otherwise."""
    return LiveBar(console) if console.is_terminal else PlainLines(console)
