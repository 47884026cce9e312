"""The register carries its residual."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.meters.register import register_wh


def test_a_hand_reading():
    reading = register_wh(np.array([[0.1239, 2.0], [0.1, 0.0999]]), np.array([10, 100]))
    assert reading.tolist() == [[120, 2000], [100, 0]]


@given(st.lists(st.floats(0, 50), min_size=1, max_size=40), st.sampled_from([1, 10, 100]))
def test_no_energy_is_lost_between_daily_readings(days_kwh, resolution):
    cumulative = np.cumsum(days_kwh)[:, None]
    readings = register_wh(cumulative, np.full(len(days_kwh), resolution))[:, 0]
    assert np.all(np.diff(readings) >= 0)
    gap_wh = cumulative[:, 0] * 1000 - readings
    assert np.all(gap_wh < resolution + 0.01)
    assert np.all(gap_wh > -0.01)
