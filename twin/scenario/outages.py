"""Settings of interruptions of supply (numbers: ``twin/data/outages.yaml``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twin.scenario.parts import Many, Section

Cause = Literal["trip", "planned", "relief", "substation", "dt_fault", "dt_burnout"]
ALL_CAUSES: tuple[Cause, ...] = ("trip", "planned", "relief", "substation", "dt_fault", "dt_burnout")


class Outages(Section):
    """Supply is interrupted: feeders trip or are relieved, substations and transformers fail, and are restored."""

    causes: Annotated[tuple[Cause, ...], Many, Field(min_length=1)] = ALL_CAUSES
    """What happens; others never do."""
    rate: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Multiple of how often each happens. [-]"""
    repair_time: Annotated[float, Field(gt=0, le=5)] = 1.0
    """Multiple of how long unplanned ones last. [-]"""
