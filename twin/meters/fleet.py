"""All meters of a shard as columns, how a run finds them, and what they record (`fleet_day`: the rest of a day).

State of one meter (compact, `Fleet` and `FleetState`): type 1, errors 20, basic power 4, tangent 4, crystal 4, frailty
4, theft 5, link 4, hops 1, gateway 4, thus 51 bytes of traits; installation 4, swap 4, clock 4, waiting days 2, thus 14
bytes that change. The registers come on top, 8 bytes for each zone and arm.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.clock import DAY_S, TURNOVER_C, ClockParams, Stretches, rate_ppm, shift_zones
from twin.meters.communication import Breakdown, CommunicationParams, Dark, never_dark
from twin.meters.failure import YEAR_DAYS, FailureParams, fails_within, found_until
from twin.meters.metrology import AGEING, GAIN, LOW_LOAD, PHASE, TEMPERATURE, MetrologyParams, recorded_kwh
from twin.meters.register import shown_wh
from twin.units import WH_PER_KWH

watch_compilation()


class FleetParams(NamedTuple):
    """Datasheets of all types."""

    metrology: MetrologyParams
    clock: ClockParams
    failure: FailureParams
    communication: CommunicationParams
    resolution_wh: NDArray[np.float64]
    depth_days: NDArray[np.float64]


class Fleet(NamedTuple):
    """Lasting traits, shape (n,) unless said."""

    ids: NDArray[np.int64]
    kind: NDArray[np.uint8]
    errors: NDArray[np.float32]
    """Shape (n, 5): `twin.meters.metrology.draw_errors`."""
    tan_phi: NDArray[np.float32]
    basic_kw: NDArray[np.float32]
    """Power at basic current and the load's power factor. [kW]"""
    crystal_ppm: NDArray[np.float32]
    frailty: NDArray[np.float32]
    theft_kind: NDArray[np.uint8]
    through: NDArray[np.float32]
    """Share of the use that passes the meter."""
    link: NDArray[np.float32]
    hops: NDArray[np.uint8]
    gateway: NDArray[np.int32]
    """Row of `Places.gateway_id`."""


class Places(NamedTuple):
    """Where each meter hangs, shape (n,)."""

    district: NDArray[np.int16]
    dt: NDArray[np.int32]
    """Row of its DT; the last row of the ledger where it has none."""
    feeder: NDArray[np.int32]
    """Position of its feeder, likewise."""
    gateway_id: NDArray[np.int64]
    """Names of the gateways, shape (n_gateways,)."""


class FleetState(NamedTuple):
    """What changes from day to day, shape (n,)."""

    installed_day: NDArray[np.int32]
    """Days since 2000-01-01, as everywhere here."""
    swap_day: NDArray[np.int32]
    """First day with a new meter; not later than today where the meter works."""
    clock_s: NDArray[np.float32]
    """How far the clock is ahead."""
    waiting: NDArray[np.uint16]
    """Days of profile that are not fetched."""


class DayContext(NamedTuple):
    """What a day is like where the meters hang."""

    seed: np.uint64
    day: int
    rise_k: NDArray[np.float64]
    """Meters' temperature above reference, shape (n_districts, n_zones). [K]"""
    square_k2: NDArray[np.float64]
    """Mean of (T - 25 C)^2, shape (n_districts,). [K^2]"""
    stress: NDArray[np.float64]
    """Multiplies the failure rate, by position of the feeder, shape (n_feeders + 1,)."""
    crew_wait_days: NDArray[np.float64]
    """How long crews need for the meters that failed before, shape (n_types,). [days]"""
    breakdown: Breakdown


class Given(NamedTuple):
    """What functions of a user's say in place of the built-in models (`twin.meters.variants`).

    Which types of meter have one, shape (n_types,), and its answers for all their meters, in the meters' order.
    """

    has_chance: NDArray[np.bool_]
    chance: NDArray[np.float64]
    """To fail within the day."""
    has_ppm: NDArray[np.bool_]
    ppm: NDArray[np.float64]
    """Rate of the clock. [ppm]"""
    has_kwh: NDArray[np.bool_]
    kwh: NDArray[np.float64]
    """Recorded energy by true zone, shape (k, n_zones). [kWh]"""


