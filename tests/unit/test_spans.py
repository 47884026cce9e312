"""Times of shards and of the grid above: levels add up, overlaps are found, a block can be drawn."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from twin.errors import InputError
from twin.results.commits import BlockKey, Commit
from twin.simulation.spans import BlockLog, Levels, Span, Work, idle_s, overlap_s, spans_of
from twin.timeline import WIDTH, timeline


def test_levels_of_a_call_add_up_to_the_call():
    levels = Levels({"demand": 1.0})
    levels.add("demand", 0.5)
    levels.add("lv", 2.0)
    parts = dict(levels.since({"demand": 1.0}, 4.0, "11kv"))
    assert parts == {"demand": 0.5, "lv": 2.0, "11kv": 1.5}


def test_a_round_spans_from_the_first_shard_to_the_last_and_sums_their_work():
    log = BlockLog()
    log.shards("shards", 1, 2, [Work(10.0, 12.0, (("lv", 2.0),)), Work(11.0, 14.0, (("lv", 3.0),))])
    assert log.spans == [Span("shards", 1, 2, 10.0, 14.0, 5.0)]
    assert log.levels.seconds == {"lv": 5.0}
    assert spans_of(log.as_rows()) == log.spans


def test_overlap_counts_a_second_once_however_many_shards_work_in_it():
    spans = [
        Span("above", 0, 1, 0.0, 4.0, 4.0),
        Span("shards", 1, 1, 1.0, 2.0, 2.0),
        Span("accept", 2, 1, 1.5, 3.0, 1.0),
        Span("shards", 1, 2, 9.0, 10.0, 1.0),
    ]
    assert overlap_s(spans) == (4.0, 2.0)
    assert idle_s(spans) == (10.0, 5.0), "from second 4 to second 9 nobody worked"
    assert idle_s([]) == (0.0, 0.0)


def run_of(spans):
    log = BlockLog(spans)
    commit = Commit(BlockKey("1block", 0, 0, 0), 1, (), extra={"spans": log.as_rows()})
    cases = pa.table({"arm": ["flat", "tod"]})
    return SimpleNamespace(path="run", commits=[commit], table=lambda name, columns: cases)


def test_the_picture_shows_who_worked_when():
    first, above = Span("shards", 0, 1, 0.0, 5.0, 5.0), Span("above", 0, 1, 5.0, 10.0, 5.0)
    spans = [first, above, Span("shards", 1, 1, 5.0, 10.0, 5.0)]
    lines = timeline(run_of(spans))
    half = WIDTH // 2
    assert lines[1].endswith("|" + "#" * half + " " * half + "|")
    assert lines[2].endswith("|" + " " * half + "=" * half + "|")
    assert lines[3].endswith("|" + " " * half + "#" * half + "|")
    assert "5.00 s (100.0 %) while shards worked" in lines[-2]
    assert "0.00 s of 10.00 (0.0 %)" in lines[-1]


def test_a_block_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no block 3"):
        timeline(run_of([Span("above", 0, 1, 0.0, 1.0, 1.0)]), block=3)
