"""A day passes all meters of a shard: they fail or are swapped, clocks drift and are set, profiles come in."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.clock import DAY_S, advanced, battery_alive, battery_life_years, rate_ppm, synchronised
from twin.meters.communication import arrives_h, is_steady, numbers_of, within_day_h
from twin.meters.failure import (
    YEAR_DAYS,
    FailureParams,
    fails_on,
    fails_today,
    first_day_after,
    highest_rates,
    repair_days,
    surely_works,
)
from twin.meters.fleet import DayContext, DayOut, Fleet, FleetParams, FleetState, Given, Places, PowerCuts
from twin.meters.memory import fetched
from twin.streams import Stream, key64, normal

watch_compilation()

HOUR_S = 3600.0
YEAR_H = 24.0 * YEAR_DAYS


@nb.njit(cache=True, error_model="numpy")
def advance_fleet(
    fleet: Fleet, state: FleetState, params: FleetParams, place: Places, today: DayContext, given: Given,
    cuts: PowerCuts, out: DayOut,
) -> None:  # fmt: skip
    """A day passes: meters fail or are swapped, clocks drift and are set, profiles come in and are fetched."""
    _fail(fleet, state, params.failure, place.feeder, today, given, out)
    _communicate(fleet, state, params, place, today, given, cuts, out)


@nb.njit(error_model="numpy")
def _fail(
    fleet: Fleet, state: FleetState, params: FailureParams, feeder: NDArray[np.int32], today: DayContext, given: Given,
    out: DayOut,
) -> None:  # fmt: skip
    """Meters fail or are swapped."""
    # Arrays leave their tuples once, here and below: every use of one in a tuple counts references.
    ids, kind, frailty, failed = fleet.ids, fleet.kind, fleet.frailty, out.failed
    installed_day, swap_day, clock_s, waiting = state.installed_day, state.swap_day, state.clock_s, state.waiting
    has_chance, chance, seed, day = given.has_chance, given.chance, today.seed, today.day
    stress, crew_wait_days = today.stress, today.crew_wait_days
    chances, highest = 0, highest_rates(params)
    for i in range(len(ids)):
        k, chance_at, failed[i] = kind[i], chances, False
        chances += has_chance[k]
        if swap_day[i] == day:
            installed_day[i], clock_s[i], waiting[i] = day, 0.0, 0
        if swap_day[i] > day:
            continue
        age = (day - installed_day[i]) / YEAR_DAYS
        if has_chance[k]:
            fails = fails_on(seed, ids[i], day, chance[chance_at])
        elif surely_works(seed, ids[i], day, age, frailty[i], stress[feeder[i]], highest[k]):
            continue
        else:
            fails = fails_today(seed, ids[i], day, age, frailty[i], stress[feeder[i]], k, params, highest[k])
        if fails:
            failed[i] = True
            wait = repair_days(seed, ids[i], day, k, params) + crew_wait_days[k]
            swap_day[i] = first_day_after(day, wait)


@nb.njit(error_model="numpy")
def _communicate(
    fleet: Fleet, state: FleetState, params: FleetParams, place: Places, today: DayContext, given: Given,
    cuts: PowerCuts, out: DayOut,
) -> None:  # fmt: skip
    """Clocks drift and are set, profiles come in and are fetched: of meters that work and have a module."""
    ids, kind, hops, link, gateway = fleet.ids, fleet.kind, fleet.hops, fleet.link, fleet.gateway
    dts, district, gateway_id, crystal_ppm = place.dt, place.district, place.gateway_id, fleet.crystal_ppm
    installed_day, swap_day, clock_s, waiting = state.installed_day, state.swap_day, state.clock_s, state.waiting
    has_ppm, given_ppm, square_k2, seed, day = given.has_ppm, given.ppm, today.square_k2, today.seed, today.day
    today_ptr, today_from_h, today_until_h = cuts.today.ptr, cuts.today.from_h, cuts.today.until_h
    ptr, from_h, until_h = cuts.tomorrow.ptr, cuts.tomorrow.from_h, cuts.tomorrow.until_h
    off_h, usual_h, first_day = cuts.off_h, cuts.usual_h, cuts.first_day
    clock, communication, depth_days, breakdown = params.clock, params.communication, params.depth_days, today.breakdown
    parabola, residual, ageing = clock.parabola_ppm_per_k2, clock.residual_frac, clock.ageing_ppm_per_year
    threshold_s, residual_s = clock.sync_threshold_s, clock.sync_residual_s
    battery_years, battery_log_sd = clock.battery_years, clock.battery_log_sd
    battery_off_years = clock.battery_off_years
    arrival, got, lost, is_set, delayed = out.arrival_h, out.fetched, out.lost, out.clock_set, out.delayed
    its, rates, last, asked, steady = numbers_of(communication, 0), 0, 0, (-1, -1), False
    for i in range(len(ids)):
        k, rate_at = kind[i], rates
        rates += has_ppm[k]
        arrival[i], got[i], lost[i], is_set[i], delayed[i] = np.inf, 0, 0, False, False
        if hops[i] == 0 or swap_day[i] > day:
            continue
        if k != last:
            its, last = numbers_of(communication, k), k
        g, dt, age = gateway[i], dts[i], (day - installed_day[i]) / YEAR_DAYS
        if has_ppm[k]:
            ppm = given_ppm[rate_at]
        else:
            ppm = rate_ppm(crystal_ppm[i], parabola[k], residual[k], square_k2[district[i]], ageing[k], age)
        if asked != (g, k):  # neighbours share it
            asked = (g, k)
            steady = is_steady(seed, gateway_id[g], day + 1, its.gateway_mtbf_days, its.gateway_mttr_h, breakdown)
        off_s, alive = 0.0, True
        if today_ptr[dt] < today_ptr[dt + 1]:
            for j in range(today_ptr[dt], today_ptr[dt + 1]):
                off_s += within_day_h(today_from_h[j], today_until_h[j])
            off_s *= HOUR_S
            life = battery_life_years(seed, ids[i], battery_years[k], battery_log_sd[k])
            years_before = max(first_day - installed_day[i], 0) / YEAR_DAYS
            off_years = (off_h[dt] + usual_h[dt] * years_before) / YEAR_H
            alive = battery_alive(age, off_years, life, battery_off_years[k])
        offset = advanced(clock_s[i], ppm, DAY_S, off_s, alive)
        arrived, delayed[i] = arrives_h(
            seed, ids[i], gateway_id[g], day + 1, link[i], hops[i], its, breakdown, ptr, from_h, until_h, dt, steady
        )
        arrival[i] = arrived
        got[i], lost[i], left = fetched(int(waiting[i]), int(depth_days[k]), np.isfinite(arrived))
        waiting[i] = min(left, 65535)
        if np.isfinite(arrived) and abs(offset) > threshold_s[k]:
            z = normal(key64(seed, Stream.METER_SYNC, ids[i]), day)
            offset = synchronised(offset, threshold_s[k], residual_s[k], z)
            is_set[i] = True
        clock_s[i] = offset
