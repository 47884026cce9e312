"""Trees and meshed grid solved together: a bundle of steps at a time, one sweep of the trees to one Newton step above.

Each lane stops when its residual at 132 kV and above and its change of voltages below are small, and then looks at the
reactive limits of its generators. What a lane does depends on its own step alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.upper_ehv import (
    LIMIT_TOLERANCE_PU,
    LIMITS_UNSETTLED,
    MAX_SWITCHING_ROUNDS,
    OK,
    RELEASE_ROUNDS,
    RELEASE_TOLERANCE_PU,
    EhvModel,
)
from twin.powerflow.upper_factor import W, inner, load, splat, store
from twin.powerflow.upper_mesh import Mesh, MeshScratch, advance, residual, take_heads, take_jacobian
from twin.powerflow.upper_tree_kernel import (
    TOLERANCE_PU,
    TreeScratch,
    backward,
    forward,
    settle_tree,
    slopes,
    take_loads,
    take_positions,
    take_voltages,
)
from twin.powerflow.upper_tree_store import N_SUMS, store_tree
from twin.powerflow.upper_trees import (
    SWEEP_DIVERGED,
    SWEEP_OK,
    FloatArray,
    Loads,
    Positions,
    StepSizes,
    SweepOut,
    Trees,
)

UNFINISHED = 255
"""Status of a step that did not settle here; whoever calls tries something else."""
MESH_TOLERANCE_PU = 1e-9
MOST_ITERATIONS = 60
NEWTON_ITERATIONS = 3
RENEWAL = 6


class MeshOut(NamedTuple):
    """State of the meshed grid, padded to whole bundles: (n_buses, steps) in the order of `Mesh`, (n_gens, steps)."""

    v_re: FloatArray
    v_im: FloatArray
    gen_p: FloatArray
    gen_q: FloatArray
    at_limit: NDArray[np.int8]
    slack: FloatArray
    """[steps]"""
    status: NDArray[np.uint8]
    """[steps]"""
    iterations: NDArray[np.int32]
    """[steps]"""


def mesh_out(mesh: Mesh, model: EhvModel, steps: int) -> MeshOut:
    """Every step at the model's own start voltages, with no generator at a limit."""
    n, n_gens = len(mesh.place), len(mesh.gen)
    start = np.empty(n, dtype=np.complex128)
    start[mesh.place] = model.v_start
    return MeshOut(
        np.repeat(start.real[:, None], steps, axis=1), np.repeat(start.imag[:, None], steps, axis=1),
        np.zeros((n_gens, steps)), np.zeros((n_gens, steps)), np.zeros((n_gens, steps), np.int8), np.zeros(steps),
        np.zeros(steps, np.uint8), np.zeros(steps, np.int32),
    )  # fmt: skip


class MeshIn(NamedTuple):
    """What the meshed grid is given, (n_buses, steps) in the order of `Mesh`, padded. [pu]"""

    load_p: FloatArray
    load_q: FloatArray
    p_fixed: FloatArray
    b: FloatArray
    """Susceptance of what is switched."""


@inner
def take_mesh(mesh: Mesh, given: MeshIn, out: MeshOut, t: int, s: MeshScratch) -> None:
    """Load the bundle from step t."""
    steps = out.v_re.shape[1]
    for i in range(len(mesh.place)):
        at, source = 2 * W * i, i * steps + t
        store(s.v, at, load(out.v_re, source))
        store(s.v, at + W, load(out.v_im, source))
        store(s.load, at, load(given.load_p, source))
        store(s.load, at + W, load(given.load_q, source))
        store(s.p_fixed, W * i, load(given.p_fixed, source))
        store(s.b, W * i, load(given.b, source))
        store(s.holds, W * i, splat(0.0))
        store(s.q_fixed, W * i, splat(0.0))
        store(s.vm_set, W * i, splat(1.0))
    for lane in range(W):
        s.slack[lane] = out.slack[t + lane]
        for k in range(len(mesh.gen)):
            _set_generator(mesh, k, lane, out.at_limit[k, t + lane], s)


