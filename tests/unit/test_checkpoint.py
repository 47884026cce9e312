"""Checkpoints gather whatever number of shards wrote them, and notice damage."""

import numpy as np
import pytest

from twin.results.commits import BlockKey, Commit
from twin.results.storage import Storage
from twin.simulation.checkpoint import read_meters, read_voltages, write_meters, write_voltages


def state(ids, arms=2, zones=3):
    kwh = np.arange(arms * len(ids) * zones, dtype=float).reshape(arms, len(ids), zones) + ids[None, :, None]
    return {"kwh": kwh, "start_kwh": kwh[:1] / 2}


def test_two_shards_write_and_three_read(tmp_path):
    storage = Storage(str(tmp_path))
    ids = np.array([3, 5, 8, 13, 21, 34], np.int64)
    whole = state(ids)
    records = [
        write_meters(storage, f"checkpoints/s{k}", ids[part], {name: values[:, part] for name, values in whole.items()})
        for k, part in enumerate((slice(0, 2), slice(2, 6)))
    ]
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        read = read_meters(storage, records, ids[part])
        for name, values in whole.items():
            assert np.array_equal(read[name], values[:, part])


def test_a_missing_consumer_and_a_damaged_file_are_errors(tmp_path):
    storage = Storage(str(tmp_path))
    ids = np.array([1, 2], np.int64)
    record = write_meters(storage, "checkpoints/a", ids, state(ids))
    with pytest.raises(ValueError, match="lacks 1 of 3 consumers"):
        read_meters(storage, [record], np.array([1, 2, 4]))
    (tmp_path / record.path).write_bytes(b"torn")
    with pytest.raises(ValueError, match="damaged or half written"):
        read_meters(storage, [record], ids)


def test_voltages_come_back_bit_for_bit(tmp_path):
    storage = Storage(str(tmp_path))
    v = np.random.default_rng(1).random((2, 4, 24))
    record = write_voltages(storage, "checkpoints/driver", v)
    commit = Commit(BlockKey("1block"), 1, (), (record,))
    assert np.array_equal(read_voltages(storage, commit), v)
