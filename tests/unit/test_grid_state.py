import numpy as np
import pytest

from tests.planning_day import planned_state, planning_kw
from twin.datapack import categories
from twin.errors import DataPackError, ScenarioError
from twin.grid import places, settings, tables
from twin.grid.population import category_totals, kind_mix
from twin.grid.state import build_state
from twin.grid.substations import KV_33
from twin.grid.tables import FEEDER_CLASSES, conductors


@pytest.fixture(scope="module")
def state():
    return planned_state()


def test_counts_are_the_calibration_table_s(state):
    counts = state.counts()
    assert counts["consumers"] == 21_200_000
    assert (counts["pss"], counts["feeders"], counts["dts"], counts["ht_consumers"]) == (1200, 6427, 250_726, 4000)
    assert [counts[f"feeders_{name}"] for name in FEEDER_CLASSES] == [2700, 950, 277, 2500]
    farm = state.feeders.feeder_class == FEEDER_CLASSES.index("agricultural")
    assert state.feeders.n_dts[farm].sum() == 50_000
    assert 700 <= counts["feeders_33kv"] <= 1000


def test_every_category_adds_up_exactly(state):
    by_feeder = state.feeders.consumers_by_category.sum(axis=0)
    by_ht = np.bincount(state.ht.category, minlength=len(categories()))
    assert (by_feeder + by_ht == category_totals()).all()


def test_kind_shares_of_a_category_sum_to_one():
    assert np.allclose(kind_mix().sum(axis=1), 1.0)


def test_ids_run_on_without_a_gap(state):
    feeders = state.feeders
    assert (feeders.first_consumer[1:] == (feeders.first_consumer + feeders.n_consumers)[:-1]).all()
    assert (feeders.first_dt[1:] == (feeders.first_dt + feeders.n_dts)[:-1]).all()
    assert state.ht.consumer_id[0] == state.n_lv_consumers
    assert state.ht.consumer_id[-1] == state.n_consumers - 1


def test_every_feeder_has_dts_and_every_dt_may_have_a_consumer(state):
    assert (state.feeders.n_dts >= 1).all()
    assert (state.feeders.n_dts <= state.feeders.n_consumers).all()


def test_feeders_of_a_pss_are_neighbours(state):
    first = state.pss.first_feeder
    for pss in (0, 17, len(first) - 2):
        assert (state.feeders.pss[first[pss] : first[pss + 1]] == pss).all()
    assert first[-1] == len(state.feeders.code)


def test_discoms_split_as_households_do(state):
    # recalled: NBPDCL 58 to 62 % of consumers; the census households that consumers follow give 65 %
    north = state.feeders.stratum < len(FEEDER_CLASSES)
    assert 0.60 < state.feeders.n_consumers[north].sum() / state.n_lv_consumers < 0.66


def test_same_seed_same_state_other_seed_other_state(state):
    again, other = build_state(1, planning_kw()), planned_state(2)
    for name in ("consumers_by_category", "n_dts", "district"):
        assert np.array_equal(getattr(state.feeders, name), getattr(again.feeders, name))
    assert np.array_equal(state.pss.latitude, again.pss.latitude)
    assert np.array_equal(state.ht.contract_kva, again.ht.contract_kva)
    assert not np.array_equal(state.feeders.consumers_by_category, other.feeders.consumers_by_category)


def test_districts_keep_their_share_of_homes(state):
    ds1 = [row.category for row in categories()].index("ds1")
    homes = np.bincount(state.feeders.district, weights=state.feeders.consumers_by_category[:, ds1])
    rural = np.array([row.rural_households_2011 for row in tables.districts()], float)
    assert np.allclose(homes / homes.sum(), rural / rural.sum(), rtol=2e-3)


def test_pss_hang_on_the_nearest_gss_with_room(state):
    pss, rule = state.pss, settings.synthesis()
    mva = (pss.design_kw + pss.design_33kv_kw) / rule.line_33kv.power_factor / 1000.0
    load = np.bincount(pss.gss, weights=mva, minlength=len(state.gss.id))
    assert (load <= state.gss.n_units * state.gss.unit_mva * rule.gss.loading + 1e-9).all()
    assert state.gss.n_units.max() <= rule.gss.most_units
    away = places.distance_km(
        np.stack([pss.latitude, pss.longitude], axis=1), np.stack([state.gss.latitude, state.gss.longitude], axis=1)
    )
    assert np.mean(away.argmin(axis=1) == pss.gss) > 0.95


