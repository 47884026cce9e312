"""What stands for solved DTs between the rounds of a block: their equivalents, in few bytes.

About the voltage v0 of its solution a DT is ``used (1 + n_used x + s x**2) + loss (1 + x)**n_loss`` and
``q (1 + n_q x + s x**2)``, x = v / v0 - 1; iron and magnetising follow the voltage squared and are shunts of the
feeder's tree (`tree_shunts`). Loss is handed up as its own equivalent, so that sent is used plus losses by
construction. The drop to the lowest voltages has an elasticity of its own. Good to 0.02 pu off v0; to 0.003 for
stressed tiles, which are marked ``tight``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lv_tiles import OK, LvTiles, TileOut
from twin.powerflow.radial import NodeLoads, RadialTree, equivalent_kw
from twin.units import KW_PER_MW

TIGHT_BELOW_PU, TIGHT_ABOVE_PASSES = 0.80, 8
"""A tile with a consumer below this voltage, or that needed more sweeps, is too curved for a wide equivalent."""
NO_STEP = -1


class TileBook(NamedTuple):
    """DTs of a shard or a feeder, float32 of shape [n_dt, steps] unless said. At the voltage of their last solution."""

    v0_pu: NDArray[np.float32]
    used_kw: NDArray[np.float32]
    loss_lv_kw: NDArray[np.float32]
    copper_kw: NDArray[np.float32]
    """Loss in the DT's windings."""
    q_kvar: NDArray[np.float32]
    """Sent, without magnetising."""
    n_used: NDArray[np.float32]
    n_loss: NDArray[np.float32]
    n_q: NDArray[np.float32]
    s: NDArray[np.float32]
    n_min: NDArray[np.float32]
    """Elasticity of the drop to `v_min_pu`."""
    n_end: NDArray[np.float32]
    v_min_pu: NDArray[np.float32]
    """Lowest voltage at a consumer."""
    v_end_pu: NDArray[np.float32]
    """Lowest voltage at a pole."""
    tight: NDArray[np.uint8]
    """1: the equivalents hold over a sixth of the usual range only. [n_dt]"""
    closure: NDArray[np.float32]
    """Largest relative gap sent - used - losses of the solution. [n_dt]"""
    bad_step: NDArray[np.int16]
    """First step whose solution failed, -1 for none. [n_dt]"""
    bad_steps: NDArray[np.int16]
    """Steps whose solution failed. [n_dt]"""
    bad_status: NDArray[np.uint8]
    """Status of the first failed step. [n_dt]"""


def tile_book(n_dt: int, steps: int) -> TileBook:
    """Room for ``n_dt`` DTs: about 52 bytes per DT and step."""
    by_dt: dict[str, tuple[int, Any]] = {"bad_step": (NO_STEP, np.int16), "bad_steps": (0, np.int16)}
    by_dt |= {"tight": (0, np.uint8), "bad_status": (OK, np.uint8), "closure": (0, np.float32)}
    return TileBook._make(
        np.full(n_dt, *by_dt[name]) if name in by_dt else np.zeros((n_dt, steps), np.float32)
        for name in TileBook._fields
    )


def some_of(book: TileBook, rows: slice) -> TileBook:
    """A view of some DTs."""
    return TileBook._make(column[rows] for column in book)


