"""Energy taken past the meter (model M10): who, how, how much, and which signs the meter logs.

``through = factor x used``; what is stolen, ``(1 - factor) x used``, still flows in the network. Kinds and factors: AMI
facts, section 7 (assumed). Event codes: IS 15959.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.streams import Stream, key64, uniform

watch_compilation()

KINDS = ("none", "hooking", "bypass", "shunt", "magnet", "neutral_missing")
OCCURRENCE = {"bypass": 65, "magnet": 201, "neutral_missing": 207, "shunt": 69}
RESTORATION = {"bypass": 66, "magnet": 202, "neutral_missing": 208, "shunt": 70}


class TheftParams(NamedTuple):
    """By kind after ``none``, shape (n_kinds,)."""

    share: NDArray[np.float64]
    least_factor: NDArray[np.float64]
    most_factor: NDArray[np.float64]


@nb.njit(cache=True, error_model="numpy")
def _draw(
    seed: int, ids: NDArray[np.int64], multiple: NDArray[np.float32], params: TheftParams, kind: NDArray[np.uint8],
    factor: NDArray[np.float32],
) -> None:  # fmt: skip
    for i in range(len(ids)):
        key = key64(seed, Stream.METER_THEFT, ids[i])
        u, top = uniform(key, 0), 0.0
        kind[i], factor[i] = 0, 1.0
        for k in range(len(params.share)):
            below, top = top, top + params.share[k] * multiple[i]
            if below <= u < top:
                kind[i] = k + 1
                width = params.most_factor[k] - params.least_factor[k]
                factor[i] = params.least_factor[k] + width * uniform(key, 1)


def draw_theft(
    seed: int, ids: NDArray[np.int64], multiple: NDArray[np.float32], params: TheftParams
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Kind of theft (position in `KINDS`) and share of the use that passes the meter, shape (n,) each.

    ``multiple`` scales the shares for each consumer: 0 where nobody steals.
    """
    kind, factor = np.empty(len(ids), np.uint8), np.empty(len(ids), np.float32)
    _draw(np.uint64(seed), ids, multiple, params, kind, factor)
    return kind, factor


NEVER_H = np.inf


@nb.njit(cache=True, error_model="numpy")
def log_signs(
    seed: int, ids: NDArray[np.int64], theft_kind: NDArray[np.uint8], device: NDArray[np.uint8],
    flag: NDArray[np.float64], day: int, daily: float, hours: float, start_h: NDArray[np.float32],
) -> None:  # fmt: skip
    """When each meter logs a sign of tampering on a day.

    Whether a meter sees its thief's kind at all is drawn once; if so, it logs an occurrence on a share of days, and its
    restoration some hours later on the same day.

    Parameters
    ----------
    flag : array, shape (n_types, n_kinds)
        Probability that a type of meter sees a kind; zero for ``none``.
    daily, hours : float
        Share of days with a sign, and how long it lasts.
    start_h : array, shape (n,)
        Hour of the occurrence, overwritten; inf where there is none.
    """
    for i in range(len(ids)):
        start_h[i] = NEVER_H
        if theft_kind[i] == 0:
            continue
        key = key64(seed, Stream.METER_THEFT, ids[i])
        if uniform(key, 2) < flag[device[i], theft_kind[i]] and uniform(key, 2 * day) < daily:
            start_h[i] = (24.0 - hours) * uniform(key, 2 * day + 1)


def balance_score(
    residual_kwh: NDArray[np.float64], sent_kwh: NDArray[np.float64], n_meters: NDArray[np.float64], *,
    meter_frac: float, loss_frac: float, map_frac: float,
) -> NDArray[np.float64]:  # fmt: skip
    """How many standard deviations a DT's balance is off: ``z = r / E / sqrt(m^2 / n + l^2 + map^2)``.

    Parameters
    ----------
    residual_kwh : array, shape (n,)
        Sent by the DT less metered less expected loss.
    sent_kwh, n_meters : array, shape (n,)
        Of the DT.
    meter_frac, loss_frac, map_frac : float
        Standard deviations: of one meter, of the expected loss, and through wrongly mapped consumers, as shares of the
        energy sent. Independent, so they add in squares.
    """
    noise = np.sqrt(meter_frac**2 / n_meters + loss_frac**2 + map_frac**2)
    return residual_kwh / (sent_kwh * noise)