@inner
def _set_generator(mesh: Mesh, k: int, lane: int, at_limit: int, s: MeshScratch) -> None:
    """Let generator k hold its voltage in a lane, or stand at a limit."""
    bus = W * mesh.gen[k] + lane
    s.vm_set[bus] = mesh.vm_set[k]
    s.holds[bus] = 1.0 if at_limit == 0 else 0.0
    s.q_fixed[bus] = 0.0 if at_limit == 0 else mesh.q_max[k] if at_limit > 0 else mesh.q_min[k]


@inner
def _generated(mesh: Mesh, k: int, lane: int, tree_power: FloatArray, s: MeshScratch) -> tuple[float, float]:
    """P and Q of generator k at the last residual."""
    bus = mesh.gen[k]
    p = s.power[2 * W * bus + lane] + s.load[2 * W * bus + lane]
    q = s.power[2 * W * bus + W + lane] + s.load[2 * W * bus + W + lane]
    a, b, g = s.v[2 * W * bus + lane], s.v[2 * W * bus + W + lane], mesh.bus_gss[bus]
    q -= s.b[W * bus + lane] * (a * a + b * b)
    if g >= 0:
        p, q = p + tree_power[2 * W * g + lane], q + tree_power[2 * W * g + W + lane]
    return p, q


@inner
def _wanted(
    mesh: Mesh, lane: int, tree_power: FloatArray, at_limit: NDArray[np.int8], step: int, may_release: bool,
    s: MeshScratch, wanted: NDArray[np.int8],
) -> bool:  # fmt: skip
    """As `upper_ehv.EhvSolver`: which generators must stand at a limit; True if a free one is beyond its own."""
    beyond_any, free_slack = False, False
    for k in range(len(mesh.gen)):
        bus = mesh.gen[k]
        _, q = _generated(mesh, k, lane, tree_power, s)
        vm = np.sqrt(s.v[2 * W * bus + lane] ** 2 + s.v[2 * W * bus + W + lane] ** 2)
        wanted[k] = at_limit[k, step]
        if at_limit[k, step] == 0:
            wanted[k] = int(q > mesh.q_max[k] + LIMIT_TOLERANCE_PU) - int(q < mesh.q_min[k] - LIMIT_TOLERANCE_PU)
            beyond_any |= wanted[k] != 0
        elif may_release and (
            (at_limit[k, step] > 0 and vm > mesh.vm_set[k] + RELEASE_TOLERANCE_PU)
            or (at_limit[k, step] < 0 and vm < mesh.vm_set[k] - RELEASE_TOLERANCE_PU)
        ):
            wanted[k] = 0
        free_slack |= wanted[k] == 0 and mesh.weight[k] > 0
    if not free_slack:
        best = -1
        for k in range(len(mesh.gen)):
            if at_limit[k, step] == 0 and mesh.weight[k] > 0 and (best < 0 or mesh.weight[k] > mesh.weight[best]):
                best = k
        wanted[best] = 0
    return beyond_any


@inner
def _test_lane(
    trees: Trees, mesh: Mesh, t: int, lane: int, attempt: int, tolerance: float, wanted: NDArray[np.int8],
    ts: TreeScratch, ms: MeshScratch, out: MeshOut,
) -> int:  # fmt: skip
    """Whether a lane whose residual is small is settled (1), must go on (0), or goes on with other limits (-1)."""
    k = t + lane
    for g in range(len(trees.ptr) - 1):
        if not ts.change[g * W + lane] <= tolerance:
            return 0
    beyond = _wanted(mesh, lane, ts.power, out.at_limit, k, attempt < RELEASE_ROUNDS, ms, wanted)
    same = True
    for m in range(len(mesh.gen)):
        same &= wanted[m] == out.at_limit[m, k]
    if same or attempt + 1 == MAX_SWITCHING_ROUNDS:
        out.status[k] = LIMITS_UNSETTLED if beyond or not same else OK
        return 1
    for m in range(len(mesh.gen)):
        out.at_limit[m, k] = wanted[m]
        _set_generator(mesh, m, lane, wanted[m], ms)
    return -1


