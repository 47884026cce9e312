"""Above a network of the user's there are sources that hold their voltage: the border is settled in one round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.simulation.messages import Q
from twin.units import KW_PER_MW

if TYPE_CHECKING:
    from twin.simulation.border import StateLoad


@dataclass(frozen=True)
class SourcesAnswer:
    """One block, as far as a run reads the answer of a grid above. Power in MW."""

    v_pss_pu: NDArray[np.float64]
    """Shape (n_sources, steps)."""
    sent_mw: NDArray[np.float64]
    """From sources and generators of the network, shape (steps,)."""
    loss_33kv_mw: NDArray[np.float64]
    loss_ehv_mw: NDArray[np.float64]
    status: NDArray[np.uint8]
    closure: NDArray[np.float64]
    """Empty: nothing is solved here."""
    controls_unsettled: int = 0
    """There are no control devices."""


@dataclass(frozen=True)
class FixedSources:
    """External grids and slack generators. ``v_pu``, shape (n_sources,): what they hold."""

    v_pu: NDArray[np.float64]

    def voltages(self, steps: int) -> NDArray[np.float64]:
        """The sources' voltages, shape (n_sources, steps). [pu]"""
        return np.repeat(self.v_pu[:, None], steps, axis=1)

    def answer(self, load: StateLoad) -> SourcesAnswer:
        """They give what the network takes."""
        steps = load.pss.shape[2]
        assert load.above_kw is not None, "the shard of a network of the user's hands them up"
        sub_mw, ehv_mw = load.above_kw / KW_PER_MW
        return SourcesAnswer(
            v_pss_pu=self.voltages(steps),
            sent_mw=load.pss[Q.P].sum(axis=0) / KW_PER_MW,
            loss_33kv_mw=sub_mw,
            loss_ehv_mw=ehv_mw,
            status=np.zeros(steps, np.uint8),
            closure=np.zeros(0),
        )
