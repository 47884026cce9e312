"""Settings of meters as devices beyond who has which: commands that a head-end sends, and gateways that break down."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from twin.scenario import names
from twin.scenario.parts import Many, Section

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]


class Command(Section):
    """A campaign of one command to a share of the smart meters, as a head-end with authority sends it.

    Messages leave one after another for ``queue_min``: number of meters over the head-end's rate, so 133 min for four
    million at 500 a second. Each meter then waits a random time up to ``jitter_s``.
    """

    command: Literal["disconnect", "connect", "firmware", "ping"]
    day: date
    hour: Annotated[float, Field(ge=0, lt=24)]
    """Start, Bihar's wall clock. [h]"""
    share: Share = 1.0
    """Of the smart meters addressed, at random."""
    vendors: Annotated[tuple[Annotated[str, AfterValidator(names.known_vendors)], ...], Many] = ()
    """Makers addressed; none: all."""
    queue_min: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    jitter_s: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    within_h: Annotated[float, Field(gt=0, le=240)] = 24.0
    """A meter that is not reached is tried again for so long. Firmware has a time of its own in the data pack."""


class LoadLimit(Section):
    """Smart meters with a switch disconnect above a limit and reconnect by themselves, a set number of times.

    What is left out is the datasheet's, and ``multiple`` the data pack's.
    """

    multiple: Annotated[float, Field(gt=0, le=100)] | None = None
    """Limit over sanctioned load."""
    categories: Annotated[tuple[Annotated[str, AfterValidator(names.known_category)], ...], Many] = ()
    """Whom it is set for; none: all."""
    persistence_s: Seconds | None = None
    """Time above the limit until the switch opens."""
    retry_s: Seconds | None = None
    """Time until it closes again."""
    tries: Annotated[int, Field(ge=1, le=100)] | None = None
    """Reconnections before the lock-out."""
    lockout_s: Seconds | None = None


Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
"""A Python module by its dotted name."""


class GatewayFailure(Section):
    """A share of all gateways is down for some hours, beside the failures that the datasheets tell."""

    share: Share
    first: Annotated[date, Field(alias="from")]
    """They fail at the start of this day."""
    hours: Annotated[float, Field(gt=0, le=2400)]
