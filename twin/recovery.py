"""Going on after workers died: a new attempt with the CPUs that are left, from the last checkpoint."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from twin.errors import WorkerLost
from twin.results.commits import COMMITS
from twin.results.storage import Storage

LOG = logging.getLogger("twin")
T = TypeVar("T")

MOST_WITHOUT_PROGRESS = 3
"""Losses of workers in a row, with no block committed between them, after which a run gives up."""
FIRST_WAIT_S = 2.0
"""Before the first new attempt; doubled while nothing is committed."""


@dataclass(frozen=True)
class Loss:
    """A loss of workers that the run goes on after."""

    what: str
    number: int
    """How many in a row, this one included, without a block committed between them."""


def keep_going(storage: Storage, attempt: Callable[[Loss | None], T], say: Callable[[str], None]) -> T:
    """Call ``attempt`` until it ends without having lost workers.

    Raises
    ------
    WorkerLost
        If workers are lost `MOST_WITHOUT_PROGRESS` times while no block is committed.
    """
    loss: Loss | None = None
    committed = _committed(storage)
    while True:
        try:
            return attempt(loss)
        except WorkerLost as error:
            before, committed = committed, _committed(storage)
            number = 1 if loss is None or committed > before else loss.number + 1
            loss = Loss(str(error), number)
            LOG.warning("%s", error)
            if number >= MOST_WITHOUT_PROGRESS:
                text = f"workers died {number} times while nothing was committed, last: {error}; "
                raise WorkerLost(text + "see the logs of Ray and the memory of the machines") from error
        wait_s = FIRST_WAIT_S * 2 ** (number - 1)
        say(f"{loss.what.partition(':')[0]}; going on from the last checkpoint in {wait_s:.0f} s")
        time.sleep(wait_s)


def _committed(storage: Storage) -> int:
    """Blocks committed so far; repeats of one block count once."""
    return len({path.rpartition("-a")[0] for path in storage.list(COMMITS, ".json") if "/1block" in path})