@inner
def _begin(trees: Trees, t: int, lanes: NDArray[np.bool_], ts: TreeScratch, ms: MeshScratch, out: MeshOut) -> None:
    """Currents of all trees at the voltages taken, and which lanes go on."""
    for lane in range(W):
        ms.going[lane] = 1.0 if lanes[lane] else 0.0
        if lanes[lane]:
            out.status[t + lane] = UNFINISHED
    for g in range(len(trees.ptr) - 1):
        backward(trees, g, ts)
        store(ts.going, g * W, load(ms.going, 0))
    for k in range(len(ts.change)):
        ts.change[k] = np.inf


@inner
def joint_bundle(
    trees: Trees, mesh: Mesh, t: int, lanes: NDArray[np.bool_], coarse: float, wanted: NDArray[np.int8],
    ts: TreeScratch, ms: MeshScratch, out: MeshOut,
) -> None:  # fmt: skip
    """Iterate the bundle taken from step t until the given lanes are settled; a lane that is not stays `UNFINISHED`.

    The other lanes keep their values. A lane's factors follow its own voltages at fixed iterations, and when its own
    generators meet a limit.
    """
    attempts = np.zeros(W, dtype=np.int64)
    _begin(trees, t, lanes, ts, ms, out)
    for iteration in range(MOST_ITERATIONS):
        residual(mesh, ts.power, ms)
        running, changed = False, False
        for lane in range(W):
            renew = iteration < NEWTON_ITERATIONS or iteration % RENEWAL == 0
            if ms.going[lane] > 0.5 and ms.worst[lane] <= max(coarse, MESH_TOLERANCE_PU):
                verdict = _test_lane(
                    trees, mesh, t, lane, attempts[lane], max(coarse, TOLERANCE_PU), wanted, ts, ms, out
                )
                if verdict > 0:
                    ms.going[lane] = 0.0
                    out.iterations[t + lane] = iteration
                elif verdict < 0:
                    attempts[lane] += 1
                    renew, changed = True, True
            ms.renew[lane] = ms.going[lane] if renew else 0.0
            running |= ms.going[lane] > 0.5
        if not running:
            break
        if changed:
            residual(mesh, ts.power, ms)
        if changed or iteration < NEWTON_ITERATIONS or iteration % RENEWAL == 0:
            slopes(trees, ms.slope, ts)
            take_jacobian(mesh, ms)
        advance(mesh, ms, ts.head)
        for g in range(len(trees.ptr) - 1):
            store(ts.going, g * W, load(ms.going, 0))
            forward(trees, g, ts)
            backward(trees, g, ts)


@inner
def _store_mesh(mesh: Mesh, t: int, lanes: NDArray[np.bool_], ts: TreeScratch, ms: MeshScratch, out: MeshOut) -> None:
    """Write the meshed grid's side of the settled lanes."""
    for lane in range(W):
        if not lanes[lane]:
            continue
        k = t + lane
        out.slack[k] = ms.slack[lane]
        for i in range(len(mesh.place)):
            out.v_re[i, k], out.v_im[i, k] = ms.v[2 * W * i + lane], ms.v[2 * W * i + W + lane]
        for m in range(len(mesh.gen)):
            out.gen_p[m, k], out.gen_q[m, k] = _generated(mesh, m, lane, ts.power, ms)


@inner
def _take_lanes(wanted: NDArray[np.bool_], t: int, lanes: NDArray[np.bool_]) -> bool:
    """Copy the flags of the bundle from step t; True if any is set."""
    found = False
    for lane in range(W):
        lanes[lane] = wanted[t + lane]
        found |= lanes[lane]
    return found


