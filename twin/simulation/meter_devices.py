"""The meters of a shard as devices in one replicate: which type hangs where, and what a settled day does to them.

Off unless the scenario says ``meters: {devices: true}``; registers then show the true energy (`twin.meters.register`).
Draws are keyed by replicate and meter, so that arms share them and no result hangs on the cut into shards.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.weather import DAY_STEPS, PAD, Weather, day_number
from twin.errors import DataPackError, Problem
from twin.grid.settings import synthesis
from twin.meters import variants
from twin.meters.clock import ClockParams, draw_crystals, stretches_of
from twin.meters.communication import DAY_H, NO_BREAKDOWN, Breakdown, CommunicationParams, draw_links
from twin.meters.datasheets import Catalogue, catalogue
from twin.meters.failure import FailureParams, draw_frailties
from twin.meters.firmware import brick
from twin.meters.fleet import (
    LEDGER,
    DayContext,
    DayOut,
    Fleet,
    FleetParams,
    FleetState,
    mean_square_k2,
    record_energy,
    settled_clocks,
    settled_swaps,
)
from twin.meters.fleet_day import advance_fleet
from twin.meters.metrology import MetrologyParams, class_points, draw_errors
from twin.meters.reads import CHECKS, READS, Validation, count_reads, take_reads
from twin.meters.theft import draw_theft, log_signs
from twin.scenario.names import BY_DISTRICT
from twin.simulation.dt_meters import DtMeters, Mapped, feeder_meters
from twin.simulation.load_limits import limits_of
from twin.simulation.meter_commands import BRICKED, CommandDay, Commands
from twin.simulation.meter_estimates import Estimates
from twin.simulation.meter_outages import MeterOutages, PowerDay, cuts_of
from twin.simulation.meter_places import gateways_of, places_of
from twin.simulation.meter_stress import Stress
from twin.simulation.meter_traits import installed_days, theft_flags, theft_multiple, theft_params
from twin.simulation.meter_variants import UserModels
from twin.simulation.population import Population
from twin.simulation.relays import Relays
from twin.streams import Stream, uniforms
from twin.units import LV_BASE_V, LV_NOMINAL_PU

if TYPE_CHECKING:
    from twin.simulation.replicate import ReplicateWorld

NOMINAL_V = LV_BASE_V * LV_NOMINAL_PU
NOBODY = np.zeros(0, np.int64)
MEAN_AGE_SHARE = 0.5
"""A clock's mean rate since it was put up is that at half its age, since it changes evenly with age."""


@dataclass
class ArmDay:
    """What a day's meters made of one arm's energy."""

    ledger_kwh: NDArray[np.float64]
    """`LEDGER` by DT, shape (n_dts + 1, 5); the last row holds consumers without a DT. [kWh]"""
    read_kwh: NDArray[np.float64]
    """Energy that was read within a day and not refused, shape (n_feeders + 1, n_types). [kWh]"""
    checks: NDArray[np.int64]
    """`CHECKS` of the reads, shape (n_feeders + 1, n_types, len(CHECKS))."""
    metered_kwh: NDArray[np.float64]
    """What the displays of the watched meters gained. [kWh]"""
    mapped: Mapped
    """The same of all meters, by the DT that they are mapped to."""


@dataclass
class DeviceDay:
    """What a day did to the meters: the devices alike in all arms, and each arm's energy."""

    date: dt.date
    devices: DayOut
    counts: NDArray[np.int64]
    """`READS` by feeder and type, shape (n_feeders + 1, n_types, len(READS))."""
    arms: list[ArmDay]
    commands: CommandDay | None = None
    power: PowerDay | None = None
    """Where supply is interrupted."""