def tree_shunts(
    lv: LvTiles, node_of_dt: NDArray[np.int32], n_nodes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shunts ``g_pu, b_pu`` (1 MVA) of the DTs' iron and magnetising at the nodes of the feeder's tree. [n_nodes]"""
    g_pu, b_pu = np.zeros(n_nodes), np.zeros(n_nodes)
    np.add.at(g_pu, node_of_dt, lv.iron_kw / KW_PER_MW)
    np.add.at(b_pu, node_of_dt, -lv.magnetising_kvar / KW_PER_MW)
    return g_pu, b_pu


def without_shunts(
    tree: RadialTree, lv: LvTiles, node_of_dt: NDArray[np.int32], g_pu: NDArray[np.float64], b_pu: NDArray[np.float64]
) -> RadialTree:
    """A feeder's tree without the shunts of its DTs: their no-load power is a load then (`add_no_load`).

    ``g_pu``, ``b_pu``: room for its own, shape (>= n_nodes,).
    """
    n = len(tree.parent)
    g_pu, b_pu = g_pu[:n], b_pu[:n]
    _less_shunts(tree, lv, node_of_dt, g_pu, b_pu)
    return tree._replace(g_pu=g_pu, b_pu=b_pu)


@nb.njit(cache=True, error_model="numpy")
def _less_shunts(
    tree: RadialTree, lv: LvTiles, node_of_dt: NDArray[np.int32], g_pu: NDArray[np.float64], b_pu: NDArray[np.float64]
) -> None:
    """`tree_shunts` taken from those of the tree; the sum of a node's is taken at once, as it was added."""
    g_pu[:], b_pu[:] = 0.0, 0.0
    for k in range(len(node_of_dt)):
        g_pu[node_of_dt[k]] += lv.iron_kw[k] / KW_PER_MW
        b_pu[node_of_dt[k]] -= lv.magnetising_kvar[k] / KW_PER_MW
    for i in range(len(g_pu)):
        g_pu[i], b_pu[i] = tree.g_pu[i] - g_pu[i], tree.b_pu[i] - b_pu[i]


@nb.njit(cache=True, error_model="numpy")
def add_no_load(lv: LvTiles, node_of_dt: NDArray[np.int32], share: NDArray[np.float64], loads: NodeLoads) -> None:
    """Add iron and magnetising of DTs that are supplied for a share of each step, ``share`` [n_dt, steps].

    They follow the voltage squared, which the law of a load's used part, ``1 + 2 x + x**2``, holds exactly.
    """
    for k in range(len(node_of_dt)):
        i = node_of_dt[k]
        for t in range(share.shape[1]):
            square = share[k, t] * loads.v0_pu[i, t] * loads.v0_pu[i, t]
            iron, magnetising = lv.iron_kw[k] * square, lv.magnetising_kvar[k] * square
            loads.n_used[i, t] = _mean(loads.n_used[i, t], loads.used_kw[i, t], 2.0, iron)
            loads.s[i, t] = _mean(loads.s[i, t], loads.used_kw[i, t], 1.0, iron)
            loads.n_q[i, t] = _mean(loads.n_q[i, t], loads.q_kvar[i, t], 2.0, magnetising)
            loads.used_kw[i, t] += iron
            loads.q_kvar[i, t] += magnetising


@nb.njit(cache=True, error_model="numpy")
def keep_tile(out: TileOut, k: int, book: TileBook) -> None:
    """Keep the solution of DT k."""
    book.bad_step[k], book.bad_steps[k], book.bad_status[k] = NO_STEP, 0, OK
    lowest, passes, gap = np.inf, 0, 0.0
    for t in range(out.used_kw.shape[1]):
        book.v0_pu[k, t] = out.v0_pu[k, t]
        book.used_kw[k, t], book.loss_lv_kw[k, t] = out.used_kw[k, t], out.loss_lv_kw[k, t]
        book.copper_kw[k, t] = out.loss_dt_kw[k, t] - out.iron_kw[k, t]
        book.q_kvar[k, t] = out.sent_kvar[k, t] - out.magnetising_kvar[k, t]
        book.n_used[k, t], book.n_loss[k, t] = out.n_used[k, t], out.n_loss[k, t]
        book.n_q[k, t], book.s[k, t] = out.n_q[k, t], out.s[k, t]
        book.n_min[k, t], book.n_end[k, t] = out.n_min[k, t], out.n_end[k, t]
        book.v_min_pu[k, t], book.v_end_pu[k, t] = out.v_min_pu[k, t], out.v_end_pu[k, t]
        status, sent = out.status[k, t], out.sent_kw[k, t]
        if status != OK:
            if book.bad_steps[k] == 0:
                book.bad_step[k], book.bad_status[k] = t, status
            book.bad_steps[k] += 1
            continue
        lowest, passes = min(lowest, out.v_min_pu[k, t]), max(passes, out.passes[k, t])
        if sent != 0:
            gap = max(gap, abs(sent - out.used_kw[k, t] - out.loss_lv_kw[k, t] - out.loss_dt_kw[k, t]) / abs(sent))
    book.tight[k] = lowest < TIGHT_BELOW_PU or passes > TIGHT_ABOVE_PASSES
    book.closure[k] = gap


@nb.njit(cache=True, error_model="numpy")
def carried_low_pu(low_pu: float, v0_pu: float, n_drop: float, v_pu: float) -> float:
    """A lowest voltage of a DT's LV at another voltage of its node, ``low_pu`` at the solution's ``v0_pu``. [pu]

    ``n_drop``: the elasticity of the drop to it, `TileBook.n_min` or `n_end`.
    """
    return v_pu - (v0_pu - low_pu) * (1 + n_drop * (v_pu / v0_pu - 1))


@nb.njit(cache=True, error_model="numpy")
def book_loads(book: TileBook, node_of_dt: NDArray[np.int32], loads: NodeLoads) -> None:
    """Replace the loads of all nodes of a feeder by the equivalents of the DTs on them, added in DT order.

    A further DT on a node is first carried to the voltage that the node's first DT was solved at. No-load power is left
    out: it is in the tree. ``loads`` [n_nodes, steps].
    """
    for column in (loads.used_kw, loads.loss_kw, loads.q_kvar, loads.n_used, loads.n_loss, loads.n_q, loads.s):
        column[:, :] = 0.0
    loads.v0_pu[:, :] = 0.0
    for k in range(len(node_of_dt)):
        i = node_of_dt[k]
        for t in range(book.used_kw.shape[1]):
            used, q = np.float64(book.used_kw[k, t]), np.float64(book.q_kvar[k, t])
            loss = np.float64(book.loss_lv_kw[k, t]) + np.float64(book.copper_kw[k, t])
            if loads.v0_pu[i, t] == 0.0:
                loads.v0_pu[i, t] = book.v0_pu[k, t]
            else:
                x, s = loads.v0_pu[i, t] / book.v0_pu[k, t] - 1, np.float64(book.s[k, t])
                used, loss = equivalent_kw(
                    used, loss, np.float64(book.n_used[k, t]), np.float64(book.n_loss[k, t]), s, x
                )
                q *= 1 + x * (book.n_q[k, t] + s * x)
            loads.n_used[i, t] = _mean(loads.n_used[i, t], loads.used_kw[i, t], np.float64(book.n_used[k, t]), used)
            loads.s[i, t] = _mean(loads.s[i, t], loads.used_kw[i, t], np.float64(book.s[k, t]), used)
            loads.n_loss[i, t] = _mean(loads.n_loss[i, t], loads.loss_kw[i, t], np.float64(book.n_loss[k, t]), loss)
            loads.n_q[i, t] = _mean(loads.n_q[i, t], loads.q_kvar[i, t], np.float64(book.n_q[k, t]), q)
            loads.used_kw[i, t] += used
            loads.loss_kw[i, t] += loss
            loads.q_kvar[i, t] += q
    for i in range(len(loads.v0_pu)):
        for t in range(loads.v0_pu.shape[1]):
            if loads.v0_pu[i, t] == 0.0:
                loads.v0_pu[i, t] = 1.0


@nb.njit(cache=True, error_model="numpy")
def _mean(a: float, weight_a: float, b: float, weight_b: float) -> float:
    """Weighted mean; the first alone passes unchanged."""
    if weight_a == 0:
        return b
    total = weight_a + weight_b
    return (a * weight_a + b * weight_b) / total if total != 0 else 0.0


@nb.njit(cache=True, error_model="numpy")
def mark_moved(
    book: TileBook,
    node_of_dt: NDArray[np.int32],
    v_node_pu: NDArray[np.float64],
    limit_pu: float,
    tight_limit_pu: float,
    moved: NDArray[np.uint8],
    v_dt_pu: NDArray[np.float64],
) -> int:
    """Mark the DTs whose node is further from the voltage of their solution than the limit in any step; how many?

    ``v_node_pu`` [n_nodes, steps] of the line, ``moved`` [n_dt], ``v_dt_pu`` [n_dt, steps]: rows of moved DTs take
    their node's voltage, but for states of the line without a solution, where the last one stays.
    """
    steps, count = book.v0_pu.shape[1], 0
    for k in range(len(node_of_dt)):
        i, most = node_of_dt[k], 0.0
        for t in range(steps):
            change = abs(v_node_pu[i, t] - book.v0_pu[k, t])
            if change > most:
                most = change
        moved[k] = most > (tight_limit_pu if book.tight[k] else limit_pu)
        if moved[k]:
            count += 1
            for t in range(steps):
                v_dt_pu[k, t] = v_node_pu[i, t] if np.isfinite(v_node_pu[i, t]) else book.v0_pu[k, t]
    return count
