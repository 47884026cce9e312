"""The fitted numbers of the data pack: factors in ``calibrated.yaml``, read by the models.

A factor multiplies an assumed number of the pack: the pack keeps its own numbers with their sources, and one file
says what a fit made of them. A scenario may set other factors (``calibrated``), which a fit tries that way; they hold
in the processes of its run alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twin.datapack import read_yaml
from twin.errors import DataPackError, Problem


class Factor(BaseModel):
    """One fitted factor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: float = Field(gt=0)
    log_sd: float = Field(gt=0)
    """Standard deviation of the factor's logarithm before anything is known (the prior of the fit)."""
    least: float = Field(gt=0)
    most: float = Field(gt=0)
    """What a fit may make of it at all."""
    confidence: Literal["assumed", "fitted"] = "assumed"
    of: str
    """What it multiplies."""
    fitted_to: tuple[str, ...]
    """Ids of ``calibration.csv``."""

    @model_validator(mode="after")
    def _within(self) -> Factor:
        if not self.least <= self.factor <= self.most:
            raise ValueError(f"factor {self.factor:g} lies outside {self.least:g} to {self.most:g}")
        return self


@lru_cache(maxsize=1)
def factors() -> dict[str, Factor]:
    """All fitted factors by name.

    Raises
    ------
    DataPackError
        With every malformed entry of ``calibrated.yaml``.
    """
    found, problems = {}, []
    for name, entry in read_yaml("calibrated")["factors"].items():
        try:
            found[name] = Factor.model_validate(entry)
        except ValidationError as error:
            problems += [_problem(name, detail) for detail in error.errors()]
    if problems:
        raise DataPackError(problems)
    return found


def _problem(name: str, detail: Any) -> Problem:
    path = ".".join(("factors", name, *map(str, detail["loc"])))
    return Problem("twin/data/calibrated.yaml", path, detail["msg"], "repair the entry")


_IN_USE: dict[str, float] = {}
"""What stands in for the file's factors in this process."""


def fitted(name: str) -> float:
    """The factor ``name`` in use; a `KeyError` for another name is a defect of the caller."""
    return _IN_USE[name] if name in _IN_USE else factors()[name].factor


def in_use() -> tuple[float, ...]:
    """All factors in use, in the file's order: the key of whatever is made of them."""
    return tuple(fitted(name) for name in factors())


def use(values: Mapping[str, float] | None) -> None:
    """Let ``values`` stand in for the file's factors in this process from now on; None: the file's alone."""
    _IN_USE.clear()
    _IN_USE.update(values or {})


@contextmanager
def using(values: Mapping[str, float] | None) -> Iterator[None]:
    """`use` within a ``with`` block."""
    before = dict(_IN_USE)
    use(values)
    try:
        yield
    finally:
        use(before)
