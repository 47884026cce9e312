import numpy as np
import pytest

from tests.planning_day import planned_state
from twin.grid.partition import partition
from twin.grid.strata import choose


@pytest.fixture(scope="module")
def state():
    return planned_state()


@pytest.mark.parametrize("n_shards", [1, 2, 3, 7, 64, 1200, 5000])
@pytest.mark.parametrize("resolve", ["all", ["Sheohar"], 0.01])
def test_every_pss_once_in_order_and_no_shard_empty(state, resolve, n_shards):
    shards = partition(state, choose(state, resolve, 1), n_shards)
    assert len(shards) == min(n_shards, 1200)
    assert min(map(len, shards)) >= 1
    assert np.array_equal(np.concatenate(shards), np.arange(1200))


def test_shards_are_balanced_by_simulated_consumers(state):
    chosen = choose(state, "all", 1)
    consumers = np.bincount(state.feeders.pss, state.feeders.n_consumers, minlength=1200)
    loads = np.array([consumers[rows].sum() for rows in partition(state, chosen, 8)])
    assert loads.max() / loads.mean() < 1.02


def test_no_shards_is_an_error(state):
    with pytest.raises(ValueError, match="at least 1"):
        partition(state, choose(state, "all", 1), 0)
