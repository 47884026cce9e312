"""A day of the fleet against the equations of the models, meter by meter, written once more in numpy."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.meter_cases import near_mean
from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_devices import DATE, NONE, PLAN, day_kwh, population
from twin.datapack import read_yaml
from twin.meters.clock import ClockParams, draw_crystals
from twin.meters.communication import gateway_up
from twin.meters.datasheets import catalogue
from twin.meters.failure import YEAR_DAYS
from twin.meters.fleet import ERROR, METERED, THEFT, UNRECORDED, USED
from twin.meters.metrology import AGEING, GAIN, LOW_LOAD, PHASE, TEMPERATURE, MetrologyParams, class_points, draw_errors
from twin.meters.register import register_wh
from twin.meters.theft import KINDS, OCCURRENCE
from twin.scenario import load_scenario
from twin.simulation.block import BlockSolver
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.plan import plans
from twin.simulation.replicate import open_world


@pytest.fixture(scope="module")
def world():
    return open_world(PLAN, 0, population(planned_state(1), 8))


def began(world, date=DATE):
    devices = MeterDevices(world)
    devices.begin(date, 0.0 * day_kwh(world))
    return devices


def works_on(devices, date=DATE):
    return devices.state.swap_day <= devices.context(date).day


def expected_kwh(devices, used, date=DATE):
    """M1 by its equation, with currents and temperatures of the zone; before clocks move energy between zones."""
    fleet, today, metrology = devices.fleet, devices.context(date), devices.params.metrology
    errors, through = fleet.errors.astype(float), fleet.through.astype(float)[:, None] * used
    age = ((today.day - devices.state.installed_day) / YEAR_DAYS)[:, None]
    rise = today.rise_k[devices.place.district]
    kw = through / devices.stretches.zone_hours
    current = kw / fleet.basic_kw.astype(float)[:, None]  # share of the basic current: the power factor is the same
    percent = (
        errors[:, [GAIN]]
        + errors[:, [LOW_LOAD]] * 0.05 / np.maximum(current, 1e-12)
        + 100 * 1e-3 * errors[:, [PHASE]] * fleet.tan_phi.astype(float)[:, None]
        + errors[:, [TEMPERATURE]] * rise
        + metrology.temperature_percent_per_k2[fleet.kind][:, None] * rise**2
        + errors[:, [AGEING]] * age
    )
    counted = current >= metrology.starting_current_frac[fleet.kind][:, None]
    return np.where(counted & works_on(devices, date)[:, None], through * (1 + percent / 100), 0.0), through, counted


def test_registers_gain_what_the_error_equation_says(world):
    devices, used = began(world), day_kwh(world)
    used[::5] *= np.geomspace(0.02, 1.0, len(used[::5]))[:, None]  # from below the starting current on
    registers = np.zeros((1, *used.shape))
    ledger = devices.advance(DATE, [used], registers, NONE).arms[0].ledger_kwh
    want, through, counted = expected_kwh(devices, used)
    assert 0.01 < np.mean(~counted) < 0.15
    assert np.allclose(registers[0].sum(axis=1), np.maximum(want, 0.0).sum(axis=1), rtol=1e-6, atol=1e-9)
    by_dt = np.zeros((len(ledger), 3))
    lost = np.where(counted & works_on(devices)[:, None], 0.0, through).sum(axis=1)
    for column, values in enumerate((used.sum(axis=1), (used - through).sum(axis=1), lost)):
        by_dt[:, column] = np.bincount(devices.place.dt, weights=values, minlength=len(ledger))
    assert np.allclose(ledger[:, [USED, THEFT, UNRECORDED]], by_dt, rtol=1e-6, atol=1e-9), "each by its own DT"
    digits = devices.resolution_wh.max() / 1000 * used.shape[1]
    metered = np.bincount(devices.place.dt, weights=registers[0].sum(axis=1), minlength=len(ledger))
    meters = np.bincount(devices.place.dt, minlength=len(ledger))
    assert np.all(ledger[:, METERED] <= metered + 1e-9)
    assert np.all(ledger[:, METERED] > metered - digits * meters - 1e-9), "displays cut what is below the last digit"
    gap = ledger[:, USED] - ledger[:, METERED] - ledger[:, ERROR] - ledger[:, THEFT] - ledger[:, UNRECORDED]
    assert np.all(np.abs(gap) <= 1e-12 * np.maximum(ledger[:, USED], 1.0)), "theft closes to machine precision"


def test_clocks_drift_by_their_rate_and_only_those_that_are_reached_and_beyond_the_threshold_are_set(world):
    devices, used = began(world), day_kwh(world)
    clock, fleet = devices.params.clock, devices.fleet
    devices.state.clock_s[::3] = 400.0
    before, works = devices.state.clock_s.astype(float).copy(), works_on(devices)
    age = (devices.context(DATE).day - devices.state.installed_day) / YEAR_DAYS
    new = devices.state.swap_day == devices.context(DATE).day
    square = devices.context(DATE).square_k2[devices.place.district]
    out = devices.advance(DATE, [used], np.zeros((1, *used.shape)), NONE).devices
    k = fleet.kind
    ppm = fleet.crystal_ppm + clock.residual_frac[k] * clock.parabola_ppm_per_k2[k] * square
    ppm += clock.ageing_ppm_per_year[k] * age
    free = before + 1e-6 * ppm * 86_400
    goes = works & ~out.failed & (fleet.hops > 0) & ~new
    should = goes & np.isfinite(out.arrival_h) & (np.abs(free) > clock.sync_threshold_s[k])
    assert np.array_equal(out.clock_set[~new], should[~new])
    assert should.sum() > 100
    assert (goes & (np.abs(free) > clock.sync_threshold_s[k]) & ~should).sum() > 0, "some are not reached"
    kept = goes & ~should
    assert np.allclose(devices.state.clock_s[kept], free[kept], atol=1e-4)
    assert near_mean(devices.state.clock_s[should], 0.0, clock.sync_residual_s[0])
    assert np.std(devices.state.clock_s[should]) == pytest.approx(clock.sync_residual_s[0], rel=0.2)


def test_an_outage_of_a_gateway_longer_than_memory_loses_exactly_the_excess_in_a_run(world):
    """Forty days without a gateway and a memory of seven: 33 days and the one of its death are gone, not one more."""
    devices, used = began(world), day_kwh(world)
    depth, silent = 7, 40
    devices.params = devices.params._replace(depth_days=np.full(len(devices.types), float(depth)))
    up = devices.params.communication
    never_fails = up._replace(gateway_mtbf_days=np.full(len(devices.types), 1e12))
    devices.params = devices.params._replace(communication=never_fails)
    first = devices.context(DATE).day
    dead = 24.0 * (first + 1)  # profiles of the first day come in on the second
    devices.breakdown = devices.breakdown._replace(share=1.0, from_h=dead, until_h=dead + 24.0 * silent)
    got, lost = np.zeros(len(used), int), np.zeros(len(used), int)
    alive = works_on(devices) & (devices.fleet.hops > 0)
    tail = 3
    for later in range(silent + tail):
        out = devices.advance(DATE + dt.timedelta(days=later), [0.0 * used], np.zeros((1, *used.shape)), NONE).devices
        alive &= ~out.failed
        if later < silent:
            assert not out.fetched.any()
        got, lost = got + out.fetched, lost + out.lost
    alive &= devices.state.waiting == 0
    assert alive.mean() > 0.25
    back = devices.fleet.link >= 0.3
    # stored silent + 1 days when it is reached first; a late first read after it adds to both
    mine = alive & back
    assert np.array_equal((got + lost)[mine], np.full(mine.sum(), silent + tail))
    soon = mine & (lost == silent + 1 - depth)
    assert soon.sum() > 0.95 * mine.sum()
    assert np.all(lost[mine] >= silent + 1 - depth)


def test_one_gateway_s_death_changes_only_its_meters_in_a_run(world):
    """All that a day does to all meters, with one gateway dead and with none."""
    used, days = day_kwh(world), {}
    for name in ("none", "one"):
        devices = began(world)
        up = devices.params.communication._replace(gateway_mtbf_days=np.full(len(devices.types), 1e12))
        devices.params = devices.params._replace(communication=up)
        ids = devices.place.gateway_id
        meters = np.bincount(devices.fleet.gateway[devices.fleet.hops > 0], minlength=len(ids))
        victim = int(np.argmax(meters))
        if name == "one":  # its meters hear nothing: a gateway of a name that is always down is what a death is
            start = 24.0 * devices.context(DATE).day
            dead = next(g for g in range(10**6) if is_dead(devices, g, start))
            devices.breakdown = devices.breakdown._replace(share=SHARE, from_h=start, until_h=start + 72.0)
            alive = np.array([not is_dead(devices, int(g), start) for g in ids])
            names = np.where(alive, ids, next(g for g in range(10**6) if not is_dead(devices, g, start)))
            names[victim] = dead
            devices.place = devices.place._replace(gateway_id=names)
        registers = np.zeros((1, *used.shape))
        days[name] = devices.advance(DATE, [used], registers, NONE), registers, devices.state
    (calm, calm_kwh, calm_state), (day, kwh, state) = days["none"], days["one"]
    hit = (devices.fleet.gateway == victim) & (devices.fleet.hops > 0) & works_on(devices)
    assert hit.sum() > 20
    assert not np.isfinite(day.devices.arrival_h[hit]).any()
    for field in calm.devices._fields:
        assert np.array_equal(getattr(day.devices, field)[~hit], getattr(calm.devices, field)[~hit]), field
    for field in calm_state._fields:
        assert np.array_equal(getattr(state, field)[~hit], getattr(calm_state, field)[~hit]), field
    assert np.array_equal(kwh, calm_kwh), "registers count whoever is reached"
    assert np.array_equal(day.arms[0].ledger_kwh, calm.arms[0].ledger_kwh)


SHARE = 0.01


def is_dead(devices, gateway, start):
    """Is a gateway of this name among those that break down?"""
    failure = devices.breakdown._replace(share=SHARE, from_h=start, until_h=start + 1.0)
    return not gateway_up(np.uint64(devices.seed), gateway, start, 1e12, 1.0, failure)


def test_hooking_leaves_no_sign_and_takes_its_energy(world):
    devices, used = began(world), day_kwh(world)
    hooking = KINDS.index("hooking")
    mine = devices.fleet.theft_kind == hooking
    assert mine.sum() > 20
    for later in range(5):
        assert not np.isfinite(devices.signs_h(DATE + dt.timedelta(days=later))[mine]).any()
    signs = np.isfinite([devices.signs_h(DATE + dt.timedelta(days=later)) for later in range(60)]).any(axis=0)
    assert set(devices.fleet.theft_kind[signs]) <= {KINDS.index(kind) for kind in OCCURRENCE}
    assert signs.sum() > 5
    flags = [sheet.model.theft_flags for sheet in catalogue().sheets if sheet.model.theft_flags is not None]
    assert all(flag.hooking.value == 0.0 for flag in flags)
    ledger = devices.advance(DATE, [used], np.zeros((1, *used.shape)), NONE).arms[0].ledger_kwh
    stolen = ((1.0 - devices.fleet.through.astype(float))[:, None] * used).sum()
    assert ledger[:, THEFT].sum() == pytest.approx(stolen, rel=1e-12)


@pytest.mark.parametrize("name", catalogue().names)
def test_every_type_s_temperature_slope_is_within_its_class(name):
    """IEC 62053-21 and -22, pf 1: 0.05 %/K of class 1, 0.03 of 0.5S; IEC 62053-11: 0.1 of class 2."""
    params, code = catalogue().params(MetrologyParams, "metrology"), catalogue().names.index(name)
    limit = {0.5: 0.03, 1.0: 0.05, 2.0: 0.1}[params.accuracy_class[code]]
    points = class_points(params.accuracy_class, read_yaml("meter_classes")["classes"])
    ids = np.arange(20_000, dtype=np.int64)
    slope = draw_errors(5, ids, np.full(len(ids), code, np.uint8), params, points)[:, TEMPERATURE]
    assert np.mean(np.abs(slope) <= limit) >= 0.995
    assert np.abs(slope).max() > 0.1 * limit


def test_the_error_of_500_meters_shrinks_with_their_root_and_a_common_bias_stays():
    """Whole errors at a tenth of basic current, 35 C, five years: a sound maker's and a batch that drifts one way."""
    params, ids = catalogue().params(MetrologyParams, "metrology"), np.arange(200_000, dtype=np.int64)
    points = class_points(params.accuracy_class, read_yaml("meter_classes")["classes"])
    for name in ("genus.single_phase", "bad_batch.single_phase"):
        code = catalogue().names.index(name)
        e = draw_errors(5, ids, np.full(len(ids), code, np.uint8), params, points).astype(float)
        whole = e[:, GAIN] + 0.5 * e[:, LOW_LOAD] + 0.048 * e[:, PHASE] + 8.0 * e[:, TEMPERATURE] + 5.0 * e[:, AGEING]
        for n in (20, 500):
            means = whole.reshape(-1, n).mean(axis=1)
            assert abs(means.std() / (whole.std() / np.sqrt(n)) - 1) < 4.9 / np.sqrt(2 * len(means)), (name, n)
            bias = 5.0 * params.ageing_mean_percent_per_year[code]
            assert near_mean(means, bias, whole.std() / np.sqrt(n)), (name, n)


