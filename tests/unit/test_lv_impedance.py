"""Impedances worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from twin.powerflow.impedance import (
    charging_pu,
    dt_impedance_pu,
    dt_row,
    line_pu,
    primitive_matrix,
    segment_matrix,
    service_pu,
)

BASE_OHM = 62.5  # 250 V squared over 1 kVA


def test_a_bundled_cable_is_two_numbers():
    z = segment_matrix(0.75, 0.09, [0.04, 0.1], r_neutral_ohm_km=0.9, x_neutral_ohm_km=0.1)
    assert z.shape == (2, 12)
    assert z.dtype == np.float32
    own, mutual = (1.65 + 0.19j) * 0.1 / BASE_OHM, (0.9 + 0.1j) * 0.1 / BASE_OHM
    expected = [part for element in (own, mutual, mutual, own, mutual, own) for part in (element.real, element.imag)]
    np.testing.assert_allclose(z[1], expected, rtol=1e-6)
    np.testing.assert_allclose(z[0], 0.4 * z[1], rtol=1e-6)


def test_alike_distances_are_a_bundled_cable():
    spacing = np.full((4, 4), 0.7)
    kinds = dict(r_neutral_ohm_km=1.1, x_neutral_ohm_km=0.38)
    bare = segment_matrix(1.1, 0.38, 0.04, **kinds, spacing_m=spacing, x_spacing_m=0.7, frequency_hz=50)
    np.testing.assert_allclose(bare, segment_matrix(1.1, 0.38, 0.04, **kinds), rtol=1e-6)


def test_wider_spacing_adds_reactance():
    """Loop of phase a and neutral twice as far apart: 2 x 0.0628 ln 2 ohm/km more."""
    kinds = dict(r_neutral_ohm_km=1.1, x_neutral_ohm_km=0.38, x_spacing_m=0.7, frequency_hz=50)
    near = segment_matrix(1.1, 0.38, 1.0, **kinds, spacing_m=np.full((4, 4), 0.7))
    far = segment_matrix(1.1, 0.38, 1.0, **kinds, spacing_m=np.full((4, 4), 1.4))
    assert (far[0, 1] - near[0, 1]) * BASE_OHM == pytest.approx(2 * 2 * np.pi * 50 * 2e-4 * np.log(2), rel=1e-4)
    assert far[0, 0] == near[0, 0]


def test_spacing_needs_its_reference():
    for matrix, args in ((segment_matrix, (1, 1, 1)), (primitive_matrix, (1, 1))):
        with pytest.raises(ValueError, match="x_spacing_m and frequency_hz"):
            matrix(*args, r_neutral_ohm_km=1, x_neutral_ohm_km=1, spacing_m=np.ones((4, 4)))


def test_transformer_on_the_base_of_one_phase():
    """100 kVA, 4.5 %, 1760 W: 0.0176 + 0.0414j on 33.3 kVA per phase."""
    r, x = dt_impedance_pu(100, 4.5, 1760)
    assert r == pytest.approx(0.0176 * 0.03)
    assert x == pytest.approx(np.sqrt(0.045**2 - 0.0176**2) * 0.03)
    row = dt_row(r, x)[0]
    assert row[[0, 6, 10]] == pytest.approx(float(r), rel=1e-6)
    assert row[[1, 7, 11]] == pytest.approx(float(x), rel=1e-6)
    assert not row[[2, 3, 4, 5, 8, 9]].any()
    with pytest.raises(ValueError, match="above the short-circuit impedance"):
        dt_impedance_pu([100, 25], 4.5, [1760, 1200])


def test_services_go_out_and_back_in_one_phase():
    z = service_pu(5.0, 0.1, [20, 20], [False, True])
    np.testing.assert_allclose(z[0], [2 * 0.1 / BASE_OHM, 2 * 0.002 / BASE_OHM], rtol=1e-6)
    np.testing.assert_allclose(z[1], z[0] / 2, rtol=1e-6)


def test_lines_per_unit():
    assert line_pu(12.1, 24.2, 11.0) == (pytest.approx(0.1), pytest.approx(0.2))
    assert charging_pu(100.0, 11.0) == pytest.approx(0.0121)
