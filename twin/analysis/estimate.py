"""A number that a run gives, and how far its sample may be off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.analysis.sampling import half_width
from twin.datapack import threshold


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error over feeders and degrees of freedom; nan where there is no sampling error."""

    value: float
    error: float = float("nan")
    freedom: float = float("nan")

    def bounds(self) -> tuple[float | None, float | None]:
        """Lower and upper end of the sampling interval, None without one."""
        if not np.isfinite(self.error):
            return None, None
        reach = half_width(self.error, self.freedom, threshold("interval_level"))
        return self.value - reach, self.value + reach


def mean_estimate(drawn: list[Estimate]) -> Estimate:
    """Mean over replicates, with the sampling error of the first: they share the sample."""
    return Estimate(float(np.mean([one.value for one in drawn])), drawn[0].error, drawn[0].freedom)
