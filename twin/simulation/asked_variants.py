"""Which datasheets ask for models of a user's (`twin.meters.variants`), and whether somebody has registered them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from twin.errors import DataPackError, Problem
from twin.meters.datasheets import Catalogue, Datasheet
from twin.meters.variants import SECTIONS, Variant, find, registered


class Asked(NamedTuple):
    """A type of meter with a model of a user's."""

    code: int
    variant: Variant
    numbers: NDArray[np.float64]


def asked_variants(types: Catalogue, section: str, codes: Collection[int]) -> list[Asked]:
    """Models that some types of meter ask for in a section, by rising code.

    Raises
    ------
    DataPackError
        With every name that nobody has registered and all numbers that do not fit, at their lines.
    """
    out: list[Asked] = []
    problems: list[Problem] = []
    for code in sorted(codes):
        sheet = types.sheets[code]
        part = getattr(sheet.model, section)
        if part.model is None:
            problems += _superfluous(sheet, section)
            continue
        variant = find(section, part.model)
        if variant is None:
            names = ", ".join(registered(section)) or "nothing so far"
            fix = f"name its module in the scenario's meters.models; registered for {section}: {names}"
            problems.append(Problem(_line(types, sheet, section, part.model), f"{section}.model", _unknown(part), fix))
        elif set(part.numbers) != set(variant.numbers):
            what = f"'{part.model}' takes {', '.join(variant.numbers) or 'no numbers'}"
            fix = f"give {section}.numbers exactly these, each with value and source"
            problems.append(Problem(_line(types, sheet, section, part.model), f"{section}.numbers", what, fix))
        else:
            out.append(Asked(code, variant, np.array([part.numbers[name].value for name in variant.numbers])))
    if problems:
        raise DataPackError(list(dict.fromkeys(problems)))
    return out


def check_variants(types: Catalogue, codes: Collection[int]) -> None:
    """Refuse types of meter that ask for models which are not registered.

    Raises
    ------
    DataPackError
        With every problem of the first section that has any.
    """
    for section in SECTIONS:
        asked_variants(types, section, codes)


def _unknown(part: object) -> str:
    return f"no function is registered as '{getattr(part, 'model', '')}'"


def _superfluous(sheet: Datasheet, section: str) -> Iterator[Problem]:
    if getattr(sheet.model, section).numbers:
        fix = "add the model's name, or leave the numbers out"
        yield Problem(str(sheet.file), f"{section}.numbers", "belong to no model", fix)


def _line(types: Catalogue, sheet: Datasheet, section: str, name: str) -> str:
    """``file:line`` where a datasheet, or one of its parts, asks for a model."""
    for file in (sheet.file, *types.parts):
        line = _asked_at(yaml.compose(file.read_text(encoding="utf-8")), section, name)
        if line:
            return f"{file}:{line}"
    return str(sheet.file)


def _asked_at(node: yaml.Node | None, section: str, name: str) -> int:
    """Line of the first ``section: {model: name}`` below a node; 0: there is none."""
    if not isinstance(node, yaml.MappingNode):
        return 0
    for key, value in node.value:
        if key.value == section and isinstance(value, yaml.MappingNode):
            for inner, asked in value.value:
                if inner.value == "model" and asked.value == name:
                    return int(asked.start_mark.line) + 1
        line = _asked_at(value, section, name)
        if line:
            return line
    return 0
