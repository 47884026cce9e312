"""What the driver and the shards tell each other: small named records, never anything per consumer and step."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from twin.results.storage import FileRecord
from twin.simulation.manifest import Usage
from twin.simulation.spans import Work


class Q(IntEnum):
    """Rows of a quantity block ``[N_Q, n, steps]``: powers in kW and kvar, positive toward the consumer."""

    P = 0
    """Sent at the head (feeder head, PSS 11 kV bus). [kW]"""
    QVAR = 1
    """Sent at the head. [kvar]"""
    USED = 2
    """Used by consumers. [kW]"""
    LOSS_11KV = 3
    LOSS_DT = 4
    LOSS_LV = 5
    SLOPE_P = 6
    """P times its elasticity to voltage; sums of it stay meaningful. [kW]"""
    SLOPE_Q = 7
    UNSERVED = 8
    """What consumers with open switches would draw at nominal voltage, at 33 kV too; in no other row. [kW]"""


N_Q = len(Q)
Only = Literal["all", "sampled", "scouts"]
"""Which feeders a question is about: all simulated ones, those that stand for their stratum, or the few that guess."""


@dataclass(frozen=True)
class Failure:
    """A solve that did not finish: where, when and why. Never dropped, never the end of the others."""

    entity: str
    step: int
    cause: str
    detail: str = ""


@dataclass(frozen=True)
class ArmAnswer:
    """What one shard hands up for one arm after a round. Arrays are float64."""

    pss: NDArray[np.float64]
    """Sums over the shard's simulated feeders and 11 kV HT consumers, shape (N_Q, n_owned_pss, steps)."""
    sampled: NDArray[np.float64]
    """Feeders that stand for their stratum, shape (N_Q, n_sampled, steps), in feeder order; of a question about scouts,
    these."""
    ht33_kw: NDArray[np.float64]
    """33 kV HT consumers by owned PSS, shape (n_owned_pss, steps)."""
    ht33_kvar: NDArray[np.float64]
    ehv_kw: NDArray[np.float64]
    """Consumers at 132 kV and above owned by this shard, shape (n_owned_ehv, steps)."""
    ehv_kvar: NDArray[np.float64]
    solved_tiles: int
    """Tiles solved in this round, repeats included."""
    above_kw: NDArray[np.float64] | None = None
    """Losses as of 33 kV, and of 132 kV and above, that a network of the user's holds itself, shape (2, steps)."""
    ehv_unserved_kw: NDArray[np.float64] | None = None
    """As `Q.UNSERVED`, of owned consumers at 132 kV and above, shape (steps,); None where no switch is open."""
    work: Work = Work()


@dataclass(frozen=True)
class BlockQuestion:
    """One round of one block: the voltage at every owned PSS for every arm that has not settled."""

    block: int
    arms: tuple[int, ...]
    v_pss_pu: NDArray[np.float64]
    """PSS 11 kV bus voltage, shape (len(arms), n_owned_pss, steps). [pu]"""
    first: bool
    """First round of this block: demand and response are settled now."""
    limit_pu: float
    """How far a DT's node may be from the voltage its LV network was solved at. [pu]"""
    only: Only = "all"


@dataclass(frozen=True)
class AcceptAnswer:
    """What a shard reports of an arm that has settled."""

    failures: list[Failure]
    closure: dict[str, float]
    """Largest relative gap sent - used - losses by level (``lv``, ``11kv``)."""
    border_mismatch: dict[str, float]
    """Relative energy change of the verification sample when solved exactly at the final voltage, by level."""
    work: Work = Work()


@dataclass(frozen=True)
class CommitAnswer:
    """What a shard reports after it has written a block's tables."""

    files: list[FileRecord]
    checkpoint: list[FileRecord]
    work: Work = Work()
    usage: Usage | None = None
    """Of the shard's process so far."""
    storage_retries: int = 0
    """Storage calls that the shard made again so far."""


@dataclass(frozen=True)
class MeanFieldAnswer:
    """A shard's day of expected demand: what the grid above needs, and how its feeders and DTs are loaded."""

    arm: ArmAnswer
    feeder: NDArray[np.int64]
    """Simulated feeders. Shape (n_feeders,)."""
    feeder_end_pu: NDArray[np.float64]
    """Lowest 11 kV voltage of the day. Shape (n_feeders,)."""
    loss_kwh: NDArray[np.float64]
    """At 11 kV and below. Shape (n_feeders,)."""
    sent_kwh: NDArray[np.float64]
    dt_feeder: NDArray[np.int64]
    """Feeder of each DT. Shape (n_dts,)."""
    dt_loading_percent: NDArray[np.float64]
    lv_end_pu: NDArray[np.float64]
    """Lowest pole voltage at the DT's highest step. Shape (n_dts,)."""


@dataclass(frozen=True)
class BuildAnswer:
    """What a shard reports after building its population."""

    consumers: int
    simulated_feeders: NDArray[np.int64]
    sampled_feeders: NDArray[np.int64]
    scout_feeders: NDArray[np.int64]
    ehv_rows: NDArray[np.int64]
    files: list[FileRecord]
    bytes_static: int
    reading_candidates: NDArray[np.float64]
    """Rows (hash, consumer_id) of this shard's candidates for readings, smallest hashes first. Shape (k, 2)."""
    seconds: float
    extra: dict[str, Any] = field(default_factory=dict)
