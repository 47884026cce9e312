"""Messages in line (model M5): a gateway passes one after another, each in a fixed time.

``start = max(arrival, end of the one before)``: for messages that come at random at a share rho of what the gateway can
pass the mean wait is ``rho / (2 mu (1 - rho))`` (M/D/1; F. Pollaczek 1930, A. Khinchine 1932).
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation

watch_compilation()


@nb.njit(cache=True, error_model="numpy")
def _wait(
    order: NDArray[np.int64], server: NDArray[np.int64], at: NDArray[np.float64], service: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    before, free = np.int64(0), -np.inf
    for n in range(len(order)):
        i = order[n]
        if not np.isfinite(at[i]):
            out[i] = 0.0
            continue
        if n == 0 or server[i] != before:
            before, free = server[i], -np.inf
        out[i] = max(free - at[i], 0.0)
        free = max(free, at[i]) + service[i]


def waits(
    server: NDArray[np.int64], at: NDArray[np.float64], service: NDArray[np.float64]
) -> NDArray[np.float64]:  # fmt: skip
    """How long each message waits in line at its server until those before it are passed.

    Parameters
    ----------
    server : array, shape (n,)
        Whose line it stands in.
    at : array, shape (n,)
        When it comes; infinite: never, it stands in nobody's way. Among equal times the first row is first.
    service : array, shape (n,)
        Time that it takes, in the same unit.

    Returns
    -------
    wait : array, shape (n,)
        In the same unit.
    """
    out = np.empty(len(at))
    _wait(np.lexsort((at, server)), server, at, service, out)
    return out


def mean_wait(share: float, service: float) -> float:
    """Mean wait of messages that come at random at a share (below 1) of what a server can pass."""
    return share * service / (2.0 * (1.0 - share))