def test_33kv_feeders_are_short_chains_with_parents_first(state):
    pss = state.pss
    place = np.empty(len(pss.order), int)
    place[pss.order] = np.arange(len(pss.order))
    child = pss.parent >= 0
    assert (place[pss.parent[child]] < place[child.nonzero()[0]]).all()
    assert (pss.gss[pss.parent[child]] == pss.gss[child]).all()
    depth = np.ones(len(place), int)
    for row in pss.order:
        if pss.parent[row] >= 0:
            depth[row] = depth[pss.parent[row]] + 1
    assert depth.max() <= settings.synthesis().line_33kv.most_chain
    assert np.bincount(pss.parent[child]).max() == 1


def test_33kv_conductors_carry_their_load(state):
    pss, rule = state.pss, settings.synthesis().line_33kv
    flow = (pss.design_kw + pss.design_33kv_kw) / rule.power_factor / 1000.0
    for row in pss.order[::-1]:
        if pss.parent[row] >= 0:
            flow[pss.parent[row]] += flow[row]
    ampacity = np.array([row.ampacity_a for row in conductors()])[pss.conductor] * pss.circuits
    loading = flow * 1000.0 / (np.sqrt(3.0) * KV_33) / ampacity
    assert np.quantile(loading, 0.99) <= rule.ampacity_share


def test_pss_transformers_hold_their_load(state):
    mva = state.pss.design_kw / settings.synthesis().line_33kv.power_factor / 1000.0
    assert np.mean(mva <= settings.synthesis().pss.loading * state.pss.transformer_mva + 1e-9) > 0.995


def test_ht_consumers_stand_where_their_voltage_is(state):
    ht = state.ht
    assert ((ht.pss >= 0) == (ht.kv <= KV_33)).all()
    assert all((bus != "") == (kv > KV_33) for bus, kv in zip(ht.ehv_bus, ht.kv, strict=True))
    levels = {row.id: row.levels for row in tables.stations()}
    assert all(f"{kv:g}" in levels[bus] for bus, kv in zip(ht.ehv_bus, ht.kv, strict=True) if bus)
    assert (ht.contract_kva >= settings.synthesis().ht.least_kva).all()


def test_a_headquarters_block_stands_at_its_point(state):
    names = [row.headquarters_block for row in tables.districts()]
    for code, (name, row) in enumerate(zip(names, tables.districts(), strict=True)):
        at = [i for i, d in enumerate(state.blocks.district) if d == code and state.blocks.name[i] == name]
        assert len(at) == 1
        assert (state.blocks.latitude[at[0]], state.blocks.longitude[at[0]]) == (row.latitude, row.longitude)


@pytest.mark.parametrize(
    ("name", "district"),
    [("Patna", "Patna"), ("pashchim champaran", "West Champaran"), ("West Champaran", "West Champaran"),
     ("Purnea", "Purnia"), ("KAIMUR (BHABUA)", "Kaimur"), ("Chapra", "Saran")],
)  # fmt: skip
def test_spellings_of_districts(name, district):
    assert places.resolve_district(name) == district


def test_an_unknown_district_names_the_closest():
    with pytest.raises(ScenarioError, match="did you mean 'Sheohar'"):
        places.resolve_district("Shehoar")
    assert places.district_suggestions("Muzaffarpurr")[0] == "Muzaffarpur"


def test_aliases_lead_to_districts():
    assert all(places.resolve_district(row.alias) in places.district_names() for row in _aliases())


def _aliases():
    return places.read_rows("district_aliases", tables.DistrictAlias)


def test_every_assumed_number_has_a_reason():
    entries = settings.assumed_numbers()
    assert len(entries) > 80
    assert all(len(why) > 5 or why == "as above" for _, _, why in entries)


def test_kinds_without_a_sanctioned_load_are_ht_only():
    from twin.datapack import kinds
    from twin.grid.rules import sanctioned_table

    missing = np.isnan(sanctioned_table()).any(axis=1)
    names = [row.name for row, none in zip(kinds(), missing, strict=True) if none]
    assert names == [row.name for row in kinds() if row.group in ("ht", "traction")]


def test_a_conductor_or_rating_that_no_table_has_is_named():
    with pytest.raises(DataPackError, match="ACSR Unicorn: no such conductor"):
        tables.conductor_code("ACSR Unicorn")
    with pytest.raises(DataPackError, match="no row of 17 kVA"):
        tables.distribution_transformer(17.0, old=True)


def test_ranges_in_a_cell_are_their_middle():
    wolf = conductors()[tables.conductor_code("ACSR Wolf")]
    assert wolf.ampacity_a == pytest.approx((350 + 405) / 2)
    assert tables.conductors()[tables.conductor_code("ACSR Moose twin")].ampacity_a == pytest.approx(2 * 715)
