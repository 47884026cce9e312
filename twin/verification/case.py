"""A reference case and its rows: our figure, the reference's, and how far apart they may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Row:
    """One compared figure."""

    case: str
    """Name of the case it belongs to."""
    quantity: str
    """What is compared, in a reader's words."""
    ours: float
    reference: float
    tolerance: float
    """Largest absolute difference, in ``unit``."""
    unit: str
    source: str
    """Who says so: another program with its version or call, a paper, a hand solution."""

    @property
    def difference(self) -> float:
        """Absolute difference, in ``unit``; NaN where either side has no figure."""
        return abs(self.ours - self.reference)

    @property
    def passed(self) -> bool:
        """True within the tolerance; a NaN on either side fails."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Case:
    """A named comparison that is run on demand."""

    name: str
    """Lower case with hyphens: what ``--case`` takes."""
    group: str
    """Heading under which it is shown."""
    about: str
    """One sentence: what is set against what."""
    run: Callable[[], Iterable[Row]]
    """Solves both sides; rows carry the case's name."""
    needs: tuple[str, ...] = ()
    """Packages, by import name, that only this case needs and that a user may lack."""

    def missing(self) -> tuple[str, ...]:
        """Those of ``needs`` that are not installed."""
        return tuple(package for package in self.needs if find_spec(package) is None)
