"""Stopping a run: Ctrl-C and termination signals, which a job scheduler sends, leave a run that can be resumed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from twin.progress import Reporter


@dataclass
class Stop:
    """Whether someone asked the run to stop."""

    asked: bool = False

    def check(self) -> None:
        """Stop now if asked.

        Raises
        ------
        KeyboardInterrupt
            If a signal has come. Usually it was raised where the signal found the program, but libraries that catch
            everything, while they are imported say, swallow it there.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Take Ctrl-C and SIGTERM as `KeyboardInterrupt` while the context lasts, and remember them."""
    stop = Stop()

    def take(_number: int, _frame: object) -> None:
        stop.asked = True
        raise KeyboardInterrupt

    try:
        previous = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: the caller handles signals
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@dataclass
class Interruptible:
    """Tells another reporter, and stops the run there if a signal has come."""

    inner: Reporter
    stop: Stop

    def phase(self, text: str) -> None:
        """Pass on; KeyboardInterrupt if the run is to stop."""
        self.stop.check()
        self.inner.phase(text)

    def advance(self, done: int, total: int, detail: str) -> None:
        """Pass on; KeyboardInterrupt if the run is to stop."""
        self.stop.check()
        self.inner.advance(done, total, detail)

    def close(self) -> None:
        """Pass on."""
        self.inner.close()
