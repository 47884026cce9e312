"""Models of meters that a user registered, where they are asked: before a run, and for the meters of a shard.

A function gets all meters of its type at once; its answers lie beside the built-in models' loop over all meters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.grid.settings import synthesis
from twin.meters import variants
from twin.meters.datasheets import Catalogue, catalogue
from twin.meters.failure import YEAR_DAYS
from twin.meters.fleet import DayContext, Fleet, Given, Places
from twin.scenario.names import BY_DISTRICT
from twin.scenario.schema import Scenario
from twin.simulation.addressing import check_keys
from twin.simulation.asked_variants import Asked, asked_variants, check_variants

NO_KWH = np.zeros((0, 1))


def check_models(scenario: Scenario) -> None:
    """Import the modules of models that a scenario names, and refuse what datasheets cannot give: models, shared keys.

    Raises
    ------
    InputError
        For a module that cannot be imported, names that nobody registers, keys that nobody shares, at their lines.
    """
    for _, point in scenario.points():
        variants.load(point.meters.models)
        if point.meters.devices:
            types, chosen = catalogue(), point.meters.vendors
            makers = set(synthesis().vendors.names) if chosen == BY_DISTRICT else {chosen}
            sheets = enumerate(types.sheets)
            check_variants(types, [code for code, sheet in sheets if sheet.role != "smart" or sheet.maker in makers])
            check_keys(point)


class UserModels:
    """What functions of a user's say of some types of meter."""

    def __init__(self, types: Catalogue, codes: NDArray[np.generic]) -> None:
        wanted = [int(code) for code in np.unique(codes)]
        self.asked = {section: asked_variants(types, section, wanted) for section in variants.SECTIONS}
        self.has = {section: np.zeros(len(types), np.bool_) for section in variants.SECTIONS}
        for section, asked in self.asked.items():
            self.has[section][[one.code for one in asked]] = True

    def day(self, fleet: Fleet, place: Places, installed_day: NDArray[np.int32], today: DayContext) -> Given:
        """Chances to fail within a day, and rates of clocks."""
        return self.state(fleet, place, installed_day, today.day, today.stress, today.square_k2)

    def state(
        self, fleet: Fleet, place: Places, installed_day: NDArray[np.int32], day: int, stress: NDArray[np.float64],
        square_k2: NDArray[np.float64], clock_age_share: float = 1.0,
    ) -> Given:  # fmt: skip
        """The same in words of its own (``stress`` by feeder); clocks are asked at a share of their age."""
        age = (day - installed_day) / YEAR_DAYS
        chance = self._ask(
            "failure", fleet, (),
            lambda rows: (age[rows], fleet.frailty[rows].astype(np.float64), stress[place.feeder[rows]]),
        )  # fmt: skip
        ppm = self._ask(
            "clock", fleet, (),
            lambda rows: (
                fleet.crystal_ppm[rows].astype(np.float64), square_k2[place.district[rows]],
                clock_age_share * age[rows],
            ),
        )  # fmt: skip
        return Given(self.has["failure"], chance, self.has["clock"], ppm, self.has["metrology"], NO_KWH)

    def energy(
        self, fleet: Fleet, place: Places, installed_day: NDArray[np.int32], today: DayContext,
        used_kwh: NDArray[np.float64], hours: NDArray[np.float64],
    ) -> Given:  # fmt: skip
        """Energy that is recorded of a day's use, by true zone; ``hours`` of each zone."""
        age, nothing = (today.day - installed_day) / YEAR_DAYS, np.zeros(0)
        kwh = self._ask(
            "metrology", fleet, (used_kwh.shape[1],),
            lambda rows: (
                fleet.through[rows, None] * used_kwh[rows], hours, fleet.basic_kw[rows].astype(np.float64),
                fleet.tan_phi[rows].astype(np.float64), fleet.errors[rows].astype(np.float64), age[rows],
                today.rise_k[place.district[rows]],
            ),
        )  # fmt: skip
        return Given(self.has["failure"], nothing, self.has["clock"], nothing, self.has["metrology"], kwh)

    def _ask(
        self, section: str, fleet: Fleet, tail: tuple[int, ...],
        arguments: Callable[[NDArray[np.int64]], tuple[NDArray[Any], ...]],
    ) -> NDArray[np.float64]:  # fmt: skip
        """Answers of a section's functions for all meters of their types, in the meters' order, shape (k, *tail)."""
        asked: list[Asked] = self.asked[section]
        if not asked:
            return np.zeros((0, *tail))
        everyone = np.flatnonzero(self.has[section][fleet.kind])
        out = np.empty((len(everyone), *tail))
        for one in asked:
            mine = np.flatnonzero(fleet.kind[everyone] == one.code)
            rows = everyone[mine]
            out[mine] = one.variant((len(rows), *tail), *arguments(rows), one.numbers)
        return out
