import numpy as np
import pytest

from twin.grid.apportion import apportion_groups, dirichlet, largest_remainder, prefix, with_minimum
from twin.streams import Stream


def test_largest_remainders_get_what_is_left():
    # quotas 4.5, 3.6, 1.9 of 10: floors 4, 3, 1; the two left go to .9 and .6
    assert largest_remainder(10, np.array([45.0, 36.0, 19.0])).tolist() == [4, 4, 2]


def test_equal_remainders_go_to_the_first():
    assert largest_remainder(2, np.ones(4)).tolist() == [1, 1, 0, 0]


def test_nothing_to_share_needs_no_weight():
    assert largest_remainder(0, np.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [np.nan, 1.0]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weight"):
        largest_remainder(3, np.array(weights))


def test_minimum_is_kept_and_the_rest_follows_the_weights():
    shares = with_minimum(12, np.array([100.0, 1.0, 10.0, 1.0]), np.ones(4, np.int64))
    assert shares.tolist() == [9, 1, 1, 1]


def test_minimum_beyond_the_total_is_refused():
    with pytest.raises(ValueError, match="cannot give 4 of 3"):
        with_minimum(3, np.ones(4), np.ones(4, np.int64))


def test_groups_are_shared_out_apart():
    out = apportion_groups(np.array([5, 0, 3]), np.array([0, 2, 2, 5]), np.array([3.0, 2.0, 1.0, 1.0, 0.0]))
    assert out.tolist() == [3, 2, 2, 1, 0]


def test_a_group_without_weight_is_refused():
    with pytest.raises(ValueError, match="none of its members"):
        apportion_groups(np.array([1, 1]), np.array([0, 1, 2]), np.array([1.0, 0.0]))


def test_prefix_sums_are_first_ids():
    assert prefix(np.array([3, 0, 2])).tolist() == [0, 3, 3, 5]


def test_dirichlet_draws_have_their_mean_and_spread():
    mean = np.tile([0.5, 0.3, 0.2, 0.0], (20_000, 1))
    mix = dirichlet(7, Stream.FEEDER_MIX, np.arange(20_000), mean, 30.0)
    assert np.allclose(mix.sum(axis=1), 1.0)
    assert np.allclose(mix.mean(axis=0), mean[0], atol=2e-3)
    # variance of a Dirichlet share: m (1 - m) / (concentration + 1)
    assert mix[:, 0].var() == pytest.approx(0.25 / 31.0, rel=0.05)
    assert (mix[:, 3] == 0.0).all()
