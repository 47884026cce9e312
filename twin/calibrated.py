"""The fitted numbers of the data pack: factors in ``calibrated.yaml``, read by the models.

A factor multiplies an assumed number of the pack: the pack keeps its own numbers with their sources, and one file
says what a fit made of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.datapack import read_yaml
from twin.errors import DataPackError, Problem


class Factor(BaseModel):
    """One fitted factor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: float = Field(gt=0)
    log_sd: float = Field(gt=0)
    """Standard deviation of the factor's logarithm before anything is known (the prior of the fit)."""
    of: str
    """What it multiplies."""
    fitted_to: tuple[str, ...]
    """Ids of ``calibration.csv``."""


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


def fitted(name: str) -> float:
    """The fitted factor ``name``; a `KeyError` for another name is a defect of the caller."""
    return factors()[name].factor
