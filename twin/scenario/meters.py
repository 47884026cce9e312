"""Settings of meters as devices beyond who has which: commands that a head-end sends, and gateways that break down."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from twin.scenario import names
from twin.scenario.parts import Many, Name, Section

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]


CURRENT, OLDER = "current", "older"
"""Firmware that meters have when a run begins."""
Vendor = Annotated[str, AfterValidator(names.known_vendors)]
Categories = Annotated[tuple[Annotated[str, AfterValidator(names.known_category)], ...], Many]
Multiple = Annotated[float, Field(gt=0, le=100)]


class LimitTimers(Section):
    """How a load limit acts; what is left out is the datasheet's."""

    persistence_s: Seconds | None = None
    """Time above the limit until the switch opens."""
    retry_s: Seconds | None = None
    """Time until it closes again."""
    tries: Annotated[int, Field(ge=1, le=100)] | None = None
    """Reconnections before the lock-out."""
    lockout_s: Seconds | None = None


class LoadLimit(LimitTimers):
    """Smart meters with a switch disconnect above a limit and reconnect by themselves, a set number of times.

    ``multiple`` left out is the data pack's.
    """

    multiple: Multiple | None = None
    """Limit over sanctioned load."""
    categories: Categories = ()
    """Whom it is set for; none: all."""


class KeyOf(Section):
    """A key that meters share: that of a maker's meter put up on a day (``keys.lot_months`` of its datasheet)."""

    vendor: Vendor
    installed: date


class Command(LimitTimers):
    """A campaign of one command to a share of the smart meters, as a head-end or somebody with a stolen key sends it.

    Messages leave one after another for ``queue_min``: number of meters over the head-end's rate, so 133 min for four
    million at 500 a second. Each meter then waits a random time up to ``jitter_s``.
    """

    command: Literal["disconnect", "connect", "load_limit", "lift_limit", "firmware", "ping"]
    day: date
    hour: Annotated[float, Field(ge=0, lt=24)]
    """Start, Bihar's wall clock. [h]"""
    share: Share = 1.0
    """Of the smart meters addressed, at random."""
    vendors: Annotated[tuple[Vendor, ...], Many] = ()
    """Makers addressed; none: all."""
    categories: Categories = ()
    """Billing categories addressed; none: all."""
    districts: Annotated[tuple[Annotated[str, AfterValidator(names.known_district)], ...], Many] = ()
    """Districts addressed, the farthest that one command may go; none: all."""
    firmware: Name | None = None
    """Only meters on this version when the command starts: ``current``, ``older`` or what firmware commands brought."""
    key_of: KeyOf | None = None
    """Only meters that share this key when the run begins."""
    sender: Literal["head_end", "attacker"] = "head_end"
    """An attacker waits in no queue, and reaches those alone whose key or firmware he has."""
    queue_min: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    jitter_s: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    within_h: Annotated[float, Field(gt=0, le=240)] = 24.0
    """A meter that is not reached is tried again for so long. Firmware has a time of its own in the data pack."""
    multiple: Multiple | None = None
    """Of ``load_limit``: limit over sanctioned load until ``lift_limit`` brings back ``meters.load_limit``, or none."""
    version: Name = CURRENT
    """Of ``firmware``: what the meters then have."""
    bricks: Share = 0.0
    """Of ``firmware``: share of those that take it which fail with it, and wait for a new meter."""

    @model_validator(mode="after")
    def _own_settings(self) -> Command:
        only = {"load_limit": ("multiple", *LimitTimers.model_fields), "firmware": ("version", "bricks")}
        for command, settings in only.items():
            given = [name for name in settings if name in self.model_fields_set]
            if given and self.command != command and self.model_dump(include=set(given)) != _defaults(given):
                what = f"has `{given[0]}`, which a `{self.command}` does not take"
                raise names.refuse(what, f"remove it, or use `command: {command}`")
        return self

    @model_validator(mode="after")
    def _attacker(self) -> Command:
        if self.sender == "attacker":
            if self.firmware is None and self.key_of is None:
                what = "comes from an attacker, but nothing says whose meters he holds"
                raise names.refuse(what, "add `key_of: {vendor: ..., installed: ...}` or `firmware: ...`")
            if self.queue_min:
                what = f"comes from an attacker, who does not wait in the head-end's queue of {self.queue_min:g} min"
                raise names.refuse(what, "remove `queue_min`; what meters wait for is `jitter_s`")
        return self


def _defaults(settings: list[str]) -> dict[str, object]:
    return {name: Command.model_fields[name].default for name in settings}


def _versions_known(commands: tuple[Command, ...]) -> tuple[Command, ...]:
    """Refuse commands to a firmware that no earlier one has brought."""
    brought = {CURRENT: (date.min, 0.0), OLDER: (date.min, 0.0)}
    for one in commands:
        if one.command == "firmware":
            start = (one.day, one.hour)
            brought[one.version] = min(start, brought.get(one.version, start))
    for number, one in enumerate(commands):
        known = [version for version, start in brought.items() if start < (one.day, one.hour)]
        if one.firmware is not None and one.firmware not in known:
            what = f"command {number} addresses firmware '{one.firmware}', which no earlier command has brought"
            raise names.refuse(what, names.suggestion(one.firmware, known))
    return commands


Commands = Annotated[tuple[Command, ...], Many, AfterValidator(_versions_known)]


Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
"""A Python module by its dotted name."""


class GatewayFailure(Section):
    """A share of all gateways is down for some hours, beside the failures that the datasheets tell."""

    share: Share
    first: Annotated[date, Field(alias="from")]
    """They fail at the start of this day."""
    hours: Annotated[float, Field(gt=0, le=2400)]