class MeterDevices:
    """All meters of a shard; ``state`` is what later days hang on."""

    def __init__(self, world: ReplicateWorld) -> None:
        population = world.population
        self.seed, self.weather, self.population = world.seed, world.weather, population
        self.types = catalogue()
        self.params = _params(self.types)
        self.stretches = stretches_of(world.plan.zones.zone_of_step)
        self.breakdown = _breakdown(world)
        self._zone_of_quarter = np.repeat(world.plan.zones.zone_of_step, DAY_STEPS // world.plan.steps)
        kind = meter_types(world, self.types)
        gateway, gateway_id = gateways_of(population, kind, self.types)
        self.place = places_of(population, gateway_id)
        self.fleet = _draw_fleet(world.seed, population, kind, gateway, self.types, self.params)
        variants.load(world.plan.scenario.meters.models)  # this process may not have imported them yet
        self.models = UserModels(self.types, np.append(kind, self.types.code("ct_operated", "ct_operated")))
        self.dt_meters = DtMeters(world.seed, population, self.place.dt, self.types, self.params, self.models)
        self.feeder_meters = feeder_meters(world.seed, population, self.types, self.params, self.models)
        self.stress = Stress(population, self.types, self.params.failure)
        self.first_day, self.last_date = day_number(world.plan.dates[0]), world.plan.dates[-1]
        self.state: FleetState
        self.estimates = Estimates(self, len(world.plan.arms), world.plan.zones.n_zones)
        meters = world.plan.scenario.meters
        self.outages = MeterOutages(self, world.outages) if world.outages is not None else None
        self.relays = (
            Relays(self, len(world.plan.arms)) if meters.commands or meters.prepaid or meters.load_limit else None
        )
        self.commands = (
            Commands(self, meters.commands, self.relays) if self.relays is not None and meters.commands else None
        )
        self.limits = limits_of(self, meters)

    @property
    def resolution_wh(self) -> NDArray[np.int64]:
        """Last digit of each meter's register, shape (n,). [Wh]"""
        return self.params.resolution_wh[self.fleet.kind].astype(np.int64)

    def gateways(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Names of some meters' gateways, shape (k,)."""
        return self.place.gateway_id[self.fleet.gateway[rows]]

    def load_kw(self, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float64]:
        """Sanctioned load of some meters, or contract demand where that is more. Shape (k,). [kW]"""
        consumers = self.population.consumers
        return np.maximum(consumers.sanctioned_kw[rows].astype(np.float64), consumers.contract_kva[rows])

    @property
    def bytes_per_meter(self) -> float:
        """Memory of traits and state of all models and arms, but for the registers and for where meters hang."""
        arrays: list[NDArray[np.generic]] = [*self.fleet[1:], *self.state, *self.estimates.columns()]
        arrays += [] if self.relays is None else self.relays.columns()
        arrays += [] if self.limits is None else self.limits.columns()
        arrays += [] if self.outages is None else self.outages.columns()
        return sum(array.nbytes for array in arrays) / max(len(self.fleet.ids), 1)

    def begin(self, first: dt.date, month_to_date: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put every meter where a run finds it on its first day; returns registers of the month to date.

        Ages and clocks are drawn, some meters are waiting for a swap. The month to date, shape (n, n_zones), passes
        meters that worked, with clocks that were right. [kWh]
        """
        today, n = self.context(first), len(self.fleet.ids)
        installed = installed_days(self.seed, self.fleet, self.types, today.day)
        clock, swap, square_k2 = np.empty(n, np.float32), np.empty(n, np.int32), float(today.square_k2.mean())
        everywhere = np.full(len(today.square_k2), square_k2)
        usual = np.ones_like(today.stress)
        given = self.models.state(self.fleet, self.place, installed, today.day, usual, everywhere, MEAN_AGE_SHARE)
        settled_clocks(self.fleet, self.params, installed, today.day, square_k2, given, clock)
        settled_swaps(
            np.uint64(self.seed), self.fleet, self.params.failure, installed, today.day, given, today.crew_wait_days,
            swap,
        )  # fmt: skip
        registers = np.zeros_like(month_to_date)
        self.state = FleetState(installed, installed.copy(), np.zeros(n, np.float32), np.zeros(n, np.uint16))
        if first.day > 1:
            self._record(today, first.day - 1.0, month_to_date, registers)
        self.state = FleetState(installed, swap, clock, np.zeros(n, np.uint16))
        return registers

    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> None:
        """From a checkpoint's arrays."""
        self.estimates.restore(arrays)
        if self.relays is not None:
            self.relays.restore(arrays["relays"])
        if self.limits is not None:
            self.limits.restore(arrays)
        if self.outages is not None:
            self.outages.restore(arrays["off_h"])
        installed, swap, clock, waiting = arrays["devices"][0].T
        self.state = FleetState(
            installed.astype(np.int32), swap.astype(np.int32), clock.astype(np.float32), waiting.astype(np.uint16)
        )

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """For a checkpoint, consumers on the last axis but one: whole numbers and float32 fit into float64."""
        devices = np.column_stack([column.astype(np.float64) for column in self.state])[None]
        relays = {} if self.relays is None else {"relays": self.relays.arrays()}
        limits = {} if self.limits is None else self.limits.arrays()
        off = {} if self.outages is None else {"off_h": self.outages.arrays()}
        return {"devices": devices} | self.estimates.arrays() | relays | limits | off

    def context(self, date: dt.date) -> DayContext:
        """What a day is like where the meters hang."""
        return day_context(self.seed, self.weather, date, self._zone_of_quarter, self.stress, self.breakdown)

    def advance(
        self, date: dt.date, used_kwh: list[NDArray[np.float64]], registers: NDArray[np.float64],
        watched: NDArray[np.int64],
    ) -> DeviceDay:  # fmt: skip
        """A settled day passes.

        Parameters
        ----------
        used_kwh : list of array, shape (n, n_zones)
            True use under each arm. [kWh]
        registers : array, shape (n_arms, n, n_zones)
            Recorded energy with its residual, which is added to. [kWh]
        watched : array
            Rows of the meters of which the answer says what they metered.
        """
        commands = None if self.commands is None else self.commands.prepare(date)
        today, n = self.context(date), len(self.fleet.ids)
        fetched, lost = np.empty(n, np.uint16), np.empty(n, np.uint16)
        flags = np.empty((3, n), np.bool_)
        out = DayOut(np.empty(n, np.float32), fetched, lost, *flags)
        given = self.models.day(self.fleet, self.place, self.state.installed_day, today)
        cuts = cuts_of(self.outages, date, self.population.n_dts)
        bricked = NOBODY if commands is None else commands.rows[commands.result[0] == BRICKED]
        brick(
            np.uint64(self.seed), self.fleet.ids, self.fleet.kind, bricked, today.day, self.params.failure,
            today.crew_wait_days, self.state.swap_day,
        )  # fmt: skip
        advance_fleet(self.fleet, self.state, self.params, self.place, today, given, cuts, out)
        out.failed[bricked] = True
        counts = np.zeros((len(self.population.feeders) + 1, len(self.types), len(READS)), np.int64)
        count_reads(self.fleet, self.state, self.params.communication, self.place, today, out, counts)
        is_read = np.where(self.fleet.hops > 0, np.isfinite(out.arrival_h), self.state.swap_day <= today.day)
        self.estimates.hold(today.day, is_read, registers)
        arms, rule, load_kw = [], _validation(), self.load_kw()
        for arm, used in enumerate(used_kwh):
            ledger, metered = self._record(today, 1.0, used, registers[arm])
            read, checks = np.zeros(counts.shape[:2]), np.zeros((*counts.shape[:2], len(CHECKS)), np.int64)
            take_reads(self.fleet, self.place, today, out, rule, load_kw, metered, checks, read)
            mapped = self.dt_meters.mapped(metered, out.arrival_h)
            arms.append(ArmDay(ledger, read, checks, metered[watched], mapped))
        power = None if self.outages is None else self.outages.pass_day(date, cuts, out.delayed)
        return DeviceDay(date, out, counts, arms, commands, power)

    def recorded_share(
        self, date: dt.date, rows: NDArray[np.int64], used_kwh: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Share of a day's use that some meters recorded, by true zone, asked after the day. Shape (k, n_zones)."""
        fleet = Fleet._make(column[rows] for column in self.fleet)
        state = FleetState._make(column[rows] for column in self.state)
        state = state._replace(clock_s=np.zeros(len(rows), np.float32))
        nowhere = np.zeros(len(rows), np.int32)
        place = self.place._replace(district=self.place.district[rows], dt=nowhere, feeder=self.place.feeder[rows])
        recorded, today = np.zeros(used_kwh.shape), self.context(date)
        given = self.models.energy(fleet, place, state.installed_day, today, used_kwh, self.stretches.zone_hours)
        record_energy(
            fleet, state, self.params, place, today, self.stretches, 1.0, given, used_kwh, recorded,
            np.zeros((1, len(LEDGER))), np.empty(len(rows)),
        )  # fmt: skip
        return np.divide(recorded, used_kwh, out=np.zeros_like(recorded), where=used_kwh > 0.0)

    def signs_h(self, date: dt.date) -> NDArray[np.float32]:
        """Hour at which each meter logs a sign of tampering on a day; inf: none. Shape (n,). [h]"""
        spec, out = read_yaml("meter_fleet")["theft_signs"], np.empty(len(self.fleet.ids), np.float32)
        log_signs(
            np.uint64(self.seed), self.fleet.ids, self.fleet.theft_kind, self.fleet.kind, theft_flags(self.types),
            day_number(date), spec["daily"], spec["hours"], out,
        )  # fmt: skip
        return out

    def _record(
        self, today: DayContext, days: float, used: NDArray[np.float64], registers: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ledger, metered = np.zeros((self.population.n_dts + 1, len(LEDGER))), np.empty(len(used))
        hours = self.stretches.zone_hours * days
        given = self.models.energy(self.fleet, self.place, self.state.installed_day, today, used, hours)
        record_energy(
            self.fleet, self.state, self.params, self.place, today, self.stretches, days, given, used, registers,
            ledger, metered,
        )  # fmt: skip
        return ledger, metered


def day_context(
    seed: int, weather: Weather, date: dt.date, zone_of_quarter: NDArray[np.uint8], stress: Stress,
    breakdown: Breakdown = NO_BREAKDOWN,
) -> DayContext:  # fmt: skip
    """A day's temperatures in the meters' boxes, by district and zone, and its stress."""
    fleet = read_yaml("meter_fleet")
    outdoor = weather.day(date).outdoor_c[:, PAD : PAD + DAY_STEPS]
    box = outdoor + fleet["enclosure_rise_k"]["value"]
    count = np.bincount(zone_of_quarter)
    by_zone = np.stack([box[:, zone_of_quarter == zone].mean(axis=1) for zone in range(len(count))], axis=1)
    rise = by_zone - read_yaml("meter_classes")["reference_c"]["value"]
    return DayContext(
        np.uint64(seed), day_number(date), rise, mean_square_k2(box), stress.by_feeder(weather, date),
        stress.crew_wait_days(date), breakdown,
    )  # fmt: skip


def meter_types(world: ReplicateWorld, types: Catalogue) -> NDArray[np.uint8]:
    """Type of each meter: the maker's where it is smart, CT-operated at HT, else a legacy one. Shape (n,)."""
    consumers, chosen = world.population.consumers, world.plan.scenario.meters.vendors
    names = synthesis().vendors.names
    makers = list(names) if chosen == BY_DISTRICT else [chosen] * len(names)
    missing = sorted(set(makers) - set(types.makers))
    if missing:
        fix = f"add twin/data/devices/{missing[0]}.yaml"
        raise DataPackError([Problem("twin/data/devices", "", f"no datasheet of {', '.join(missing)}", fix)])
    by_phases = np.array([[types.code(m, model) for m in makers] for model in ("single_phase", "three_phase")])
    three = (consumers.phases == 3).astype(np.int64)  # noqa: PLR2004
    kind = by_phases[three, consumers.vendor]
    share = read_yaml("meter_fleet")["electromechanical_share"]["value"]
    old = (uniforms(world.seed, Stream.METER_TYPE, consumers.consumer_id) < share) & (three == 0)
    static = np.array([types.code("static", "single_phase"), types.code("static", "three_phase")])[three]
    legacy = np.where(old, types.code("electromechanical", "single_phase"), static)
    kind = np.where(world.smart, kind, legacy)
    kind[world.population.ht] = types.code("ct_operated", "ct_operated")
    return kind.astype(np.uint8)


def _breakdown(world: ReplicateWorld) -> Breakdown:
    """The gateway failure that the scenario asks for."""
    failure = world.plan.scenario.meters.gateway_failure
    if failure is None:
        return NO_BREAKDOWN
    start_h = float(DAY_H * day_number(failure.first))
    return Breakdown(failure.share, start_h, start_h + failure.hours)


def _validation() -> Validation:
    spec = read_yaml("meter_fleet")
    wrong = spec["corrupted_read"]
    return Validation(float(wrong["share"]), float(wrong["factor"]), float(spec["too_high_hours"]["value"]))


def _params(types: Catalogue) -> FleetParams:
    resolution = [float(sheet.model.register_.resolution_wh.value) for sheet in types.sheets]
    return FleetParams(
        metrology=types.params(MetrologyParams, "metrology"),
        clock=types.params(ClockParams, "clock"),
        failure=types.params(FailureParams, "failure"),
        communication=types.params(CommunicationParams, "communication"),
        resolution_wh=np.array(resolution),
        depth_days=np.array([float(sheet.model.memory.depth_days.value) for sheet in types.sheets]),
    )


def _draw_fleet(
    seed: int, population: Population, kind: NDArray[np.uint8], gateway: NDArray[np.int32], types: Catalogue,
    params: FleetParams,
) -> Fleet:  # fmt: skip
    """Draw the lasting traits of all meters."""
    consumers = population.consumers
    ids = consumers.consumer_id
    tangent = consumers.zips[:, 3:].sum(axis=1).astype(np.float32)
    power_factor = 1.0 / np.sqrt(1.0 + tangent.astype(np.float64) ** 2)
    phases = np.array([sheet.model.phases for sheet in types.sheets])
    basic = params.metrology.base_current_a[kind] * NOMINAL_V * phases[kind] * 1e-3 * power_factor
    ht = population.ht  # transformers are chosen so that their rated current is the contract's
    basic[ht] = np.maximum(consumers.contract_kva[ht], consumers.sanctioned_kw[ht]) * power_factor[ht]
    limits = read_yaml("meter_classes")["classes"]
    errors = draw_errors(seed, ids, kind, params.metrology, class_points(params.metrology.accuracy_class, limits))
    theft_kind, through = draw_theft(seed, ids, theft_multiple(population, kind, types), theft_params())
    link, hops = draw_links(seed, ids, kind, params.communication)
    return Fleet(
        ids=ids, kind=kind, errors=errors, tan_phi=tangent, basic_kw=basic.astype(np.float32),
        crystal_ppm=draw_crystals(seed, ids, kind, params.clock),
        frailty=draw_frailties(seed, ids, kind, params.failure), theft_kind=theft_kind, through=through, link=link,
        hops=hops, gateway=gateway,
    )  # fmt: skip
