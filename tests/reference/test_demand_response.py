"""Price response against published sizes: the grid facts, section 7, and the appliance ceilings, demand facts 1.5."""

import numpy as np
import pytest

from twin.demand.response import ces_factors, parameter_bounds

EVENING_SHARE = 0.35
"""Share of a home's day in 17-23 (demand facts 2.4, monsoon: 0.25 to 0.35)."""


def peak_cut(sigma, ratio):
    """Fall of the evening zone's use when its price is ``ratio`` times that of the rest."""
    kwh = np.array([[1 - EVENING_SHARE, EVENING_SHARE]])
    out = np.empty((1, 2))
    ces_factors(
        kwh,
        np.ones((1, 2)),
        np.array([[1.0, ratio]]),
        np.zeros(1, np.int64),
        np.array([sigma]),
        np.zeros(1),
        0.3,
        0.01,
        out,
    )
    return 1 - out[0, 1]


def test_closed_form():
    """With two zones: cut = 1 - r^-s / (1 - w + w r^-s)."""
    for sigma, ratio in ((0.04, 1.5), (0.1, 2.0), (0.2, 3.0)):
        r = ratio**-sigma
        assert peak_cut(sigma, ratio) == pytest.approx(1 - r / (1 - EVENING_SHARE + EVENING_SHARE * r), rel=1e-12)


@pytest.mark.parametrize("ratio", [1.375, 1.5, 2.0, 3.0])
def test_home_priors_stay_below_foreign_pilots(ratio):
    """Arcturus 2.0 (recalled): peak cut = 0.011 + 0.065 ln(ratio); rural homes far below it, AC homes up to it."""
    arcturus = 0.011 + 0.065 * np.log(ratio)
    bounds = parameter_bounds()
    assert peak_cut(bounds["substitution_rural_home"][1], ratio) < 0.75 * arcturus
    assert peak_cut(bounds["substitution_urban_home"][1], ratio) < arcturus
    assert peak_cut(bounds["substitution_ac_home"][1], ratio) < 1.2 * arcturus


def test_moved_energy_stays_under_the_appliances_ceiling():
    """Demand facts 1.5: 6 % of a poor rural home's energy can move at all, 11-12 % of an urban one's."""
    bounds = parameter_bounds()
    for name, ceiling in (("rural_home", 0.06), ("urban_home", 0.11), ("ac_home", 0.12)):
        moved = peak_cut(bounds[f"substitution_{name}"][1], 1.5) * EVENING_SHARE
        assert moved < ceiling
