"""Event codes: only those of IS 15959 as four public implementations have them, occurrences with their restorations."""

from twin.meters.clock import CLOCK_SET
from twin.meters.gasp import POWER_FAILURE, POWER_RESTORED
from twin.meters.theft import OCCURRENCE, RESTORATION
from twin.simulation.meter_commands import EVENTS

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
