"""The border of one block: shards settle their feeders at given PSS voltages, the driver solves the grid above, until
no PSS voltage moves more than the tolerance.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.simulation.border import (
    BORDER_TOLERANCE_PU,
    EXACT_LIMIT_PU,
    FREE_ROUNDS,
    MOST_ROUNDS,
    WIDE_LIMIT_PU,
    Layout,
    StateLoad,
    compose,
    solve_above,
)
from twin.simulation.fleets import Fleet, Program, Wait
from twin.simulation.messages import AcceptAnswer, BlockQuestion
from twin.simulation.plan import PointPlan
from twin.simulation.spans import BlockLog

LOG = logging.getLogger(__name__)

ARMS_IN_FLIGHT = 2
"""Arms whose low-voltage solutions the shards hold at once: one is solved above while the shards work on the other."""


@dataclass
class Settled:
    """A block that has found its voltages, arm by arm."""

    loads: list[StateLoad]
    upper: list[Any]
    v_pss_pu: NDArray[np.float64]
    """Shape (n_arms, n_pss, steps): the voltages the shards solved at."""
    moved_pu: float
    """Largest difference between those and the grid's last answer."""
    rounds: int
    accepted: list[list[AcceptAnswer]]
    """By arm and shard."""
    log: BlockLog
    """When who worked."""


@dataclass
class _ArmRounds:
    """Where one arm's border iteration stands."""

    asked_pu: NDArray[np.float64]
    """PSS voltages that the shards are asked at, shape (n_pss, steps)."""
    limit_pu: float = WIDE_LIMIT_PU
    """Limit of the DTs in the round asked."""
    number: int = 0
    """Rounds answered."""
    moved_pu: float = np.inf
    load: Any = None
    upper: Any = None


@dataclass
class Border:
    """Settles the blocks of one fleet. Everything it holds is small: PSS times steps."""

    fleet: Fleet
    upper: Any
    layout: Layout
    reading_ids: NDArray[np.int64]

    def settle(self, point: PointPlan, block: int, v_guess: NDArray[np.float64]) -> Program[Settled]:
        """Iterate the border of one block to `BORDER_TOLERANCE_PU`, arm by arm in turn; from ``v_guess``,
        shape (n_arms, n_pss, steps). [pu]

        The first round solves every LV network once; then its equivalents follow the voltage. If the border is to be
        exact, LV networks are solved again from the second round on, wherever their voltage moved.

        While the grid above is solved for one arm, the shards already work on the next; of an arm that has settled
        they take what they need and let its solutions go. Arms do not touch each other, so the order of work changes no
        bit.
        """
        last_limit_pu = EXACT_LIMIT_PU if point.exact_border else WIDE_LIMIT_PU
        n_arms = len(point.arms)
        rounds, log = [_ArmRounds(v_guess[arm]) for arm in range(n_arms)], BlockLog()
        waiting, asked = deque(range(n_arms)), deque[tuple[int, Any]]()
        accepting: dict[int, Any] = {}
        while waiting or asked:
            while waiting and len(asked) < ARMS_IN_FLIGHT:
                arm = waiting.popleft()
                asked.append((arm, self._ask(block, arm, rounds[arm])))
            arm, handle = asked.popleft()
            told = yield Wait(handle, f"the feeders of block {block}")
            answers = [shard[0] for shard in told]
            state = rounds[arm]
            state.number += 1
            log.shards("shards", arm, state.number, (answer.work for answer in answers))
            with log.above(arm, state.number):
                state.load = compose(self.layout, answers, state.asked_pu)
                hold = state.number > FREE_ROUNDS
                state.upper = solve_above(self.upper, state.load, state.asked_pu, state.upper, hold=hold)
            answer = state.upper.v_pss_pu
            state.moved_pu = float(np.nanmax(np.abs(answer - state.asked_pu)))
            settled = state.moved_pu <= BORDER_TOLERANCE_PU and state.limit_pu == last_limit_pu
            if not settled and state.number < MOST_ROUNDS:
                state.limit_pu = last_limit_pu
                state.asked_pu = np.where(np.isfinite(answer), answer, state.asked_pu)
                asked.append((arm, self._ask(block, arm, state)))
            else:
                accepting[arm] = self._accept(block, arm, answer)
        accepted: list[list[AcceptAnswer]] = []
        for arm in range(n_arms):
            accepted.append((yield Wait(accepting[arm], f"the end of block {block}, arm {arm + 1}")))
            log.shards("accept", arm, rounds[arm].number, (answer.work for answer in accepted[arm]))
        most = max(state.number for state in rounds)
        moved = max(state.moved_pu for state in rounds)
        LOG.info("block %d: %d rounds, last move %.1e pu", block, most, moved)
        asked_pu = np.stack([state.asked_pu for state in rounds])
        return Settled(
            [state.load for state in rounds], [state.upper for state in rounds], asked_pu, moved, most, accepted, log
        )

    def _ask(self, block: int, arm: int, state: _ArmRounds) -> Any:
        """Send one arm's round to the shards, without waiting."""
        v = state.asked_pu[None]
        args = [
            (BlockQuestion(block, (arm,), np.ascontiguousarray(v[:, rows]), state.number == 0, state.limit_pu),)
            for rows in self.layout.owned_pss
        ]
        return self.fleet.submit("solve", args)

    def _accept(self, block: int, arm: int, v_pss_pu: NDArray[np.float64]) -> Any:
        """Tell the shards that an arm has settled, and the grid's last answer, without waiting."""
        args = [(block, arm, np.ascontiguousarray(v_pss_pu[rows]), self.reading_ids) for rows in self.layout.owned_pss]
        return self.fleet.submit("accept", args)
