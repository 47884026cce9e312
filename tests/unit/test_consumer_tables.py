"""Tables of who is simulated: counts are those of the rows, whatever the cut into shards and chunks."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.planning_day import planned_state, planning_kw
from tests.runs import TINY
from twin.datapack import threshold
from twin.grid.strata import choose
from twin.results.schema import KEYS
from twin.results.storage import Storage
from twin.scenario import load_scenario
from twin.simulation import consumer_tables
from twin.simulation.consumer_tables import annual_kwh, chunks, consumer_rows, population_rows, static_files
from twin.simulation.plan import plans
from twin.simulation.population import Population, build_population
from twin.simulation.prepare import wanted_tables
from twin.simulation.shard import Shared

GROUP = ("feeder_id", "district", "category", "income_class", "resolved", "weight")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The shards of a small sample; the folder holds what they write."""
    state = planned_state(1)
    selection = choose(state, 0.002, 1)
    storage = Storage(str(tmp_path_factory.mktemp("tables")))
    wanted = frozenset({"consumers", "population"})
    return Shared(plans(load_scenario(TINY, ())), state, selection, planning_kw(), storage, 1, wanted)


def shard(shared: Shared, pss: Any, *, owns_ehv: bool) -> Population:
    owned = np.asarray(pss, np.int32)
    return build_population(shared.state, shared.selection, owned, shared.design_kw, owns_ehv=owns_ehv)


def busy_pss(shared: Shared) -> np.ndarray:
    """Three PSSs with simulated feeders, and some of which only HT consumers are simulated."""
    with_feeders = np.unique(shared.state.feeders.pss[shared.selection.simulated])[:3]
    return np.union1d(with_feeders, np.unique(shared.state.ht.pss[shared.state.ht.pss >= 0])[:20])


@pytest.fixture(scope="module")
def whole(shared: Shared) -> Population:
    return shard(shared, busy_pss(shared), owns_ehv=True)


@pytest.fixture(scope="module")
def annual(shared: Shared, whole: Population) -> np.ndarray:
    return annual_kwh(1, whole, 2026)


def counts(shared: Shared, population: Population, annual: np.ndarray) -> pa.Table:
    return pa.concat_tables(population_rows(shared, population, annual, part) for part in chunks(population))


def test_counts_are_those_of_the_rows(shared: Shared, whole: Population, annual: np.ndarray) -> None:
    """Counted again one by one from the table of consumers."""
    everyone = consumer_rows(shared, whole, annual, slice(0, len(whole.consumers))).to_pylist()
    number, within = Counter(), Counter()
    kwh: dict[Any, float] = defaultdict(float)
    for row in everyone:
        key = tuple(row[name] for name in GROUP)
        number[key] += 1
        kwh[key] += row["annual_kwh"]
        within[key] += row["annual_kwh"] * threshold("billed_of_used") / 12 <= threshold("free_month")
    found: dict[Any, np.ndarray] = defaultdict(lambda: np.zeros(3))
    for row in counts(shared, whole, annual).to_pylist():
        key = tuple(row[name] for name in GROUP)
        found[key] += row["consumers"], row["annual_kwh"], row["billed_within_free"]
    assert found.keys() == number.keys()
    for key, (n, energy, free) in found.items():
        assert (n, free) == (number[key], within[key])
        assert energy == pytest.approx(kwh[key], rel=1e-12)
    assert 0 < sum(within.values()) < len(everyone)
    assert {row["feeder_id"] < 0 for row in everyone} == {True, False}


def test_ht_consumers_stand_at_their_pss(shared: Shared, whole: Population, annual: np.ndarray) -> None:
    rows = [row for row in counts(shared, whole, annual).to_pylist() if row["feeder_id"] < 0]
    owned = np.isin(shared.state.ht.pss, whole.owned_pss) | (shared.state.ht.pss < 0)
    by_pss = Counter(np.maximum(shared.state.ht.pss[owned], -1).tolist())
    found: Counter[int] = Counter()
    for row in rows:
        found[row["pss_id"]] += row["consumers"]
    assert found == by_pss
    assert {row["weight"] for row in rows} == {1.0}


@pytest.mark.parametrize("chunk", [1, 5000, 10**9])
def test_chunks_are_whole_feeders_and_change_no_bit(
    shared: Shared, whole: Population, annual: np.ndarray, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    expected = in_order(counts(shared, whole, annual))
    monkeypatch.setattr(consumer_tables, "CHUNK", chunk)
    parts = list(chunks(whole))
    assert np.array_equal(np.concatenate([np.arange(p.start, p.stop) for p in parts]), np.arange(len(whole.consumers)))
    starts = {part.rows.start for part in whole.feeders} | {whole.ht.start}
    assert {part.start for part in parts} <= starts
    assert len(parts) == {1: len(whole.feeders) + 1, 10**9: 2}.get(chunk, len(parts))
    assert in_order(counts(shared, whole, annual)).equals(expected)


def in_order(rows: pa.Table) -> pa.Table:
    return rows.sort_by([(key, "ascending") for key in KEYS["population"]]).combine_chunks()


def test_two_shards_write_the_rows_of_one(shared: Shared, whole: Population) -> None:
    half = len(whole.owned_pss) // 2
    pieces = [
        shard(shared, whole.owned_pss[:half], owns_ehv=True), shard(shared, whole.owned_pss[half:], owns_ehv=False)
    ]  # fmt: skip
    one = static_files(shared, "one", whole)
    two = [record for i, part in enumerate(pieces) for record in static_files(shared, f"two{i}", part)]
    assert [record.table for record in one] == ["population", "consumers"]
    for table in ("population", "consumers"):
        keys = [(key, "ascending") for key in KEYS[table]]
        read = [
            pa.concat_tables(shared.storage.read_table(r) for r in records if r.table == table).sort_by(keys)
            for records in (one, two)
        ]
        assert read[0].combine_chunks().equals(read[1].combine_chunks()), table
    rows = read[0].select(["consumer_id"]).to_pydict()["consumer_id"]
    assert len(set(rows)) == len(rows) == len(whole.consumers)


def test_counts_are_always_written_and_rows_only_if_asked_for() -> None:
    compact = load_scenario(TINY, ("output.tables=[system]",))
    assert wanted_tables(compact) == ["population"]
    assert set(wanted_tables(load_scenario(TINY, ()))) > {"population", "consumers", "bills"}


def test_a_shard_without_consumers_writes_nothing(shared: Shared, tmp_path: Path) -> None:
    empty = np.setdiff1d(np.arange(len(shared.state.pss.code)), shared.state.feeders.pss[shared.selection.simulated])
    empty = np.setdiff1d(empty, shared.state.ht.pss)[:1]
    population = shard(shared, empty, owns_ehv=False)
    assert len(population.consumers) == 0
    assert static_files(shared, "none", population) == []
