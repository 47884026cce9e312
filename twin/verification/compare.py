"""Rows from arrays: the place where two solutions differ most stands for all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.verification.case import Row


@dataclass(frozen=True)
class Against:
    """The reference of some rows of one case."""

    case: str
    source: str

    def figure(self, quantity: str, ours: float, reference: float, tolerance: float, unit: str) -> Row:
        """Two figures within an absolute tolerance."""
        return Row(self.case, quantity, float(ours), float(reference), tolerance, unit, self.source)

    def share(self, quantity: str, ours: float, reference: float, share: float, unit: str) -> Row:
        """Two figures within a share of the reference."""
        return self.figure(quantity, ours, reference, share * abs(float(reference)), unit)

    def worst(self, quantity: str, ours: Any, reference: Any, tolerance: float, unit: str) -> Row:
        """Two arrays of one shape: the element where they differ most, or one that is not a number."""
        mine, theirs = np.asarray(ours, np.float64).ravel(), np.asarray(reference, np.float64).ravel()
        if mine.shape != theirs.shape or not len(mine):
            raise ValueError(f"{self.case}, {quantity}: nothing to compare, {mine.shape} with {theirs.shape}")
        at = int(np.argmax(np.abs(mine - theirs)))  # the first NaN, if there is one
        return self.figure(f"{quantity}, worst of {len(mine):,}", mine[at], theirs[at], tolerance, unit)
