"""Signals that ask a run to stop: raised where they come, and again at the next report if a library swallowed them."""

import signal
from contextlib import suppress

import pytest

from twin.progress import Silent
from twin.stopping import Interruptible, stop_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_where_it_comes(number):
    with pytest.raises(KeyboardInterrupt), stop_signals():
        signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("tell", [lambda told: told.phase("next"), lambda told: told.advance(1, 2, "")])
def test_a_signal_that_was_swallowed_stops_at_the_next_report(number, tell):
    with stop_signals() as stop:
        told = Interruptible(Silent(), stop)
        told.phase("first")
        with suppress(KeyboardInterrupt):  # as a library does that catches everything
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            tell(told)
        told.close()


def test_handlers_are_given_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_signals():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
