"""Tables, commits and digests on a local folder."""

import datetime as dt
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twin.errors import RunFolderError
from twin.results import digest
from twin.results.commits import BlockKey, Commit, begin_attempt, latest_attempt, read_commits, write_commit
from twin.results.digest import hash_rows
from twin.results.reader import open_run
from twin.results.schema import KEYS, arrow_schema, table_names
from twin.results.storage import Storage


def system_rows(case, hours, value=1.0):
    schema = arrow_schema("system")
    n = len(hours)
    columns = {name: [value + h for h in hours] for name in schema.names if name not in {"case", "interval_start"}}
    columns["case"] = [case] * n
    columns["interval_start"] = [dt.datetime(2026, 6, 9, h) for h in hours]
    return pa.table(columns, schema=schema)


def test_every_table_has_keys_and_a_schema_that_holds_them():
    assert set(KEYS) == set(table_names())
    for name in table_names():
        assert set(KEYS[name]) <= set(arrow_schema(name).names)


def test_digest_sees_content_not_layout(tmp_path):
    whole = system_rows(0, [0, 1, 2, 3])
    shuffled = whole.take([2, 0, 3, 1])
    assert hash_rows(whole, "system") == hash_rows(shuffled, "system")
    assert hash_rows(whole, "system") != hash_rows(system_rows(0, [0, 1, 2, 3], 1.0000001), "system")
    split = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert hash_rows(split, "system") == hash_rows(whole, "system")


def test_only_committed_files_of_the_highest_attempt_are_seen(tmp_path):
    storage = Storage(str(tmp_path))
    storage.write_json("manifest.json", {"status": "running"})
    first = begin_attempt(storage, "x", 1)
    old = storage.write_table(f"tables/system/case=0/a{first}.parquet", "system", system_rows(0, [0]))
    key = BlockKey("1block")
    write_commit(storage, Commit(key, first, (old,)))
    second = begin_attempt(storage, "x", 2)
    new = storage.write_table(f"tables/system/case=0/a{second}.parquet", "system", system_rows(0, [0, 1]))
    stray = storage.write_table("tables/system/case=0/stray.parquet", "system", system_rows(0, [5]))
    assert stray.rows == 1
    write_commit(storage, Commit(key, second, (new,)))
    assert latest_attempt(storage) == second == 2
    assert [commit.attempt for commit in read_commits(storage)] == [2]
    run = open_run(str(tmp_path))
    assert run.table("system").num_rows == 2
    assert run.query("SELECT count(*) AS n FROM bills").column("n").to_pylist() == [0]


def test_digest_of_a_run_does_not_depend_on_the_number_of_files(tmp_path):
    digests = []
    for name, parts in (("a", [[0, 1, 2]]), ("b", [[2], [0, 1]])):
        storage = Storage(str(tmp_path / name))
        storage.write_json("manifest.json", {})
        files = tuple(
            storage.write_table(f"tables/system/case=1/{i}.parquet", "system", system_rows(1, hours))
            for i, hours in enumerate(parts)
        )
        write_commit(storage, Commit(BlockKey("1block"), 1, files))
        digests.append(open_run(str(tmp_path / name)).digests())
    assert digests[0] == digests[1]
    assert list(digests[0])[-1] == "run"


def test_a_damaged_file_is_noticed(tmp_path):
    storage = Storage(str(tmp_path))
    record = storage.write_table("tables/system/x.parquet", "system", system_rows(0, [0]))
    (tmp_path / record.path).write_bytes(b"half")
    with pytest.raises(ValueError, match="damaged or half written"):
        storage.read_table(record)


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match=r"manifest\.json"):
        open_run(str(tmp_path))


def consumer_rows(ids, kwh=1.0):
    schema = arrow_schema("consumers")
    blank = {"string": ["a\u0928", "", "bc"], "bool": [True, False, False]}
    columns = {field.name: [blank.get(str(field.type), [1, 2, 3])[i % 3] for i in ids] for field in schema} | {
        "consumer_id": ids,
        "annual_kwh": [None if i == 5 else kwh * i for i in ids],
    }
    return pa.table(columns, schema=schema)


def test_a_table_in_chunks_is_the_same_table_and_records_its_bytes(tmp_path):
    storage = Storage(str(tmp_path))
    chunks = [consumer_rows([0, 1, 2]), consumer_rows([3, 4]), consumer_rows([])]
    record = storage.write_chunks("tables/consumers/s.parquet", "consumers", lambda: chunks)
    data = (tmp_path / record.path).read_bytes()
    assert (record.rows, record.bytes, record.table) == (5, len(data), "consumers")
    assert storage.read_checked(record) == data
    assert storage.read_table(record).equals(consumer_rows([0, 1, 2, 3, 4]))
    assert pq.ParquetFile(tmp_path / record.path).num_row_groups == 3


@pytest.mark.parametrize("piece_rows", [1, 4, 7, 1000])
def test_the_digest_reads_in_pieces_and_does_not_depend_on_them(tmp_path, monkeypatch, piece_rows):
    """Two files of several row groups whose ids interleave, and several cases: cut small, the hash is the same."""
    monkeypatch.setattr(digest, "PIECE_ROWS", piece_rows)
    storage = Storage(str(tmp_path))
    storage.write_json("manifest.json", {})
    ids = [[[0, 1, 2], [8, 9], [3, 4, 20]], [[5, 6, 7], [10, 11, 12, 13]]]
    hours = [[[0, 1], [2, 3]], [[5, 4]]]
    files = [
        storage.write_chunks(f"tables/consumers/{i}.parquet", "consumers", partial(map, consumer_rows, part))
        for i, part in enumerate(ids)
    ]
    for case, parts in enumerate(hours):
        chunks = partial(map, partial(system_rows, case), parts)
        files.append(storage.write_chunks(f"tables/system/{case}.parquet", "system", chunks))
    write_commit(storage, Commit(BlockKey("1block"), 1, tuple(files)))
    run = open_run(str(tmp_path))
    largest = []
    whole = digest.hash_pieces

    def watched(pieces, schema):
        seen = list(pieces)
        largest.append(max(rows.num_rows for rows in seen))
        return whole(seen, schema)

    monkeypatch.setattr(digest, "hash_pieces", watched)
    digests, in_memory = run.digests(), list(largest)
    everyone = consumer_rows(sorted(i for part in ids for group in part for i in group))
    in_order = pa.concat_tables([system_rows(0, [0, 1, 2, 3]), system_rows(1, [4, 5])])
    assert digests["consumers"] == hash_rows(everyone, "consumers")
    assert digests["system"] == whole([in_order], in_order.schema)
    if piece_rows == 4:
        assert in_memory == [4, 5]  # of system, consumers


def with_column(rows, name, values):
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))


def test_the_digest_sees_every_change():
    rows = consumer_rows([0, 1, 2])
    assert rows.column("district").to_pylist() == ["a\u0928", "", "bc"]
    others = [
        rows.slice(1),
        with_column(rows, "district", ["a\u0928", "b", "c"]),  # the same text, cut elsewhere
        with_column(rows, "annual_kwh", [0.0, 1.0, 2.0000002]),
        with_column(rows, "smart", [True, False, True]),
        with_column(rows, "annual_kwh", [None, 1.0, 2.0]),  # a null is not a zero
        with_column(rows, "district", ["a\u0928", None, "bc"]),
    ]
    hashes = [hash_rows(table, "consumers") for table in (rows, *others)]
    assert len(set(hashes)) == len(hashes)
