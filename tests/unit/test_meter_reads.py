"""What a head-end makes of what comes in: late days, duplicates, wrong reads and those that validation refuses."""

import datetime as dt

import numpy as np
import pytest

from tests.meter_cases import near_share
from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_devices import DATE, NONE, opened, population
from twin.meters.communication import one_shot
from twin.meters.reads import CHECKS, READS
from twin.scenario import load_scenario
from twin.simulation import meter_devices
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.plan import plans
from twin.simulation.replicate import open_world

SMART = "meters.smart_share={domestic: 1.0, non_domestic: 1.0, industrial: 1.0, agricultural: 1.0}"


@pytest.fixture(scope="module")
def devices() -> MeterDevices:
    plan = plans(load_scenario(TINY, ("meters.devices=true", SMART)))[0]
    return opened(open_world(plan, 0, population(planned_state(1), 4)))


def pass_day(devices, used, later=0):
    return devices.advance(DATE + dt.timedelta(days=later), [used], np.zeros((1, *used.shape)), NONE)


def small_use(devices, hours=2.0):
    load, n_zones = devices.load_kw(), len(devices.stretches.zone_hours)
    return np.repeat(hours * load[:, None] / n_zones, n_zones, axis=1)


def test_lost_acknowledgements_make_duplicates_and_gaps_make_late_days(devices):
    total, expected, variance, n_late = np.zeros(len(READS)), 0.0, 0.0, 0
    for later in range(3):
        day = pass_day(devices, small_use(devices), later)
        total += day.counts.sum(axis=(0, 1))
        arrived = np.isfinite(day.devices.arrival_h)
        fleet, sends = devices.fleet, devices.params.communication.sends
        q = np.array([one_shot(p, int(h), sends[k]) for p, h, k in zip(
            fleet.link[arrived], fleet.hops[arrived], fleet.kind[arrived], strict=True)])  # fmt: skip
        expected, variance = expected + (1 - q).sum(), variance + (q * (1 - q)).sum()
        n_late += np.maximum(day.devices.fetched[arrived].astype(int) - 1, 0).sum()
    counts = dict(zip(READS, total, strict=True))
    assert abs(counts["duplicates"] - expected) <= 5 * np.sqrt(variance) + 1
    assert expected > 20
    assert counts["days_late"] == n_late > 0
    assert counts["days_fetched"] == counts["read_24h"] + counts["days_late"]


def test_wrong_reads_are_drawn_and_refused_where_they_pass_the_rule(devices, monkeypatch):
    rule = meter_devices._validation()._replace(corrupted_share=0.2)
    monkeypatch.setattr(meter_devices, "_validation", lambda: rule)
    day = pass_day(devices, small_use(devices), 4)
    n = int(np.isfinite(day.devices.arrival_h).sum())
    checks = dict(zip(CHECKS, day.arms[0].checks.sum(axis=(0, 1)), strict=True))
    assert near_share(checks["corrupted"], n, 0.2)
    assert checks["too_high"] < 0.02 * checks["corrupted"], "20 hours of the load are within 24"
    high = pass_day(devices, small_use(devices, 3.0), 5)
    found = dict(zip(CHECKS, high.arms[0].checks.sum(axis=(0, 1)), strict=True))
    assert 0.5 * found["corrupted"] < found["too_high"] <= found["corrupted"], "stolen energy is not read"
    assert near_share(found["corrupted"], int(np.isfinite(high.devices.arrival_h).sum()), 0.2)


def test_what_is_held_is_what_came_in_and_was_not_refused(devices, monkeypatch):
    right = meter_devices._validation()._replace(corrupted_share=0.0)
    monkeypatch.setattr(meter_devices, "_validation", lambda: right)
    everybody = np.arange(len(devices.fleet.ids))
    used = small_use(devices, 40.0)
    day = devices.advance(DATE + dt.timedelta(days=6), [used], np.zeros((1, *used.shape)), everybody)
    arrived, metered = np.isfinite(day.devices.arrival_h), day.arms[0].metered_kwh
    high = metered > 24.0 * devices.load_kw()
    assert 0.5 < high.mean() < 1.0, "thieves' registers show less"
    assert day.arms[0].checks[:, :, CHECKS.index("too_high")].sum() == (arrived & high).sum()
    assert day.arms[0].checks[:, :, CHECKS.index("corrupted")].sum() == 0
    assert day.arms[0].read_kwh.sum() == pytest.approx(metered[arrived & ~high].sum(), rel=1e-12)
