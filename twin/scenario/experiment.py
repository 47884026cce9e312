"""The experiment of a scenario: arms, replicates, how a pilot is drawn, and what is uncertain."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from twin.datapack import behaviour_parameters, scenario_parameters
from twin.scenario import names
from twin.scenario.arms import Arm
from twin.scenario.grid import District
from twin.scenario.parts import FrozenDict, Many, Name, Section
from twin.scenario.yaml_text import shown


def _parameter(value: Any) -> Any:
    numbers = value if isinstance(value, list | tuple) else [value]
    fix = "write a number, or [low, high] with low <= high"
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise names.refuse(f"must be a number or [low, high], got {shown(value)}", fix)
    if isinstance(value, list | tuple) and (len(value) != 2 or value[0] > value[1]):
        raise names.refuse(f"must be a number or [low, high], got {shown(list(value))}", fix)
    return tuple(float(n) for n in numbers) if isinstance(value, list | tuple) else float(value)


Parameter = Annotated[Any, AfterValidator(_parameter)]
PILOT = "pilot"
"""Name of the pilot's world among the arms of a run."""


class Pilot(Section):
    """How transformers (DTs) are randomised to arms; those on agricultural feeders never are."""

    start: date | None = None
    """First day of the arms' tariffs: the run's first, or the 1st of a later month."""
    districts: Annotated[tuple[District, ...], Many, Field(min_length=1)] | None = None
    """Whose simulated DTs are eligible; left out: those of all districts."""
    dts_per_arm: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    """DTs of each arm; left out: as many as there are."""


ParameterName = Annotated[str, AfterValidator(names.known_parameter)]


class Experiment(Section):
    """Arms, replicates and what is uncertain. The first arm is the baseline."""

    design: Literal["counterfactual", "pilot"] = "counterfactual"
    """``counterfactual``: every arm is a whole world; ``pilot``: beside them one world in which DTs are randomised."""
    pilot: Pilot | None = None
    arms: Annotated[FrozenDict[Name, Arm], Field(min_length=1)]
    replicates: Annotated[int, Field(ge=1, le=1000)] = 1
    seeds_per_draw: Annotated[int, Field(ge=1, le=1000)] = 1
    """Replicates that share one draw of the uncertain parameters."""
    parameters: FrozenDict[ParameterName, Parameter] = FrozenDict()
    """Priors set by the scenario: a fixed number, or (low, high) of a uniform draw."""

    @model_validator(mode="after")
    def _pilot_of_arms(self) -> Experiment:
        if self.pilot is not None and self.design != PILOT:
            raise names.refuse("`pilot` is for `design: pilot`", "add `design: pilot`, or remove `pilot`")
        if self.design == PILOT and len(self.arms) < 2:  # noqa: PLR2004
            raise names.refuse("a pilot compares arms, and there is one", "add an arm with a tariff")
        if self.design == PILOT and PILOT in self.arms:
            raise names.refuse(f"'{PILOT}' is the name of the pilot's own world", "give the arm another name")
        return self

    @model_validator(mode="after")
    def _used(self) -> Experiment:
        used = {name for arm in self.arms.values() for name in arm.parameters}
        if idle := [name for name in self.parameters if name in behaviour_parameters() and name not in used]:
            what = f"no arm asks for what {', '.join(idle)} is about"
            raise names.refuse(what, "add `enrolment` or `behaviour` to an arm, or remove the parameter")
        return self

    @field_validator("parameters")
    @classmethod
    def _within_limits(cls, value: FrozenDict[str, Any]) -> FrozenDict[str, Any]:
        for name, set_to in value.items():
            known = scenario_parameters()[name]
            numbers = set_to if isinstance(set_to, tuple) else (set_to,)
            if not all(known.least <= number <= known.most for number in numbers):
                rule = f"from {known.least:g} to {known.most:g}"
                raise names.refuse(f"{name} must lie {rule}, got {shown(set_to)}", f"use values {rule}")
        return value

    @model_validator(mode="after")
    def _whole_draws(self) -> Experiment:
        if self.replicates % self.seeds_per_draw:
            what = f"{self.replicates} replicates cannot be shared out at {self.seeds_per_draw} seeds_per_draw"
            raise names.refuse(what, "make replicates a multiple of seeds_per_draw")
        return self