def test_makers_clocks_stay_within_three_minutes_a_year_without_synchronisation(world):
    """AMI facts, M3: 99 % of meters, with crystal, temperature of Bihar's boxes and ageing. The oldest lots
    of one maker and a made-up bad batch are outside on purpose.
    """
    params, n = catalogue().params(ClockParams, "clock"), 100_000
    ids, devices = np.arange(n, dtype=np.int64), began(world)
    square = np.mean([devices.context(dt.date(2026, month, 15)).square_k2 for month in range(1, 13)])
    for code, sheet in enumerate(catalogue().sheets):
        crystals = draw_crystals(3, ids, np.full(n, code, np.uint8), params).astype(float)
        ppm = crystals + params.residual_frac[code] * params.parabola_ppm_per_k2[code] * square
        ppm += 0.5 * params.ageing_ppm_per_year[code]
        inside = np.mean(np.abs(1e-6 * ppm * 365 * 1440) < 3.0)
        if sheet.maker == "bad_batch":
            assert inside < 0.5
        elif params.crystal_sd_ppm[code] > 2.0:
            assert sheet.maker == "eesl"
            assert 0.9 < inside < 0.99
        else:
            assert inside >= 0.99, sheet.name


def test_captures_of_a_quarter_and_of_half_an_hour_bill_the_same_energy():
    """To one step of the register: demand of half an hour is that of its quarters, and registers count either."""
    people, shown, used = population(planned_state(1), 2), {}, {}
    for minutes in (15, 30):
        plan = plans(load_scenario(TINY, ("meters.devices=true", f"time.step_minutes={minutes}")))[0]
        world = open_world(plan, 0, people)
        solver, devices = BlockSolver(people, plan.steps), MeterDevices(world)
        assert solver.kw.shape[1] >= plan.steps
        registers = devices.begin(DATE, np.zeros((len(people.consumers), plan.zones.n_zones)))[None]
        for later in range(3):
            date, kwh = DATE + dt.timedelta(days=later), np.zeros(registers.shape[1:])
            world.add_energy(solver, date, kwh, mean_field=False)
            devices.advance(date, [kwh], registers, NONE)
        shown[minutes] = register_wh(registers[0], devices.resolution_wh)
        used[minutes] = kwh
    assert used[15].sum() > 100.0
    assert np.allclose(used[15], used[30], rtol=1e-5, atol=1e-6)
    apart = np.abs(shown[15] - shown[30])
    assert np.all(apart <= devices.resolution_wh[:, None])
    assert np.mean(apart == 0) > 0.99
