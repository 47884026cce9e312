"""Load limits that a head-end sets and lifts: whom, from when, until when, beside the standing one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.test_load_limits import DATE, N_ARMS, STEPS, Town, town
from twin.meters.load_limit import LIMIT_DISABLED, LIMIT_SET
from twin.scenario.names import category_names
from twin.simulation.load_limits import LoadLimits
from twin.simulation.meter_commands import EXECUTED

SET = f"{{command: load_limit, day: {DATE}, hour: 18.0, multiple: 0.5, categories: [ds1, ds2], within_h: 4.0}}"
LIFT = f"{{command: lift_limit, day: {DATE}, hour: 23.0}}"
EVENING = f"meters.commands=[{SET}, {LIFT}]"
STAYS = f"meters.commands=[{SET}]"
AT_SIX, AT_ELEVEN = 72, 92


def demand(made: Town, arm: int) -> np.ndarray:
    """What all feeders' consumers draw after limits, shape (n, STEPS)."""
    parts = [
        made.solver.after_response(made.block, arm, part.rows, made.solver.draw(made.block, part.rows))[
            :, :STEPS
        ].copy()
        for part in made.people.feeders
    ]
    return np.concatenate(parts)


def rows_of(made: Town) -> np.ndarray:
    return np.concatenate([np.arange(part.rows.start, part.rows.stop) for part in made.people.feeders])


@pytest.fixture(scope="module")
def free() -> Town:
    made = town(2, "")
    made.solve()
    return made


def test_it_holds_from_when_each_meter_has_it_until_it_is_lifted(free):
    made = town(2, EVENING)
    made.solve()
    want, got, rows = demand(free, 0), demand(made, 0), rows_of(made)
    day = made.devices.commands.prepare(DATE)
    done = (day.campaign == 0) & (day.result[0] == EXECUTED)
    from_step = np.full(len(made.devices.fleet.ids), STEPS)
    from_step[day.rows[done]] = np.rint(day.done_h[done] % 24 * 4)
    chosen = np.isin(np.array(category_names()), ("ds1", "ds2"))[made.people.consumers.category]
    assert chosen[day.rows[day.campaign == 0]].all()
    limit = 0.5 * made.people.consumers.sanctioned_kw
    over = (want > limit[rows, None]) & (np.arange(STEPS) >= from_step[rows, None])
    cut = got < want
    assert not cut[:, :AT_SIX].any()
    assert over[:, AT_SIX:AT_ELEVEN].sum() > 200
    works = made.block.limits.works[rows]
    first = np.argmax(over, axis=1)
    begins = np.flatnonzero(over.any(axis=1) & (first < AT_ELEVEN) & works)
    assert cut[begins, first[begins]].all(), "a quarter of an hour above it outlasts any persistence"
    assert not cut[:, :AT_ELEVEN][~np.maximum.accumulate(over, axis=1)[:, :AT_ELEVEN]].any(), "nobody before his first"
    lifted = (day.campaign == 1) & (day.result[0] == EXECUTED)
    until = np.full(len(from_step), STEPS)
    until[day.rows[lifted]] = np.rint(day.done_h[lifted] % 24 * 4)
    assert not cut[np.arange(STEPS) >= until[rows, None]].any(), "whoever was cut off is back at once"
    table = made.limits.table(0, 0, made.block.limits).to_pandas().set_index("consumer_id")
    by_id = dict(zip(made.devices.fleet.ids.tolist(), limit.tolist(), strict=True))
    assert len(table) > 30
    assert all(row.limit_kw == pytest.approx(by_id[consumer]) for consumer, row in table.iterrows())
    codes = {code: len(ids) for ids, _, code, _ in made.devices.commands.events(0, day)}
    assert codes == {LIMIT_SET: int(done.sum()), LIMIT_DISABLED: int(lifted.sum())}


def test_what_is_not_lifted_holds_on_the_next_day_as_a_standing_limit_would():
    made, standing = town(1, STAYS), town(1, "meters.load_limit={multiple: 0.5, categories: [ds1, ds2]}")
    for one in (made, standing):
        one.solve()
        one.commit()
        one.next_day()
        one.solve()
    has_it = made.limits.setting == 1
    assert 0.9 < has_it.sum() / np.isfinite(standing.limits.limit_kw(slice(0, len(has_it)))).sum() <= 1.0
    ids = set(made.devices.fleet.ids[has_it].tolist())
    openings = [
        {row["consumer_id"]: row["openings"] for row in one.limits.table(0, 0, one.block.limits).to_pylist()}
        for one in (made, standing)
    ]
    assert openings[0].keys() <= ids
    both = openings[0].keys() & openings[1].keys()
    assert len(both) > 30
    missing = {consumer for consumer in openings[1] if consumer in ids} - both
    assert len(missing) < 0.02 * len(both), "but for what a standing limit's first day left open or broke"
    saved = made.limits.arrays()
    again = LoadLimits(made.devices, None, made.devices.relays, made.meters.plan.scenario.meters.commands)
    again.restore(saved)
    assert again.setting.dtype == np.uint8
    for name, array in again.arrays().items():
        assert np.array_equal(array, saved[name]), name
    assert saved["limit_setting"].sum() == has_it.sum()


def test_a_second_command_replaces_the_first_and_a_standing_limit_keeps_its_own_categories():
    tighter = f"{{command: load_limit, day: {DATE}, hour: 20.0, multiple: 0.3, tries: 1, lockout_s: 7200}}"
    made = town(1, f"meters.commands=[{SET}, {tighter}, {LIFT}]")
    assert made.limits.multiples.tolist() == [np.inf, 0.5, 0.3]
    n_types = len(made.limits.limited)
    smart = np.flatnonzero(made.limits.limited)
    assert set(made.limits.params.tries[2 * n_types + smart]) == {1.0}
    assert set(made.limits.params.tries[n_types + smart]) == {3.0}
    made.solve()
    day = made.block.limits
    mine = day.commanded
    of_one = mine.setting[mine.rows == mine.rows[np.bincount(mine.rows)[mine.rows] == 3][0]]
    assert of_one.tolist() == [1, 2, 0], "in the order in which they arrive"
    lowest = made.limits.table(0, 0, day).to_pandas()
    assert len(lowest) > 20
    made.commit()
    assert np.mean(made.limits.setting[mine.rows] == 0) > 0.9
    both = f"meters={{devices: true, load_limit: {{multiple: 2.0, categories: [ds1]}}, commands: [{SET}]}}"
    kept = town(1, both).limits
    everybody = np.arange(len(kept.setting))
    ds1 = np.array(category_names())[made.people.consumers.category] == "ds1"
    limited = kept.limited[kept.devices.fleet.kind]
    assert np.array_equal(np.isfinite(kept.limit_of(everybody, np.zeros(len(ds1), np.int64))), ds1 & limited)
    assert np.array_equal(np.isfinite(kept.limit_of(everybody, np.ones(len(ds1), np.int64))), limited)


def test_the_cut_into_shards_changes_nothing():
    whole, part = town(3, EVENING), town(1, EVENING, skip=1)
    for made in (whole, part):
        made.solve()
    ids = set(part.devices.fleet.ids[: part.people.ht.start].tolist())
    for arm in range(N_ARMS):
        mine, other = (one.limits.table(0, arm, one.block.limits).to_pylist() for one in (whole, part))
        assert [row for row in mine if row["consumer_id"] in ids] == other
        assert other
