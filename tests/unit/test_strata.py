import numpy as np
import pytest

from tests.planning_day import planned_state
from twin.errors import ScenarioError
from twin.grid.state import N_STRATA
from twin.grid.strata import choose, stratum_name
from twin.loading import yearly_sample


@pytest.fixture(scope="module")
def state():
    return planned_state()


def test_all_resolves_everything_and_samples_nothing(state):
    chosen = choose(state, "all", 1)
    assert chosen.resolved.all()
    assert not chosen.sampled.any()
    assert not chosen.unresolved_consumers.any()


@pytest.mark.parametrize("resolve", ["all", ["Sheohar"], 0.02])
def test_a_year_of_losses_is_studied_on_feeders_that_stand_for_all(state, resolve):
    selection = choose(state, resolve, 1)
    only, chosen, weights = yearly_sample(state, selection)
    assert only == ("scouts" if resolve == "all" else "sampled")
    assert (chosen <= selection.simulated).all()
    stands_for = np.bincount(state.feeders.stratum[chosen], minlength=N_STRATA)
    assert (stands_for > 0).all()
    total = (weights * state.feeders.n_consumers)[chosen].sum()
    left_out = state.feeders.n_consumers[selection.resolved & ~selection.sampled].sum() if only == "sampled" else 0
    assert total == pytest.approx(state.n_lv_consumers - left_out, rel=1e-9)


def test_a_district_is_resolved_and_a_sample_stands_for_the_rest(state):
    chosen = choose(state, ["Sheohar"], 1)
    assert (chosen.resolved == (state.feeders.district == state.districts.name.index("Sheohar"))).all()
    assert not (chosen.resolved & chosen.sampled).any()
    assert np.bincount(state.feeders.stratum[chosen.sampled], minlength=N_STRATA).tolist() == [8, 4, 3, 3] * 2
    unresolved = state.n_lv_consumers - state.feeders.n_consumers[chosen.resolved].sum()
    assert chosen.unresolved_consumers.sum() == unresolved


def test_the_sample_skips_resolved_feeders_and_keeps_the_others(state):
    nobody, patna = choose(state, [], 1), choose(state, ["Patna"], 1)
    lost = nobody.sampled & patna.resolved
    assert ((nobody.sampled & ~patna.sampled) == lost).all()


def test_spellings_of_a_district_choose_the_same(state):
    a, b = choose(state, ["Paschim Champaran"], 1), choose(state, ["West Champaran"], 1)
    assert (a.resolved == b.resolved).all()


def test_fractions_nest_and_are_their_own_sample(state):
    small, large = choose(state, 0.01, 1), choose(state, 0.05, 1)
    assert (small.resolved <= large.resolved).all()
    assert (small.resolved == small.sampled).all()
    assert large.resolved.sum() == pytest.approx(0.05 * len(state.feeders.code), rel=0.02)
    assert (np.bincount(state.feeders.stratum[choose(state, 1e-6, 1).resolved], minlength=N_STRATA) == 1).all()


def test_a_whole_fraction_is_everything(state):
    assert choose(state, 1.0, 1).resolved.all()


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5])
def test_a_fraction_out_of_range_is_an_error(state, fraction):
    with pytest.raises(ScenarioError, match="fraction"):
        choose(state, fraction, 1)


def test_an_unknown_district_is_an_error(state):
    with pytest.raises(ScenarioError, match="no district"):
        choose(state, ["Atlantis"], 1)


def test_seeds_sample_differently(state):
    assert (choose(state, [], 1).sampled != choose(state, [], 2).sampled).any()


def test_strata_have_names():
    assert stratum_name(0) == "NBPDCL rural_mixed"
    assert stratum_name(7) == "SBPDCL agricultural"
