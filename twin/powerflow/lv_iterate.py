"""When a state of the low-voltage solver is done, and what is done about one that does not settle; lane by lane.

A sweep shrinks the error of the load currents by a factor, which the last two changes tell. What is left after the
sweep is at most ``change * factor / (1 - factor)``, as a sum over the loads; times the impedance from the source to the
farthest load that bounds the error of any voltage. In a tile of many loads changes differ in sign and the bound is
generous: the largest error of some 400 tiles, light to far beyond the nose, was 0.6 of it, most were under a tenth.

**Relief.** A voltage drop turns the load's angle and lowers impedance-like loads, so that plain sweeps overshoot.
Moving currents by ``1 / (1 + relief * load)`` of what the law asks takes that back. Constant power has none.

**Damping.** Plain sweeps diverge where loads outweigh the line. After some sweeps a lane whose change shrank by less
than 30 % moves by 0.6 of the step it made before, down to 0.15. What is not settled then goes to `lv_eliminate`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import any_above, maximum, where_above
from twin.powerflow.lv_kernel import RESIDUAL, WEIGHT, W, load, splat, store
from twin.powerflow.lv_tiles import LvOptions, inner

LAST, LEFT, PASSES, TOTAL, MASK = (W * i for i in range(2, 7))
"""Rows of `LvScratch.lane`: residual of the last sweep, what it left, sweeps made, currents at no drop, a mask."""
DAMPING, LEAST_WEIGHT, ENOUGH = 0.6, 0.15, 0.7
LEAST_FACTOR = 0.05
"""A factor from two changes may come out too small by chance."""
LARGEST = 3e38
"""Above it stand infinity and what is not a number."""


@inner
def begin(relief: float, lane: NDArray[np.float32]) -> None:
    """Set up the iteration of every lane from its sum of load currents at no drop, which `legs` left as residual."""
    total = load(lane, RESIDUAL)
    weight = maximum(LEAST_WEIGHT, 1.0 / (1.0 + relief * total))
    store(lane, WEIGHT, where_above(total, LARGEST, splat(0.0), weight))
    store(lane, LAST, total)
    store(lane, LEFT, total)
    store(lane, TOTAL, total)
    store(lane, PASSES, splat(0.0))


@inner
def judge(sweep: int, limit: float, options: LvOptions, lane: NDArray[np.float32]) -> bool:
    """Freeze the lanes that are done or lost, damp those that do not settle; True while any lane goes on.

    ``limit``: what may be left of the load currents. [kVA at 1 pu]
    """
    weight, residual, last, zero = load(lane, WEIGHT), load(lane, RESIDUAL), load(lane, LAST), splat(0.0)
    factor = residual / last
    left = residual * maximum(LEAST_FACTOR, where_above(factor, 0.5, splat(1.0), factor / (1.0 - factor)))
    goes_on = weight
    if sweep > options.damp_after:
        goes_on = where_above(factor, ENOUGH, maximum(LEAST_WEIGHT, DAMPING * weight), weight)
    goes_on = where_above(left, limit, goes_on, zero)
    goes_on = where_above(residual, LARGEST, zero, goes_on)
    store(lane, LAST, where_above(weight, 0.0, residual, last))
    store(lane, LEFT, where_above(weight, 0.0, left, load(lane, LEFT)))
    store(lane, PASSES, load(lane, PASSES) + where_above(weight, 0.0, splat(1.0), zero))
    goes_on = where_above(weight, 0.0, goes_on, zero)
    store(lane, WEIGHT, goes_on)
    return any_above(goes_on, 0.0)


@inner
def unsolved(lane: NDArray[np.float32]) -> bool:
    """Mark the lanes that the sweeps did not settle, or lost though their loads are numbers; is there any?"""
    zero, one = splat(0.0), splat(1.0)
    lost = where_above(load(lane, TOTAL), LARGEST, zero, where_above(load(lane, LAST), LARGEST, one, zero))
    marked = where_above(load(lane, WEIGHT), 0.0, one, lost)
    store(lane, MASK, marked)
    return any_above(marked, 0.0)


@inner
def take(lane: NDArray[np.float32], i: int, change_pu: float, passes: int, limit: float, options: LvOptions) -> None:
    """Judge lane i after elimination: its last change of a voltage, and the passes that it took."""
    lane[WEIGHT + i] = 0.0 if change_pu <= options.tolerance else 1.0
    lane[LAST + i] = lane[LEFT + i] = change_pu * limit / options.tolerance
    lane[PASSES + i] += passes
