"""Arrays of the four-wire low-voltage solver: the network of a feeder's DTs, options, working memory and results.

Per unit: 250 V per phase and 1 kVA per phase (`twin.units`). All are named tuples of arrays, so that compiled code can
take them apart; none of them is copied.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import aligned
from twin.units import LV_NOMINAL_PU

LANES = 8
"""Steps that the kernel carries at once; columns of the demand array are padded to a multiple."""

inner = nb.njit(error_model="numpy", forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For parts of `solve_tile`: compiled into it and nowhere else, with no way in from Python, which halves the time."""

OK, NOT_CONVERGED, NOT_FINITE = 0, 1, 2
"""Status of a state: solved; last iterate, for which Kirchhoff's laws hold but not the load law; not a number."""


class LvTiles(NamedTuple):
    """The DTs of one 11 kV feeder with everything below them, flat; DT k owns the rows between its pointers.

    Poles of a DT start with its LV busbar. A leg is one phase connection of a consumer (a three-phase consumer has
    three). Legs of one phase on one pole are neighbours.
    """

    dt_pole_ptr: NDArray[np.int32]
    """Poles of DT k. [n_dt + 1]"""
    dt_leg_ptr: NDArray[np.int32]
    """Legs of DT k. [n_dt + 1]"""
    dt_consumer_ptr: NDArray[np.int32]
    """Consumers of DT k: rows of the feeder's consumer columns. [n_dt + 1]"""
    parent: NDArray[np.int32]
    """Upstream pole, counted within the DT, below the pole's own; -1 for the busbar. [n_poles]"""
    z_pu: NDArray[np.float32]
    """Segment to the parent with the neutral eliminated: (re, im) of aa, ab, ac, bb, bc, cc. Busbar row: the DT's
    series impedance on the diagonal. [n_poles, 12]"""
    group_ptr: NDArray[np.int32]
    """Legs on (pole, phase); group = 3 * pole + phase. [3 * n_poles + 1]"""
    leg_consumer: NDArray[np.int32]
    """Row of the feeder's consumer columns. [n_legs]"""
    leg_share: NDArray[np.float32]
    """Share of the consumer's power on this leg: 1, or a third. [n_legs]"""
    service_pu: NDArray[np.float32]
    """Resistance and reactance of the service, out and back where the neutral carries the current. [n_legs, 2]"""
    iron_kw: NDArray[np.float64]
    """No-load loss at 1 pu. [n_dt]"""
    magnetising_kvar: NDArray[np.float64]
    """No-load reactive power at 1 pu. [n_dt]"""


class LvOptions(NamedTuple):
    """How the solver iterates; the defaults are the measured ones (see `lv_options`)."""

    tolerance: float
    """Largest error of any voltage of a state that counts as solved. [pu]"""
    damp_after: int
    """Sweeps before damping may begin."""
    most: int
    """Sweeps before a state is solved by elimination."""
    eliminations: int
    """Passes of that before the state counts as not converged; 0 for none at all."""
    clamp_pu: float
    """A load is a constant impedance below this voltage. [pu of 250 V]"""


class LvScratch(NamedTuple):
    """Working memory of one thread for the largest tile; nothing in it outlives a call.

    Leg columns have room for one more than there are: the sweeps look one leg ahead.
    """

    coefficients: NDArray[np.float32]
    """Load law of each leg (P: Z, I, P part; Q: the same), service r and x, 0 for the first leg of a pole and phase and
    1 for others. [(n_legs + 1) * COEFFICIENTS]"""
    current: NDArray[np.float32]
    """Load current of each leg: re, im. [(n_legs + 1) * 2 * LANES]"""
    used: NDArray[np.float32]
    """Power used on each leg. [(n_legs + 1) * LANES]"""
    voltage: NDArray[np.float32]
    """Slot 0 is the source, slot i + 1 pole i: phase, re or im. [(n_poles + 1) * 6 * LANES]"""
    branch: NDArray[np.float32]
    """Current arriving at a pole, in the same slots. [(n_poles + 1) * 6 * LANES]"""
    totals: NDArray[np.float32]
    """Sums over the tile. [N_TOTALS * LANES]"""
    lane: NDArray[np.float32]
    """Iteration state of every lane. [N_STATES * LANES]"""
    flow: NDArray[np.float64]
    """Consumers beyond each pole, by phase. [3 * n_poles]"""
    path: NDArray[np.float64]
    """Impedance from the source to each pole. [n_poles]"""
    leg_slot: NDArray[np.int32]
    """Where each leg's pole and phase stand in `voltage` and `branch`. [n_legs + 1]"""
    leg_row: NDArray[np.int32]
    """Where each leg's consumer starts in the demand array. [n_legs + 1]"""
    leg_voltage: NDArray[np.complex128]
    """For elimination, one state: voltage at each leg. [n_legs]"""
    leg_admittance: NDArray[np.complex128]
    """Load of each leg. [n_legs]"""
    pole_voltage: NDArray[np.complex128]
    """Row 0 is the source. [n_poles + 1, 3]"""
    pole_admittance: NDArray[np.complex128]
    """Everything at and beyond each pole. [n_poles, 3, 3]"""
    pole_ratio: NDArray[np.complex128]
    """Voltage of each pole over its parent's. [n_poles, 3, 3]"""


