"""All reference cases, in the order in which they are shown. A new module of cases is one line here."""

from __future__ import annotations

from collections.abc import Sequence

from twin.errors import InputError, Problem
from twin.verification import (
    balanced_cases,
    coupling_cases,
    hand_cases,
    lv_cases,
    network_cases,
    published_cases,
    radial_cases,
    transmission_cases,
)
from twin.verification.case import Case

MODULES = (
    hand_cases,
    published_cases,
    network_cases,
    radial_cases,
    lv_cases,
    transmission_cases,
    coupling_cases,
    balanced_cases,
)


def all_cases() -> tuple[Case, ...]:
    """Every case; names are unique."""
    return tuple(case for module in MODULES for case in module.CASES)


def chosen_cases(names: Sequence[str]) -> tuple[Case, ...]:
    """The named cases in the order shown, all without names.

    Raises
    ------
    InputError
        For every name that no case has.
    """
    cases = all_cases()
    known = [case.name for case in cases]
    problems = [
        Problem("--case", "", f"no case is called '{name}'", f"give one of {', '.join(known)}")
        for name in names
        if name not in known
    ]
    if problems:
        raise InputError(problems)
    return tuple(case for case in cases if not names or case.name in names)