@inner
def _settled_lanes(t: int, lanes: NDArray[np.bool_], kept: NDArray[np.int8], out: MeshOut) -> None:
    """Drop the lanes that did not settle, whose generators stand at the limits ``kept``."""
    for lane in range(W):
        if lanes[lane] and out.status[t + lane] == UNFINISHED:
            lanes[lane] = False
            for m in range(len(kept)):
                out.at_limit[m, t + lane] = kept[m, t + lane]


@nb.njit(cache=True, error_model="numpy")
def solve_jointly(
    trees: Trees, sizes: StepSizes, loads: Loads, mesh: Mesh, given: MeshIn, at: Positions, wanted: NDArray[np.bool_],
    coarse: float, kept: NDArray[np.int8], ts: TreeScratch, ms: MeshScratch, out: MeshOut, tree_out: SweepOut,
) -> None:  # fmt: skip
    """Solve the wanted steps of a block at fixed positions, from the voltages in ``out`` and ``tree_out``.

    All arrays by step are padded to whole bundles, but for ``at``. ``coarse`` replaces smaller tolerances; ``kept`` is
    a copy of ``out.at_limit``. A step that does not settle is `UNFINISHED` in ``out.status``, and nothing else of it
    is written.
    """
    limits, sums = np.zeros(len(mesh.gen), np.int8), np.zeros(N_SUMS * W)
    lanes, fine = np.zeros(W, np.bool_), np.zeros(W, np.uint8)
    for t in range(0, out.v_re.shape[1], W):
        if not _take_lanes(wanted, t, lanes):
            continue
        take_mesh(mesh, given, out, t, ms)
        take_heads(mesh, ms, ts.head)
        take_loads(trees, loads, t, ts)
        take_positions(trees, sizes, at, t, ts)
        take_voltages(trees, tree_out, t, ts)
        joint_bundle(trees, mesh, t, lanes, coarse, limits, ts, ms, out)
        _settled_lanes(t, lanes, kept, out)
        for g in range(len(trees.ptr) - 1):
            store_tree(trees, loads, g, t, lanes, fine, ts, sums, tree_out)
        _store_mesh(mesh, t, lanes, ts, ms, out)


@nb.njit(cache=True, error_model="numpy")
def solve_trees(
    trees: Trees, sizes: StepSizes, loads: Loads, v_head: FloatArray, at: Positions, wanted: NDArray[np.bool_],
    tolerance: float, ts: TreeScratch, out: SweepOut,
) -> None:  # fmt: skip
    """Solve all trees at the wanted steps, at given heads and fixed positions, from the voltages in ``out``.

    ``v_head`` (n_gss, steps) and ``wanted`` (steps,) are padded to whole bundles like all arrays by step but ``at``. A
    head that is no number has no solution below it.
    """
    sums, status, lanes = np.zeros(N_SUMS * W), np.zeros(W, np.uint8), np.zeros(W, np.bool_)
    for t in range(0, len(wanted), W):
        if not _take_lanes(wanted, t, lanes):
            continue
        for g in range(len(trees.ptr) - 1):
            store(ts.head, g * W, load(v_head, g * len(wanted) + t))
        take_loads(trees, loads, t, ts)
        take_positions(trees, sizes, at, t, ts)
        take_voltages(trees, out, t, ts)
        for g in range(len(trees.ptr) - 1):
            for lane in range(W):
                ts.going[g * W + lane] = 1.0 if lanes[lane] and np.isfinite(v_head[g, t + lane]) else 0.0
                status[lane] = SWEEP_OK if ts.going[g * W + lane] > 0.5 else SWEEP_DIVERGED
            settle_tree(trees, g, tolerance, ts, status)
            store_tree(trees, loads, g, t, lanes, status, ts, sums, out)
