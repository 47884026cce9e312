"""Middle of a swept setting: what a setting is held at while another is moved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value is a number; ``true`` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def settings(values: Iterable[Any]) -> list[Any]:
    """Distinct values of a swept setting, rising where all are numbers, else in their order."""
    found = list(dict.fromkeys(values))
    return sorted(found) if all(is_number(value) for value in found) else found


def middle(values: Iterable[Any]) -> Any:
    """The lower median of the distinct values of a swept setting."""
    found = settings(values)
    return found[(len(found) - 1) // 2]
