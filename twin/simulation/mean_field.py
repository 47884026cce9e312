"""A day of expected demand settled with the grid above, hour by hour: for loadings, and to guess first voltages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twin.demand.weather import NormalWeather, Weather
from twin.simulation.border import BORDER_TOLERANCE_PU, FREE_ROUNDS, MOST_ROUNDS, Layout, compose, solve_above
from twin.simulation.messages import MeanFieldAnswer, Only

STEPS = 24
GUESS_TOLERANCE_PU = 1e-3
"""A guess of first voltages is good enough when it moves no more; the limit of equivalents is ten times that."""


class Fleet(Protocol):
    """What is needed of a backend."""

    def call(self, method: str, args: list[tuple[Any, ...]], what: str) -> list[Any]:
        """Call a method of every shard and wait."""
        ...


@dataclass(frozen=True)
class MeanDay:
    """A settled day of expected demand."""

    answers: list[MeanFieldAnswer]
    v_pss_pu: NDArray[np.float64]
    """Shape (n_pss, STEPS)."""
    upper: Any
    rounds: int


def ask(
    fleet: Fleet, layout: Layout, date: dt.date, weather: Weather, v_pss_pu: NDArray[np.float64], *, first: bool,
    only: Only,
) -> list[MeanFieldAnswer]:  # fmt: skip
    """One round: the shards' answers at given PSS voltages, shape (n_pss, STEPS)."""
    args = [(date, weather, np.ascontiguousarray(v_pss_pu[rows]), first, only) for rows in layout.owned_pss]
    answers: list[MeanFieldAnswer] = fleet.call("mean_field", args, "a day of expected demand")
    return answers


def settle_mean_day(
    fleet: Fleet, layout: Layout, upper: Any, date: dt.date, weather: Weather, *, only: Only = "all",
    tolerance_pu: float = BORDER_TOLERANCE_PU,
) -> MeanDay:  # fmt: skip
    """Settle a day; ``layout`` must be that of the feeders that ``only`` names."""
    v = np.ones((layout.n_pss, STEPS))
    above = None
    for turn in range(MOST_ROUNDS):
        answers = ask(fleet, layout, date, weather, v, first=turn == 0, only=only)
        load = compose(layout, [answer.arm for answer in answers], v)
        above = solve_above(upper, load, v, above, hold=turn >= FREE_ROUNDS)
        moved = float(np.nanmax(np.abs(above.v_pss_pu - v)))
        v = np.where(np.isfinite(above.v_pss_pu), above.v_pss_pu, v)
        if moved <= tolerance_pu:
            break
    return MeanDay(answers, v, above, turn + 1)


def first_voltages(fleet: Fleet, scouts: Layout, upper: Any, date: dt.date, steps: int) -> NDArray[np.float64]:
    """PSS voltages to begin a first block with: a normal day, every stratum carried by its scouts. (n_pss, steps)"""
    day = settle_mean_day(fleet, scouts, upper, date, NormalWeather(), only="scouts", tolerance_pu=GUESS_TOLERANCE_PU)
    return np.repeat(day.v_pss_pu, steps // STEPS, axis=1)