class DayOut(NamedTuple):
    """What a day did to the devices, shape (n,)."""

    arrival_h: NDArray[np.float32]
    """Hours after the next midnight; inf: not within a day."""
    fetched: NDArray[np.uint16]
    lost: NDArray[np.uint16]
    failed: NDArray[np.bool_]
    clock_set: NDArray[np.bool_]
    delayed: NDArray[np.bool_]
    """Does the profile come in later because of interruptions of supply, or not within a day?"""


class PowerCuts(NamedTuple):
    """When supply is interrupted, by DT (row of `Places.dt`)."""

    today: Dark
    tomorrow: Dark
    """The day on which today's profile comes in."""
    off_h: NDArray[np.float64]
    """Time without supply since the run began, before today. Shape (n_dts + 1,). [h]"""
    usual_h: NDArray[np.float64]
    """A year's time without supply before the run. Shape (n_dts + 1,). [h]"""
    first_day: int
    """The run's."""


def no_cuts(n_places: int) -> PowerCuts:
    """Supply without a break."""
    return PowerCuts(never_dark(n_places), never_dark(n_places), np.zeros(n_places), np.zeros(n_places), 0)


LEDGER = ("used", "metered", "error", "theft", "unrecorded")
"""Lines of the meters' balance: used = metered + error + theft + unrecorded."""
USED, METERED, ERROR, THEFT, UNRECORDED = range(len(LEDGER))


@nb.njit(cache=True, error_model="numpy")
def record_energy(
    fleet: Fleet, state: FleetState, params: FleetParams, place: Places, today: DayContext, day: Stretches, days: float,
    given: Given, used_kwh: NDArray[np.float64], registers_kwh: NDArray[np.float64], ledger_kwh: NDArray[np.float64],
    metered_kwh: NDArray[np.float64],
) -> None:  # fmt: skip
    """What the registers make of the energy used on a day.

    Parameters
    ----------
    days : float
        How many like days ``used_kwh`` covers.
    used_kwh : array, shape (n, n_zones)
        True use by zone. [kWh]
    registers_kwh : array, shape (n, n_zones)
        Recorded energy with its residual, which is added to. [kWh]
    ledger_kwh : array, shape (n_dts + 1, 5)
        `LEDGER` of each DT's meters, which is added to; ``metered`` is what displays gained, ``error`` is positive
        where meters read too little. [kWh]
    metered_kwh : array, shape (n,)
        What each meter's display gained, overwritten. [kWh]
    """
    n_zones, given_rows = used_kwh.shape[1], 0
    through, recorded, moved = np.empty(n_zones), np.empty(n_zones), np.empty(n_zones)
    for i in range(len(fleet.ids)):
        line = ledger_kwh[place.dt[i]]
        used = passed = 0.0
        for z in range(n_zones):
            through[z] = fleet.through[i] * used_kwh[i, z]
            used += used_kwh[i, z]
            passed += through[z]
        given_at = given_rows
        given_rows += given.has_kwh[fleet.kind[i]]
        metered_kwh[i] = 0.0
        line[USED] += used
        line[THEFT] += used - passed
        if state.swap_day[i] > today.day:
            line[UNRECORDED] += passed
            continue
        if given.has_kwh[fleet.kind[i]]:
            unrecorded = 0.0
            for z in range(n_zones):
                recorded[z] = given.kwh[given_at, z]
                unrecorded += through[z] if recorded[z] == 0.0 else 0.0
        else:
            unrecorded = _record(i, fleet, state, params, today, place.district[i], day, days, through, recorded)
        moved[:] = 0.0
        shift_zones(recorded, state.clock_s[i], day, moved)
        resolution, gained_wh, seen = params.resolution_wh[fleet.kind[i]], 0.0, 0.0
        for z in range(n_zones):
            before = shown_wh(registers_kwh[i, z], resolution)
            registers_kwh[i, z] += moved[z]
            gained_wh += shown_wh(registers_kwh[i, z], resolution) - before
            seen += through[z] - recorded[z]
        metered_kwh[i] = gained_wh / WH_PER_KWH
        line[METERED] += metered_kwh[i]
        line[UNRECORDED] += unrecorded
        line[ERROR] += (seen - unrecorded) + (recorded.sum() - metered_kwh[i])


