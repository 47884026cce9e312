"""The world of one replicate: its streams, one draw of every uncertain parameter, its weather, shared by all arms."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twin.demand.draw import DayTables, day_tables, draw_tile, mean_tile
from twin.demand.response import draw_parameters
from twin.demand.weather import GeneratedWeather, HeatWave, NormalWeather, Weather
from twin.demand.weather_csv import CsvWeather
from twin.scenario.schema import Scenario
from twin.simulation.feeder_block import zone_energy
from twin.simulation.plan import PointPlan
from twin.simulation.population import Population
from twin.simulation.response import Response
from twin.streams import replicate_seed

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver
    from twin.simulation.supply import Outages

MID_MONTH = 15


@dataclass
class ExpectedDay:
    """The expected day that a shard last reckoned. It hangs on no replicate, so that all of them share it."""

    key: tuple[Any, ...] = ()
    kwh: NDArray[np.float64] | None = None


@dataclass
class ReplicateWorld:
    """One replicate as a shard sees it."""

    plan: PointPlan
    replicate: int
    seed: int
    parameters: dict[str, float]
    weather: Weather
    population: Population
    smart: NDArray[np.bool_]
    response: Response
    expected: ExpectedDay = field(default_factory=ExpectedDay)
    outages: Outages | None = None
    """None where supply is never interrupted."""

    def day_tables(self, date: dt.date, weather: Weather | None = None, steps: int | None = None) -> DayTables:
        """Signals of a day for the districts of this shard's consumers."""
        districts = np.unique(self.population.consumers.district).astype(np.int64)
        return day_tables(self.seed, weather or self.weather, date, steps or self.plan.steps, districts)

    def add_energy(self, solver: BlockSolver, date: dt.date, total: NDArray[np.float64], *, mean_field: bool) -> None:
        """Add a day's demand at nominal voltage by zone: as drawn, or its expectation in normal weather."""
        profiles = self.population.consumers.profiles
        day = self.day_tables(date, NormalWeather() if mean_field else None) if profiles is None else None
        draw = mean_tile if mean_field else draw_tile
        usual = self.plan.zones.zone_of_step
        zones, traits = usual if mean_field else self.plan.zones.on(date), self.population.consumers.traits
        chunk = len(solver.kw)
        for start in range(0, len(total), chunk):
            stop = min(start + chunk, len(total))
            if profiles is not None:
                profiles.fill(None if mean_field else date, start, stop, solver.kw)
            else:
                draw(traits, start, stop, day, solver.kw)
            zone_energy(solver.kw[: stop - start], zones, self.plan.hours, total[start:stop])

    def expected_day_kwh(self, solver: BlockSolver, month: dt.date) -> NDArray[np.float64]:
        """Mean-field energy of a normal day of a month by zone, shape (n, n_zones). [kWh]

        Overwrites the solver's working memory where it is not known yet.
        """
        key = (month.year, month.month, self.plan.zones.zone_of_step.tobytes())
        if self.expected.kwh is None or self.expected.key != key:
            total = np.zeros((len(self.population.consumers), self.plan.zones.n_zones))
            self.add_energy(solver, month.replace(day=MID_MONTH), total, mean_field=True)
            self.expected.key, self.expected.kwh = key, total
        return self.expected.kwh


def weather_of(scenario: Scenario, seed: int) -> Weather:
    """The scenario's weather in a replicate."""
    settings, wave = scenario.weather, None
    if settings.heat_wave is not None:
        wave = HeatWave(settings.heat_wave.first, settings.heat_wave.last, settings.heat_wave.rise_c)
    if settings.year == "bihar-normal":
        return GeneratedWeather(seed, wave)
    return CsvWeather.read(settings.year, wave)


def check_weather(scenario: Scenario) -> None:
    """Refuse a weather file that cannot be read or lacks days: those of the run, and of its first month before them.

    Raises
    ------
    InputError
        With every problem of the file.
    """
    weather = weather_of(scenario, 0)
    if isinstance(weather, CsvWeather):
        dates = scenario.dates
        weather.check_covers(dates[0].replace(day=1), dates[-1])


def parameters_of(plan: PointPlan, replicate: int) -> dict[str, float]:
    """The replicate's draw of every uncertain parameter; ``seeds_per_draw`` replicates share a draw."""
    experiment = plan.scenario.experiment
    draw = replicate // experiment.seeds_per_draw
    asked = {name for arm in experiment.arms.values() for name in arm.parameters}
    return draw_parameters(replicate_seed(plan.scenario.seed, draw), dict(experiment.parameters), asked)


def open_world(
    plan: PointPlan, replicate: int, population: Population, expected: ExpectedDay | None = None
) -> ReplicateWorld:
    """Open a replicate's world on a shard, which may give the expected day that it keeps."""
    seed = replicate_seed(plan.scenario.seed, replicate)
    parameters = parameters_of(plan, replicate)
    smart = population.consumers.smart(plan.smart_share)
    response = Response(plan, population.consumers, smart, parameters, seed)
    weather = weather_of(plan.scenario, seed)
    return ReplicateWorld(
        plan, replicate, seed, parameters, weather, population, smart, response, expected or ExpectedDay()
    )


def drawn_parameters(plan: PointPlan) -> list[dict[str, Any]]:
    """Every replicate's parameters, for the table of cases."""
    return [parameters_of(plan, replicate) for replicate in range(plan.replicates)]
