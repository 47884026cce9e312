"""Model M1 against the class limits and hand figures."""

import numpy as np
import pytest

from tests.meter_cases import IDS, near_mean
from twin.datapack import read_yaml
from twin.errors import DataPackError
from twin.meters.datasheets import catalogue
from twin.meters.metrology import (
    AGEING,
    GAIN,
    LOW_LOAD,
    PHASE,
    TEMPERATURE,
    MetrologyParams,
    class_points,
    draw_errors,
    error_percent,
    recorded_kwh,
)

LIMITS = read_yaml("meter_classes")["classes"]
PARAMS = catalogue().params(MetrologyParams, "metrology")
POINTS = class_points(PARAMS.accuracy_class, LIMITS)


def drawn(name, seed=5, params=PARAMS):
    kind = np.full(len(IDS), catalogue().names.index(name), np.uint8)
    return draw_errors(seed, IDS, kind, params, POINTS)


@pytest.mark.parametrize("name", ["secure.single_phase", "genus.three_phase", "ct_operated.ct_operated",
                                  "static.single_phase", "electromechanical.single_phase"])  # fmt: skip
def test_new_meters_are_inside_their_class(name):
    kind = catalogue().names.index(name)
    errors = drawn(name)
    for current, pf, limit in POINTS[kind]:
        if limit > 0:
            tangent = np.sqrt(1 - pf**2) / pf
            e = errors[:, GAIN] + errors[:, LOW_LOAD] * 0.05 / current + 0.1 * errors[:, PHASE] * tangent
            assert np.mean(np.abs(e) <= limit + 1e-4) >= 0.995, (current, pf)
            assert np.std(e) > 0.03, "errors must exist for this to mean anything"


def test_spreads_are_the_datasheets():
    errors = drawn("genus.single_phase")
    for column, sd in ((GAIN, 0.25), (LOW_LOAD, 0.03), (PHASE, 0.9), (TEMPERATURE, 0.008), (AGEING, 0.03)):
        assert near_mean(errors[:, column], 0.0, sd)
        # factory rejection takes a little from the tails; the spread's own error is sd / sqrt(2 n)
        assert 0.97 * sd < np.std(errors[:, column]) < sd * (1 + 4.9 / np.sqrt(2 * len(IDS)))
    assert np.mean(np.abs(errors[:, TEMPERATURE]) <= 0.05) > 0.9999


def test_draws_hang_on_the_meter_alone():
    kind = np.zeros(len(IDS), np.uint8)
    whole = draw_errors(5, IDS, kind, PARAMS, POINTS)
    assert np.array_equal(whole[7::11], draw_errors(5, IDS[7::11], kind[7::11], PARAMS, POINTS))
    assert not np.array_equal(whole, draw_errors(6, IDS, kind, PARAMS, POINTS))


def test_nothing_is_counted_below_the_starting_current():
    hours, basic_kw = 6.0, 1.15
    assert recorded_kwh(0.0039 * basic_kw * hours, hours, basic_kw, 0.004, 0.0, 0.0) == 0.0
    used = 0.004 * basic_kw * hours
    assert recorded_kwh(used * (1 + 1e-12), hours, basic_kw, 0.004, 0.0, 0.0) == pytest.approx(used)


def test_a_zone_s_energy_is_the_sum_over_its_steps():
    """The low-load error is a constant power, so energy and time suffice whatever the load's shape."""
    kw = np.array([0.02, 0.3, 1.9, 0.7])
    basic_kw, fixed, low = 1.15, 0.4, 0.3
    by_step = sum(p * 0.25 * (1 + error_percent(fixed, low, 0, 0, 0, p / basic_kw, 0) / 100) for p in kw)
    assert recorded_kwh(kw.sum() * 0.25, 1.0, basic_kw, 0.004, fixed, low) == pytest.approx(by_step, rel=1e-12)


def test_hand_figure():
    # gain 0.2, low load 0.1 at 5 % (0.05 at 10 %), 2 mrad at tan phi 1.732 (0.3464), 0.01 %/K at 10 K (0.1)
    assert error_percent(0.2, 0.1, 2.0, 0.01, np.sqrt(3), 0.1, 10.0) == pytest.approx(
        0.2 + 0.05 + 0.34641 + 0.1, rel=1e-5
    )


def test_the_error_of_a_sum_of_meters_shrinks_with_their_root():
    gain = drawn("genus.single_phase")[:, GAIN].astype(float)
    means = gain.reshape(-1, 500).mean(axis=1)
    expected = gain.std() / np.sqrt(500)
    assert abs(means.std() / expected - 1) < 4.9 / np.sqrt(2 * len(means))


def test_without_spread_metering_is_exact():
    zero = MetrologyParams(*(np.zeros_like(column) for column in PARAMS))._replace(accuracy_class=PARAMS.accuracy_class)
    assert not drawn("genus.single_phase", params=zero).any()
    assert recorded_kwh(1.2345, 7.0, 1.15, 0.0, 0.0, 0.0) == 1.2345


def test_a_class_that_no_meter_meets_is_refused():
    wild = PARAMS._replace(gain_sd_percent=np.full(len(catalogue()), 1e4))
    with pytest.raises(DataPackError, match="routine test"):
        drawn("genus.single_phase", params=wild)
    with pytest.raises(DataPackError, match="no limits of class 7.0"):
        class_points(np.array([7.0]), LIMITS)
