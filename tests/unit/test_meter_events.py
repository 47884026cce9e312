"""Event codes: only those of IS 15959 as four public implementations have them, occurrences with their restorations."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.unit.test_meter_outages import DATE, made, pass_day
from twin.meters import load_limit, relay
from twin.meters.clock import CLOCK_SET
from twin.meters.gasp import POWER_FAILURE, POWER_RESTORED
from twin.meters.theft import OCCURRENCE, RESTORATION
from twin.simulation.meter_commands import EVENTS
from twin.simulation.meter_tables import NO_CODE, event_rows

PAIRED = {
    *range(1, 13, 2), *range(51, 71, 2), 101, *range(201, 217, 2),
}  # fmt: skip
"""Occurrences of the voltage, current, power and other logs; the restoration is the next number (AMI facts, 1.3)."""
SINGLE = {151, 152, 153, 154, 155, 157, 158, 159, 160, *range(161, 168), 182, 251, 253, 301, 302}


def test_only_known_codes_are_emitted_and_all_that_end_have_an_end():
    assert set(OCCURRENCE.values()) <= PAIRED
    assert OCCURRENCE.keys() == RESTORATION.keys()
    assert all(RESTORATION[kind] == code + 1 for kind, code in OCCURRENCE.items())
    assert {CLOCK_SET, *EVENTS.values()} <= SINGLE
    assert POWER_FAILURE in PAIRED
    assert POWER_RESTORED == POWER_FAILURE + 1
    assert load_limit.OVERLOAD in PAIRED
    assert load_limit.OVERLOAD_ENDED == load_limit.OVERLOAD + 1
    assert {relay.LOAD_SWITCH_OPEN, relay.LOAD_SWITCH_CLOSED} <= SINGLE


class Everything:
    """Some days of a village with thieves, interruptions, commands and load limits at once, as tables of events."""

    def __init__(self) -> None:
        self.days = 4
        command = f"{{command: disconnect, day: {DATE}, hour: 11.0, share: 0.2}}"
        back = f"{{command: connect, day: {DATE + dt.timedelta(days=1)}, hour: 12.0}}"
        firmware = f"{{command: firmware, day: {DATE}, hour: 2.0}}"
        world, self.devices = made(1, 0, f"meters.commands=[{command}, {back}, {firmware}]")
        self.watched = np.arange(len(self.devices.fleet.ids))
        rows = []
        for later in range(self.days):
            day = pass_day(world, self.devices, DATE + dt.timedelta(days=later))
            rows += event_rows(0, 0, self.devices, day, None, self.watched).to_pylist()
        self.rows = sorted(rows, key=lambda row: row["event_time"])


@pytest.fixture(scope="module")
def everything():
    return Everything()


def test_all_that_is_logged_is_in_the_list(everything):
    codes = {row["code"] for row in everything.rows}
    assert {101, 102, 151, 157, 301, 302} <= codes
    assert codes & {65, 201, 207}
    assert codes - {NO_CODE} <= PAIRED | {code + 1 for code in PAIRED} | SINGLE
    for row in everything.rows:
        assert (row["code"] == NO_CODE) == (row["event"] in ("failed", "swapped")), row


def test_every_occurrence_has_its_restoration_of_the_same_meter(everything):
    """But for what is not over when the days are, or began before them."""
    by_meter: dict[tuple[int, int], list[int]] = {}
    for row in everything.rows:
        if row["code"] in PAIRED or row["code"] - 1 in PAIRED:
            pair = row["code"] if row["code"] in PAIRED else row["code"] - 1
            by_meter.setdefault((row["consumer_id"], pair), []).append(row["code"])
    failed = {row["consumer_id"] for row in everything.rows if row["event"] in ("failed", "swapped")}
    open_ends = 0
    for (consumer, pair), codes in by_meter.items():
        if consumer in failed:
            continue
        assert all(a != b for a, b in zip(codes, codes[1:], strict=False)), (consumer, codes)
        if pair != 101:
            assert codes[0] == pair
            assert codes[-1] == pair + 1
        open_ends += codes[-1] == pair
    assert open_ends < 0.2 * len(by_meter)
