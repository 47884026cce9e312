"""Unit tests stay in this process and do not wait."""

import time
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _stay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a unit test must not start Ray or wait; move it to tests/cluster or tests/end_to_end")

    monkeypatch.setattr("ray.init", refuse)
    monkeypatch.setattr(time, "sleep", refuse)