@nb.njit(error_model="numpy")
def _record(
    i: int, fleet: Fleet, state: FleetState, params: FleetParams, today: DayContext, district: int, day: Stretches,
    days: float, through: NDArray[np.float64], recorded: NDArray[np.float64],
) -> float:  # fmt: skip
    """Energy recorded by zone; returns what was below the starting current. [kWh]"""
    k, errors, unrecorded = fleet.kind[i], fleet.errors[i], 0.0
    age = (today.day - state.installed_day[i]) / YEAR_DAYS
    starting = params.metrology.starting_current_frac[k]
    steady = errors[GAIN] + 0.1 * errors[PHASE] * fleet.tan_phi[i] + errors[AGEING] * age
    for z in range(len(through)):
        rise = today.rise_k[district, z]
        fixed = steady + errors[TEMPERATURE] * rise + params.metrology.temperature_percent_per_k2[k] * rise * rise
        hours = day.zone_hours[z] * days
        recorded[z] = recorded_kwh(through[z], hours, fleet.basic_kw[i], starting, fixed, errors[LOW_LOAD])
        if recorded[z] == 0.0:
            unrecorded += through[z]
    return unrecorded


@nb.njit(cache=True, error_model="numpy")
def settled_clocks(
    fleet: Fleet, params: FleetParams, installed_day: NDArray[np.int32], day: int, square_k2: float, given: Given,
    out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Offsets of clocks that have drifted since they were installed and were set at each threshold. [s]

    ``given`` holds their mean rates, where functions of a user's say them.
    """
    rates = 0
    for i in range(len(fleet.ids)):
        k, age = fleet.kind[i], day - installed_day[i]
        rate_at = rates
        rates += given.has_ppm[k]
        out[i] = 0.0
        if fleet.hops[i] == 0:
            continue
        if given.has_ppm[k]:
            ppm = given.ppm[rate_at]
        else:
            ppm = rate_ppm(
                fleet.crystal_ppm[i], params.clock.parabola_ppm_per_k2[k], params.clock.residual_frac[k], square_k2,
                params.clock.ageing_ppm_per_year[k], 0.5 * age / YEAR_DAYS,
            )  # fmt: skip
        drift = 1e-6 * ppm * DAY_S * age
        threshold = params.clock.sync_threshold_s[k]
        out[i] = drift - threshold * np.trunc(drift / threshold)


@nb.njit(cache=True, error_model="numpy")
def settled_swaps(
    seed: int, fleet: Fleet, params: FailureParams, installed_day: NDArray[np.int32], day: int, given: Given,
    crew_wait_days: NDArray[np.float64], out: NDArray[np.int32],
) -> None:  # fmt: skip
    """First day with a new meter of those that a run finds failed: failures of a day times mean days to a swap."""
    chances = 0
    for i in range(len(fleet.ids)):
        k = fleet.kind[i]
        chance_at = chances
        chances += given.has_chance[k]
        age = (day - installed_day[i]) / YEAR_DAYS
        if given.has_chance[k]:
            chance = given.chance[chance_at]
        else:
            chance = fails_within(age, age + 1.0 / YEAR_DAYS, fleet.frailty[i], 1.0, k, params)
        out[i] = found_until(seed, fleet.ids[i], day, chance, k, params, crew_wait_days[k], installed_day[i])


def mean_square_k2(temperature_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of (T - 25 C)^2 over the last axis. [K^2]"""
    return ((temperature_c - TURNOVER_C) ** 2).mean(axis=-1)