class TileOut(NamedTuple):
    """What a tile hands up, per DT and step; every array has shape [n_dt, steps].

    Active power closes: ``sent = used + loss_lv + loss_dt`` up to rounding (float32), from branch currents. Where the
    status is `NOT_FINITE` every number is NaN.
    """

    sent_kw: NDArray[np.float64]
    """Active power into the DT, iron loss included."""
    sent_kvar: NDArray[np.float64]
    """Reactive power into the DT, magnetising included."""
    used_kw: NDArray[np.float64]
    """Active power of the consumers."""
    used_kvar: NDArray[np.float64]
    """Reactive power of the consumers."""
    loss_lv_kw: NDArray[np.float64]
    """Loss in segments, neutral included, and services."""
    loss_dt_kw: NDArray[np.float64]
    """Loss in the DT: copper and iron."""
    iron_kw: NDArray[np.float64]
    """Iron loss alone, as the voltage squared; part of `loss_dt_kw`."""
    magnetising_kvar: NDArray[np.float64]
    """Magnetising power alone, as the voltage squared; part of `sent_kvar`."""
    n_used: NDArray[np.float64]
    """Elasticity of `used_kw` to the DT's voltage."""
    n_loss: NDArray[np.float64]
    """Elasticity of the copper losses, LV and DT."""
    n_q: NDArray[np.float64]
    """Elasticity of `sent_kvar` without magnetising."""
    n_min: NDArray[np.float64]
    """Elasticity of the drop ``v0_pu - v_min_pu``."""
    n_end: NDArray[np.float64]
    """Elasticity of the drop ``v0_pu - v_end_pu``."""
    s: NDArray[np.float64]
    """Constant-impedance share of `used_kw`."""
    v0_pu: NDArray[np.float64]
    """DT voltage of the solution, which the elasticities are about."""
    v_min_pu: NDArray[np.float64]
    """Lowest voltage at a consumer (at a pole, if the tile has none)."""
    v_end_pu: NDArray[np.float64]
    """Lowest voltage at a pole."""
    residual: NDArray[np.float64]
    """Largest error of any voltage that the last sweep left, by the measure of `LvOptions.tolerance`. [pu]"""
    passes: NDArray[np.uint8]
    """Sweeps made."""
    status: NDArray[np.uint8]
    """`OK`, `NOT_CONVERGED` or `NOT_FINITE`."""


N_TOTALS, N_STATES, COEFFICIENTS = 23, 7, 9
CLAMP_OF_NOMINAL = 0.8


def lv_options(
    tolerance: float = 1e-5,
    damp_after: int = 8,
    most: int = 40,
    eliminations: int = 100,
    clamp_pu: float = CLAMP_OF_NOMINAL * LV_NOMINAL_PU,
) -> LvOptions:
    """Measured defaults: every passive demand solved, tried up to 18 times DT rating.

    A clamp at 0.8 of nominal makes a load a constant impedance below 184 V: it keeps the law continuous and gives every
    case a solution. It stands for contactors dropping out and motors stalling and is a device of the solver, not data.
    """
    return LvOptions(tolerance, damp_after, most, eliminations, clamp_pu)


def lv_scratch(lv: LvTiles) -> LvScratch:
    """Working memory for the largest DT of a feeder; keep the largest of several feeders with `lv_scratch_for`."""
    return lv_scratch_for(int(np.diff(lv.dt_leg_ptr).max(initial=0)), int(np.diff(lv.dt_pole_ptr).max(initial=0)))


def lv_scratch_for(n_legs: int, n_poles: int) -> LvScratch:
    """Working memory for a tile of at most ``n_legs`` legs and ``n_poles`` poles."""

    def floats(n: int) -> NDArray[Any]:
        return aligned(n, np.float32)

    slots, legs = (n_poles + 1) * 6 * LANES, n_legs + 1
    return LvScratch(
        coefficients=floats(legs * COEFFICIENTS),
        current=floats(legs * 2 * LANES),
        used=floats(legs * LANES),
        voltage=floats(slots),
        branch=floats(slots),
        totals=floats(N_TOTALS * LANES),
        lane=floats(N_STATES * LANES),
        flow=np.zeros(3 * n_poles),
        path=np.zeros(n_poles),
        leg_slot=np.zeros(legs, np.int32),
        leg_row=np.zeros(legs, np.int32),
        leg_voltage=np.zeros(n_legs, np.complex128),
        leg_admittance=np.zeros(n_legs, np.complex128),
        pole_voltage=np.zeros((n_poles + 1, 3), np.complex128),
        pole_admittance=np.zeros((n_poles, 3, 3), np.complex128),
        pole_ratio=np.zeros((n_poles, 3, 3), np.complex128),
    )


def tile_out(n_dt: int, steps: int) -> TileOut:
    """Room for the results of ``n_dt`` DTs."""
    whole = {"passes", "status"}
    return TileOut(*(np.zeros((n_dt, steps), np.uint8 if name in whole else np.float64) for name in TileOut._fields))
