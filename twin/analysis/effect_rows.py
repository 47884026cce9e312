"""Rows of the table ``effects``: a value, the baseline's own value, and an interval that says what it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from twin.analysis.sampling import half_width
from twin.datapack import threshold


@dataclass(frozen=True)
class Interval:
    """An interval and the uncertainty it holds; ``low`` and ``high`` are None for kind none."""

    low: float | None
    high: float | None
    kind: str


def over_replicates(values: ArrayLike) -> Interval:
    """Interval of a paired difference over replicates, by how many there are.

    One draw shows no spread (none), a few give their lowest and highest (range), enough give the central 90 %
    (draws_and_parameters). A replicate changes random streams and drawn parameters together, so the last is never
    called only one of them.
    """
    drawn = np.asarray(values, dtype=np.float64)
    if len(drawn) == 1:
        return Interval(None, None, "none")
    if len(drawn) < threshold("draws_least"):
        return Interval(float(drawn.min()), float(drawn.max()), "range")
    tail = (1.0 - threshold("interval_level")) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail], method="weibull")
    return Interval(float(low), float(high), "draws_and_parameters")


@dataclass
class EffectRows:
    """Collects rows of ``effects`` for one arm after the other."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        key: tuple[str, str, str, str],
        unit: str,
        differences: ArrayLike,
        references: ArrayLike,
        sampling: tuple[float, float] | None = None,
    ) -> None:
        """Add one outcome.

        Parameters
        ----------
        key : tuple
            Arm, outcome, area, group.
        unit : str
            Unit of value and reference.
        differences, references : float64[n_replicates]
            Change against the baseline of the same replicate, and the baseline's own value.
        sampling : tuple, optional
            Standard error over feeders of the mean difference with its degrees of freedom, in ``unit``. With one
            replicate the row of kind sampling replaces the row of kind none; else it stands beside the row over
            replicates.
        """
        drawn = np.asarray(differences, dtype=np.float64)
        value, reference = float(drawn.mean()), float(np.asarray(references, dtype=np.float64).mean())
        replicates = len(drawn)
        intervals = [over_replicates(drawn)]
        if sampling is not None and np.isfinite(sampling[0]):
            reach = half_width(*sampling, threshold("interval_level"))
            intervals = [one for one in intervals if one.kind != "none"]
            intervals.append(Interval(value - reach, value + reach, "sampling"))
        names = dict(zip(("arm", "outcome", "area", "group"), key, strict=True))
        numbers = {"value": value, "reference": reference, "unit": unit, "replicates": replicates}
        for one in intervals:
            self.rows.append({**names, **numbers, "low": one.low, "high": one.high, "kind": one.kind})
