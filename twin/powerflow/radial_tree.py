"""Arrays of the radial solver: a tree, the loads at its nodes, options, working memory and results. Per unit on 1 MVA.

Node 0 is the head (a stiff source), ``parent[i] < i``. Branch i joins the parent of node i to node i through an ideal
transformer at the parent's side and an impedance::

    V_i = V_parent / ratio_i - (r_i + j x_i) I_i        I at the parent's side is I_i / ratio_i

Shunts stand at nodes and draw ``(g - j b) |V|**2``: b is positive for line charging, negative for magnetising.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import aligned

W = 8
"""Steps that the kernel carries at once."""
MOST_CLASSES = 256
"""Classes of branches that a byte can tell apart."""

OK, NOT_CONVERGED, NOT_FINITE = 0, 1, 2
"""Status of a state: solved; no solution found; input or result not a number."""


class RadialTree(NamedTuple):
    """A radial network, node i with the branch to its parent. Per unit on 1 MVA."""

    parent: NDArray[np.int32]
    """Upstream node, below the node's own number; ``parent[0]`` is not read. [n]"""
    r_pu: NDArray[np.float64]
    """Series resistance. [n]"""
    x_pu: NDArray[np.float64]
    """Series reactance. [n]"""
    b_pu: NDArray[np.float64]
    """All shunt susceptance at the node, positive capacitive: half of the charging of each line, magnetising. [n]"""
    g_pu: NDArray[np.float64]
    """All shunt conductance at the node: transformers' iron. [n]"""


class NodeLoads(NamedTuple):
    """Loads at nodes with their dependence on voltage, each of shape [n, steps]; x = V / v0 - 1.

    ``P = used (1 + n_used x + s x**2) + loss (1 + x)**n_loss`` and ``Q = q (1 + n_q x + s x**2)``, the power as its
    binomial series to the third order (relative error of the loss about ``(n x)**4 / 24``).
    """

    used_kw: NDArray[np.float64]
    loss_kw: NDArray[np.float64]
    q_kvar: NDArray[np.float64]
    v0_pu: NDArray[np.float64]
    """Never 0, also where there is no load."""
    n_used: NDArray[np.float64]
    n_loss: NDArray[np.float64]
    n_q: NDArray[np.float64]
    s: NDArray[np.float64]


class RadialOptions(NamedTuple):
    """How the sweep iterates."""

    tolerance: float
    """Largest change of a voltage's real or imaginary part in the last sweep. [pu]"""
    plain: int
    """Sweeps before damping may begin."""
    most: int
    """Sweeps before a state counts as not converged."""


class RadialScratch(NamedTuple):
    """Working memory of one thread; nothing in it outlives a call."""

    coefficients: NDArray[np.float64]
    """Load polynomials of the bundle: 4 of P, 3 of Q, 1 / v0. [n * 8 * W]"""
    voltage: NDArray[np.float64]
    """re, im. [n * 2 * W]"""
    current: NDArray[np.float64]
    """Into the node through its branch: re, im. [n * 2 * W]"""
    ratio: NDArray[np.float64]
    """One over the ratio of each branch. [n * W]"""
    lane: NDArray[np.float64]
    """Per lane: head voltage, change, previous change, weight. [4 * W]"""
    lane_sweeps: NDArray[np.uint8]
    """Sweeps made per lane. [W]"""
    row: NDArray[np.float64]
    """Two bundles of a result. [2 * W]"""
    sums: NDArray[np.float64]
    """Sums over the nodes: loads, losses, then two bundles per class. [(2 + 2 * MOST_CLASSES) * W]"""


class RadialOut(NamedTuple):
    """Results; NaN where the status is not `OK`. Rows beyond the tree's nodes stay as they are."""

    v_pu: NDArray[np.float64]
    """Voltage magnitude. [n, steps]"""
    v_re_pu: NDArray[np.float64]
    """Real part, the head at angle 0. [n, steps]"""
    v_im_pu: NDArray[np.float64]
    """Imaginary part. [n, steps]"""
    i_pu: NDArray[np.float64]
    """Current in the series impedance of branch i, of the base current at the node's side. [n, steps]"""
    p_head_kw: NDArray[np.float64]
    """Active power from the source. [steps]"""
    q_head_kvar: NDArray[np.float64]
    """Reactive power from the source. [steps]"""
    loss_kw: NDArray[np.float64]
    """``r |I|**2`` of the branches by class. [n_classes, steps]"""
    shunt_kw: NDArray[np.float64]
    """``g |V|**2`` of the nodes by their branch's class. [n_classes, steps]"""
    load_kw: NDArray[np.float64]
    """Loads at the solved voltage. [steps]"""
    closure: NDArray[np.float64]
    """``|head - loads - losses - shunts| / |head|``. [steps]"""
    sweeps: NDArray[np.uint8]
    """Sweeps made. [steps]"""
    status: NDArray[np.uint8]
    """`OK`, `NOT_CONVERGED` or `NOT_FINITE`. [steps]"""


def radial_options(tolerance: float = 1e-8, plain: int = 50, most: int = 150) -> RadialOptions:
    """Defaults: 1e-8 pu, damping from sweep 50, given up after 150 (most is below 256)."""
    return RadialOptions(tolerance, plain, most)


def radial_scratch(n_nodes: int) -> RadialScratch:
    """Working memory for trees of at most ``n_nodes``."""
    return RadialScratch(
        coefficients=aligned(n_nodes * 8 * W, np.float64),
        voltage=aligned(n_nodes * 2 * W, np.float64),
        current=aligned(n_nodes * 2 * W, np.float64),
        ratio=aligned(n_nodes * W, np.float64),
        lane=aligned(4 * W, np.float64),
        lane_sweeps=np.zeros(W, np.uint8),
        row=aligned(2 * W, np.float64),
        sums=aligned((2 + 2 * MOST_CLASSES) * W, np.float64),
    )


def radial_out(n_nodes: int, steps: int, n_classes: int) -> RadialOut:
    """Room for the results of trees of at most ``n_nodes``."""
    nodes, classes = (n_nodes, steps), (n_classes, steps)
    shapes: dict[str, Any] = {"loss_kw": classes, "shunt_kw": classes}
    shapes |= dict.fromkeys(("v_pu", "v_re_pu", "v_im_pu", "i_pu"), nodes)
    whole = {"sweeps", "status"}
    return RadialOut(
        *(np.zeros(shapes.get(name, steps), np.uint8 if name in whole else np.float64) for name in RadialOut._fields)
    )


def node_loads(n_nodes: int, steps: int) -> NodeLoads:
    """No load at any node, about 1 pu."""
    columns = [np.zeros((n_nodes, steps)) for _ in NodeLoads._fields]
    columns[NodeLoads._fields.index("v0_pu")][:] = 1.0
    return NodeLoads(*columns)


def constant_power(p_kw: NDArray[np.float64], q_kvar: NDArray[np.float64]) -> NodeLoads:
    """Loads of shape [n, steps] that do not depend on voltage; the two arrays are not copied."""
    empty = node_loads(*p_kw.shape)
    return empty._replace(used_kw=np.ascontiguousarray(p_kw), q_kvar=np.ascontiguousarray(q_kvar))


def va_degree(out: RadialOut) -> NDArray[np.float64]:
    """Voltage angles against the head. [degree], shape of ``out.v_pu``."""
    return np.degrees(np.arctan2(out.v_im_pu, out.v_re_pu))
