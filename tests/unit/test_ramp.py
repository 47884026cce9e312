"""How fast load moves, from when switches moved and what is not served in steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from twin.analysis.ramp import ramps, steepest_per_s
from twin.results.reader import Run

START = pd.Timestamp("2026-06-09 20:00")
STEP = pd.Timedelta(minutes=15)


class Tables(Run):
    """A run of two tables only."""

    def __init__(self, **tables: pd.DataFrame) -> None:
        self.given = tables

    def connect(self):
        import duckdb

        connection = duckdb.connect()
        for name, table in self.given.items():
            connection.register(name, pa.Table.from_pandas(table))
        return connection


def opened(seconds: np.ndarray, case: int = 0) -> pd.DataFrame:
    at = START + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame(
        {
            "case": case,
            "campaign": 0,
            "command": "disconnect",
            "executed": at.astype("datetime64[us]"),
            "result": "executed",
        }
    )


def unserved(mw: list[float], case: int = 0) -> pd.DataFrame:
    starts = START + STEP * np.arange(-2, len(mw) - 2)
    return pd.DataFrame({"case": case, "interval_start": starts.astype("datetime64[us]"), "unserved_mw": mw})


def test_the_steepest_window_is_found_wherever_it_lies():
    assert steepest_per_s(np.array([0.0, 5.0, 5.2, 5.9, 6.1, 9.0]), 1.0) == 3.0
    assert steepest_per_s(np.arange(100.0) / 10.0, 2.0) == 10.0
    assert steepest_per_s(np.array([3.0]), 1.0) == 1.0


def test_a_ramp_is_switches_a_second_times_their_mean_load():
    """1,000 switches with 0.5 kW each: at once in case 0, evenly over 100 s in case 1; 2 MW were unserved before."""
    rows = pd.concat([opened(np.linspace(0.0, 0.5, 1000)), opened(np.linspace(0.0, 99.9, 1000), case=1)])
    system = pd.concat([unserved([2.0, 2.0, 2.4, 2.5, 2.6], case) for case in (0, 1)])
    step, even = ramps(Tables(commands=rows, system=system))
    assert (step.switches, step.mw) == (1000, pytest.approx(0.5))
    assert step.steepest_mw_per_s == pytest.approx(0.5), "all of it in a second"
    assert even.steepest_mw_per_s == pytest.approx(0.5 / 100.0, rel=0.01)
    assert step.spread_s == pytest.approx(0.45, abs=0.01)
    assert even.spread_s == pytest.approx(90.0, abs=0.2)


def test_those_who_are_not_reached_at_once_do_not_count():
    rows = opened(np.append(np.linspace(0.0, 1.0, 950), np.full(50, 7200.0)))
    (found,) = ramps(Tables(commands=rows, system=unserved([0.0] * 2 + [0.475] * 4)))
    assert found.switches == 950
    assert found.spread_s < 1.0
    assert found.mw == pytest.approx(0.475)
