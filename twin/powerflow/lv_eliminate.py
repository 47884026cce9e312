"""What the sweeps of the low-voltage solver leave unsolved: one state by eliminating the tree, in float64.

With every load as an admittance at its last voltage the network is linear, and a tree is solved by one elimination::

    Y_i = sum of loads y / (1 + zs y) on pole i + sum over children c of Y_c M_c
    M_c = (1 + Z_c Y_c)^-1          voltage of pole c over its parent's, 3 x 3

Only the loads' dependence on voltage is left to iterate: nothing for impedances, and so for all loads below the clamp;
a factor of at most 0.5 for constant power above it. So passive loads of any size have a solution and it is found.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lv_kernel import HALF_SQRT3, W
from twin.powerflow.lv_tiles import COEFFICIENTS, LvOptions, LvScratch, LvTiles

part = nb.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
EXACTER = 0.1
"""Of the tolerance: currents are cut to float32 after it."""
DAMPING, LEAST_WEIGHT, ENOUGH = 0.6, 0.1, 0.7


@part
def eliminate(
    lv: LvTiles, k: int, kw: NDArray[np.float32], t: int, lane: int, scratch: LvScratch, options: LvOptions
) -> tuple[float, int]:
    """Solve one lane of DT k afresh and put its load currents where the sweeps have theirs.

    Returns the largest change of a voltage in the last pass [pu], and the passes made.
    """
    n_legs, change, before, weight, passes = lv.dt_leg_ptr[k + 1] - lv.dt_leg_ptr[k], np.inf, np.inf, 1.0, 0
    v, u, y = scratch.voltage[lane], scratch.leg_voltage, scratch.leg_admittance
    source = scratch.pole_voltage[0]
    source[0], source[1], source[2] = v, v * complex(-0.5, -HALF_SQRT3), v * complex(-0.5, HALF_SQRT3)
    for j in range(n_legs):
        u[j] = source[scratch.leg_slot[j] // (2 * W) % 3]
    while passes < options.eliminations and change > EXACTER * options.tolerance:
        passes += 1
        _loads(lv, k, kw, t + lane, scratch, options.clamp_pu)
        _tree(lv, k, scratch)
        change = 0.0
        for j in range(n_legs):
            group, zs = scratch.leg_slot[j] // (2 * W), _service(scratch, j)
            moved = scratch.pole_voltage[group // 3, group % 3] * _inverse(1 + zs * y[j]) - u[j]
            change = max(change, _magnitude(moved))
            u[j] += weight * moved
        if change > ENOUGH * before:
            weight = max(LEAST_WEIGHT, DAMPING * weight)
        before = change
        if not np.isfinite(change):
            break
    for j in range(n_legs):
        current = y[j] * u[j]
        scratch.current[2 * j * W + lane], scratch.current[(2 * j + 1) * W + lane] = current.real, current.imag
    return change, passes


@part
def _magnitude(a: complex) -> float:
    return np.sqrt(a.real * a.real + a.imag * a.imag)


@part
def _inverse(a: complex) -> complex:
    """``1 / a`` for figures of usual size, without the care (and the code) of a complex division."""
    square = a.real * a.real + a.imag * a.imag
    return complex(a.real / square, -a.imag / square)


@part
def _service(scratch: LvScratch, j: int) -> complex:
    law = scratch.coefficients
    return complex(law[j * COEFFICIENTS + 6], law[j * COEFFICIENTS + 7])


@part
def _loads(lv: LvTiles, k: int, kw: NDArray[np.float32], step: int, scratch: LvScratch, clamp: float) -> None:
    """Admittance of every leg at its voltage, and of every pole with the services in between."""
    law, u, y, whole = scratch.coefficients, scratch.leg_voltage, scratch.leg_admittance, scratch.pole_admittance
    flat = kw.reshape(-1)
    for i in range(lv.dt_pole_ptr[k + 1] - lv.dt_pole_ptr[k]):
        whole[i] = 0
    for j in range(lv.dt_leg_ptr[k + 1] - lv.dt_leg_ptr[k]):
        w, c, p = 1 / max(_magnitude(u[j]), clamp), j * COEFFICIENTS, np.float64(flat[scratch.leg_row[j] + step])
        g, b = law[c] + w * (law[c + 1] + w * law[c + 2]), law[c + 3] + w * (law[c + 4] + w * law[c + 5])
        y[j] = p * complex(g, -b)
        group = scratch.leg_slot[j] // (2 * W) - 3
        whole[group // 3, group % 3, group % 3] += y[j] * _inverse(1 + _service(scratch, j) * y[j])


@part
def _tree(lv: LvTiles, k: int, scratch: LvScratch) -> None:
    """Voltages of the poles: admittances gathered toward the source, voltages from there."""
    first, y, m, v = lv.dt_pole_ptr[k], scratch.pole_admittance, scratch.pole_ratio, scratch.pole_voltage
    n_poles = lv.dt_pole_ptr[k + 1] - first
    for i in range(n_poles - 1, -1, -1):
        _ratio(lv.z_pu[first + i], y[i], m[i])
        if i > 0:
            above = y[lv.parent[first + i]]
            for p in range(3):
                for q in range(3):
                    above[p, q] += y[i, p, 0] * m[i, 0, q] + y[i, p, 1] * m[i, 1, q] + y[i, p, 2] * m[i, 2, q]
    for i in range(n_poles):
        up = v[lv.parent[first + i] + 1]
        for p in range(3):
            v[i + 1, p] = m[i, p, 0] * up[0] + m[i, p, 1] * up[1] + m[i, p, 2] * up[2]


@part
def _ratio(z: NDArray[np.float32], y: NDArray[np.complex128], out: NDArray[np.complex128]) -> None:
    """``(1 + Z Y)^-1`` of one segment, by cofactors."""
    a = np.empty((3, 3), np.complex128)
    for q in range(3):
        for p in range(3):
            row = (0, 2, 4) if p == 0 else ((2, 6, 8) if p == 1 else (4, 8, 10))
            a[p, q] = 1.0 if p == q else 0.0
            for s in range(3):
                a[p, q] += complex(z[row[s]], z[row[s] + 1]) * y[s, q]
    for p in range(3):
        for q in range(3):
            p1, p2, q1, q2 = (p + 1) % 3, (p + 2) % 3, (q + 1) % 3, (q + 2) % 3
            out[q, p] = a[p1, q1] * a[p2, q2] - a[p1, q2] * a[p2, q1]
    scale = _inverse(a[0, 0] * out[0, 0] + a[0, 1] * out[1, 0] + a[0, 2] * out[2, 0])
    for p in range(3):
        for q in range(3):
            out[p, q] *= scale
