"""Model M3 against closed forms."""

import numpy as np
import pytest

from tests.meter_cases import IDS, near_mean
from twin.meters.clock import (
    DAY_S,
    ClockParams,
    advanced,
    draw_crystals,
    rate_ppm,
    shift_zones,
    stretches_of,
    synchronised,
)
from twin.meters.datasheets import catalogue

ZONES = np.repeat(np.array([0, 1, 2, 0], np.uint8), [36, 32, 24, 4])  # night to 09, solar to 17, peak to 23, night
DAY = stretches_of(ZONES)
KWH = np.array([1.2, 2.4, 3.6])
PEAK_KW, SOLAR_KW, NIGHT_KW = 3.6 / 6, 2.4 / 8, 1.2 / 10


def shifted(offset_s, kwh=KWH):
    out = np.zeros(len(kwh))
    shift_zones(kwh, offset_s, DAY, out)
    return out


def test_drift_at_a_constant_temperature_has_a_closed_form():
    ppm = rate_ppm(1.5, -0.038, 0.05, (45 - 25) ** 2, 0.3, 2.0)
    assert ppm == pytest.approx(1.5 - 0.76 + 0.6)
    offset = 0.0
    for _ in range(365):
        offset = advanced(offset, ppm, DAY_S, 0.0, True)
    assert offset == pytest.approx(1.34e-6 * 365 * DAY_S)


def test_an_uncompensated_crystal_at_45_c_loses_1_4_s_a_day():
    assert advanced(0.0, rate_ppm(0.0, -0.04, 1.0, 400.0, 0.0, 0.0), DAY_S, 0.0, True) == pytest.approx(-1.38, abs=0.01)


def test_most_meters_stay_within_3_minutes_a_year():
    params = catalogue().params(ClockParams, "clock")
    crystals = draw_crystals(3, IDS, np.zeros(len(IDS), np.uint8), params)
    assert near_mean(crystals, 0.0, params.crystal_sd_ppm[0])
    minutes = 1e-6 * crystals.astype(float) * 365 * DAY_S / 60
    assert np.mean(np.abs(minutes) < 3) >= 0.99


def test_a_dead_battery_loses_the_time_without_supply():
    assert advanced(5.0, 0.0, DAY_S, 3600.0, True) == 5.0
    assert advanced(5.0, 0.0, DAY_S, 3600.0, False) == -3595.0


def test_the_head_end_sets_clocks_beyond_its_threshold_only():
    assert synchronised(59.0, 60.0, 1.0, 0.7) == 59.0
    assert synchronised(-61.0, 60.0, 1.0, 0.7) == 0.7


@pytest.mark.parametrize("offset", [1.0, 75.0, 1800.0])
def test_a_clock_ahead_moves_offset_times_power_at_every_boundary(offset):
    h = offset / 3600
    moved = shifted(offset) - KWH
    # the last seconds of night count as solar, of solar as peak, of peak as night
    assert moved == pytest.approx([h * (PEAK_KW - NIGHT_KW), h * (NIGHT_KW - SOLAR_KW), h * (SOLAR_KW - PEAK_KW)])


@pytest.mark.parametrize("offset", [-1.0, -75.0, -1800.0])
def test_a_clock_behind_moves_it_the_other_way(offset):
    h = -offset / 3600
    moved = shifted(offset) - KWH
    assert moved == pytest.approx([h * (SOLAR_KW - NIGHT_KW), h * (PEAK_KW - SOLAR_KW), h * (NIGHT_KW - PEAK_KW)])


@pytest.mark.parametrize("offset", [0.0, 12.0, -3599.0, 3601.0, 20_000.0, -40_000.0, 3 * DAY_S + 100, -1e7])
def test_no_energy_is_made_or_lost(offset):
    assert shifted(offset).sum() == pytest.approx(KWH.sum(), rel=1e-12)


def test_long_offsets_agree_with_a_fine_grid_and_with_short_ones_at_the_seam():
    power = (KWH / np.bincount(ZONES) / 900)[ZONES]
    fine = np.repeat(power, 900)
    for offset in (5400, -30_000, 43_000):
        meter_zone = np.repeat(ZONES, 900)[(np.arange(86_400) + offset) % 86_400]
        expected = np.bincount(meter_zone, weights=fine)
        assert shifted(float(offset)) == pytest.approx(expected, rel=1e-9)
    assert shifted(3600.0) == pytest.approx(shifted(3600.0 + 1e-6), rel=1e-9)


def test_whole_days_and_one_zone_change_nothing():
    assert shifted(5 * DAY_S) == pytest.approx(KWH)
    out = np.zeros(1)
    shift_zones(np.array([4.0]), 700.0, stretches_of(np.zeros(96, np.uint8)), out)
    assert out == [4.0]
