import pickle

import numpy as np
import pytest

from tests.planning_day import planned_state, planning_kw
from twin.datapack import kinds
from twin.grid.feeder import build_feeder
from twin.grid.partition import partition
from twin.grid.settings import synthesis
from twin.grid.strata import choose
from twin.grid.tables import FEEDER_CLASSES

SEED = 1


@pytest.fixture(scope="module")
def state():
    return planned_state(SEED)


@pytest.fixture(scope="module", params=range(len(FEEDER_CLASSES)), ids=FEEDER_CLASSES)
def static(state, request):
    row = int(np.flatnonzero(state.feeders.feeder_class == request.param)[7])
    return build_feeder(state, row, planning_kw(), SEED)


def bits(static):
    flat = [*static[:-4], *static.lv, *static.tree, static.line_km, static.conductor]
    return [np.asarray(column).tobytes() for column in flat]


def test_consumers_are_the_feeder_s_counts(state, static):
    counts = np.bincount(static.category, minlength=16)
    assert (counts == state.feeders.consumers_by_category[static.feeder]).all()
    assert (static.consumer_id == state.feeders.first_consumer[static.feeder] + np.arange(len(static.kind))).all()
    assert len(static.dt_id) == state.feeders.n_dts[static.feeder]
    assert (np.diff(static.lv.dt_consumer_ptr) >= 1).all()


def test_consumers_are_sorted_by_dt_pole_and_phase(static):
    key = (static.dt.astype(np.int64) * 64 + static.pole) * 4 + static.phase
    assert (np.diff(key) >= 0).all()
    for k in (0, len(static.dt_id) - 1):
        assert (static.dt[static.lv.dt_consumer_ptr[k] : static.lv.dt_consumer_ptr[k + 1]] == k).all()


def test_kinds_belong_to_their_categories(static):
    from twin.grid.population import kind_mix

    assert (kind_mix()[static.category, static.kind] > 0).all()


def test_legs_connect_every_consumer_once_per_phase(static):
    lv = static.lv
    share = np.bincount(lv.leg_consumer, weights=lv.leg_share, minlength=len(static.kind))
    assert np.allclose(share, 1.0, atol=1e-6)
    assert (np.bincount(lv.leg_consumer, minlength=len(static.kind)) == static.phases).all()
    group = np.repeat(np.arange(len(lv.group_ptr) - 1), np.diff(lv.group_ptr))
    at = lv.dt_pole_ptr[static.dt] + static.pole
    assert (group // 3 == at[lv.leg_consumer]).all()
    single = static.phases[lv.leg_consumer] == 1
    assert (group[single] % 3 == static.phase[lv.leg_consumer][single]).all()
    assert lv.dt_leg_ptr[-1] == len(lv.leg_consumer) == lv.group_ptr[-1]
    assert (lv.dt_leg_ptr == lv.group_ptr[3 * lv.dt_pole_ptr]).all()


def test_trees_have_parents_before_children(static):
    assert (static.tree.parent[1:] < np.arange(1, len(static.tree.parent))).all()
    first = np.repeat(static.lv.dt_pole_ptr[:-1], np.diff(static.lv.dt_pole_ptr))
    own = np.arange(len(first)) - first
    assert (static.lv.parent[own == 0] == -1).all()
    assert (static.lv.parent < own).all()
    assert sorted(static.node_of_dt) == list(range(1, len(static.dt_id) + 1))


def test_lengths_and_impedances_are_physical(static):
    assert (static.line_km[1:] > 0).all()
    assert static.line_km.sum() <= synthesis().feeder.most_km[static.feeder_class] + 1e-9
    assert (static.tree.r_pu[1:] > 0).all()
    assert (static.lv.z_pu[:, [0, 6, 10]] > 0).all()
    assert (static.lv.service_pu > 0).all()
    low, high = synthesis().lv.service_least_m, synthesis().lv.service_most_m
    assert static.service_m.min() >= low
    assert static.service_m.max() <= high


def test_sanctioned_loads_keep_their_kind_s_limits_and_phases(static):
    for row in kinds():
        mine = static.kind == row.kind
        if mine.any():
            _, _, least, most, step, three = synthesis().sanctioned_kw[row.name]
            kw = static.sanctioned_kw[mine].astype(float)
            assert kw.min() >= least - 1e-6
            assert kw.max() <= most + 1e-6
            inside = kw < most - 1e-6
            assert np.allclose(np.round(kw[inside] / step) * step, kw[inside], atol=1e-4)
            assert ((static.phases[mine] == 3) == (static.sanctioned_kw[mine] >= three)).all()


def test_expected_peaks_are_the_sums_of_expected_demand(static):
    farm = np.array([row.group == "farm" for row in kinds()])[static.kind]
    day = np.zeros((len(static.dt_id), 96))
    np.add.at(day, static.dt[~farm], planning_kw()[static.kind[~farm]])
    rule = synthesis().feeder
    np.add.at(day, static.dt[farm], rule.farm_coincidence * rule.farm_input * static.sanctioned_kw[farm, None])
    assert np.allclose(static.dt_design_kw, day.max(axis=1), rtol=1e-6)
    assert np.isin(static.rating_kva, synthesis().dt.ratings_kva).all()


def test_the_same_bits_from_a_copy_of_the_state(state, static):
    copy = pickle.loads(pickle.dumps(state))  # noqa: S301
    again = build_feeder(copy, static.feeder, planning_kw(), SEED)
    assert bits(again) == bits(static)


def test_a_district_is_the_same_alone_and_within_all(state):
    district = state.districts.name.index("Sheohar")
    alone, whole = choose(state, ["Sheohar"], SEED), choose(state, "all", SEED)

    def population(selection, n_shards):
        seen = {}
        for shard in partition(state, selection, n_shards):
            rows = np.flatnonzero(np.isin(state.feeders.pss, shard) & selection.resolved)
            for row in rows[state.feeders.district[rows] == district][::9]:
                seen[int(row)] = bits(build_feeder(state, int(row), planning_kw(), SEED))
        return seen

    a, b = population(alone, 1), population(whole, 3)
    assert set(a) & set(b)
    assert all(a[row] == b[row] for row in set(a) & set(b))


def test_another_seed_is_another_population(state, static):
    other = build_feeder(state, static.feeder, planning_kw(), 2)
    assert not np.array_equal(other.sanctioned_kw, static.sanctioned_kw)


def test_feeders_differ_in_their_mix(state):
    ds1 = 1
    rural = np.flatnonzero(state.feeders.feeder_class == 0)
    share = state.feeders.consumers_by_category[rural, ds1] / state.feeders.n_consumers[rural]
    # Dirichlet 30 around about 0.6: sd sqrt(.6 * .4 / 31) = 0.088, less what PSS totals hold together
    assert 0.04 < share.std() < 0.12


def test_smart_ranks_are_uniform_and_vendors_known(static):
    assert static.smart_rank.min() >= 0
    assert static.smart_rank.max() <= 1
    if len(static.smart_rank) > 500:
        assert abs(static.smart_rank.mean() - 0.5) < 0.06
    assert (static.vendor < len(synthesis().vendors.names)).all()
