"""Arrays of the radial trees below the grid substations (GSS): structure, loads, controls, results."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
SWEEP_OK, SWEEP_DIVERGED, CONTROLS_UNSETTLED = 0, 1, 2
"""Status of a tree at a step."""


class Trees(NamedTuple):
    """All trees one after the other; node arrays have shape (n_nodes,), GSS arrays (n_gss,).

    A branch is any two-port of pandapower's models in chain form, ``v_node = k/a v_parent - z i_node`` and
    ``i_parent = c/a^2 v_parent + d/a i_node``, with ``a = 1 + tap * step`` the ratio at the parent's side.
    """

    ptr: NDArray[np.int32]
    """Nodes of GSS g are ``ptr[g]:ptr[g + 1]``: head (132 kV bus), 33 kV bus, PSS; parents first. [n_gss + 1]"""
    parent: NDArray[np.int32]
    """Node upstream; -1 at a head."""
    pss: NDArray[np.int32]
    """PSS of a node, -1 at the head and the 33 kV bus."""
    is_11: NDArray[np.bool_]
    """True at the 11 kV bus of a PSS, False at its 33 kV node."""
    k: ComplexArray
    """[-]"""
    z: ComplexArray
    """[pu]"""
    c: ComplexArray
    """[pu]"""
    d: ComplexArray
    """[-]"""
    gss_rating: FloatArray
    """Of all transformers of a GSS. [pu]"""
    node_11: NDArray[np.int32]
    """Node of the 11 kV bus of each PSS. [n_pss]"""


class StepSizes(NamedTuple):
    """What one step of position changes."""

    tap: float
    """Ratio. [-]"""
    capacitor: float
    """Susceptance at 33 kV. [pu]"""
    reactor: float
    """Susceptance at 132 kV and above, below 0. [pu]"""


class Loads(NamedTuple):
    """Loads of all PSS, shape (n_pss, steps): at 11 kV ``P = p (V/v0)^n_p`` and likewise Q, at 33 kV constant. [pu]"""

    p: FloatArray
    q: FloatArray
    n_p: FloatArray
    n_q: FloatArray
    v0: FloatArray
    p_33: FloatArray
    q_33: FloatArray


class Positions(NamedTuple):
    """Positions by step: (n_gss, steps), (n_gss, steps), (n_pss, steps), (n_reactors, steps).

    A higher tap lowers the voltage.
    """

    gss_tap: NDArray[np.int8]
    capacitor: NDArray[np.int8]
    pss_tap: NDArray[np.int8]
    reactor: NDArray[np.int8]


class Waits(NamedTuple):
    """For how many steps a quantity has been above (below: negative) its band, by device as in `Positions`. (n,)"""

    gss_tap: NDArray[np.int16]
    capacitor: NDArray[np.int16]
    pss_tap: NDArray[np.int16]
    reactor: NDArray[np.int16]


class SweepOut(NamedTuple):
    """Results of the trees, (n_gss, steps) unless said; power in pu, toward the consumer."""

    v_re: FloatArray
    """Voltages (n_nodes, steps), the head at angle 0; NaN without solution. The start of the next call."""
    v_im: FloatArray
    p_head: FloatArray
    """Into the GSS transformers at 132 kV."""
    q_head: FloatArray
    p_33: FloatArray
    """Into the 33 kV bus."""
    q_33: FloatArray
    """Into the 33 kV bus, what its capacitors supply already taken off."""
    loading: FloatArray
    """Of the GSS transformers, by current. [-]"""
    loss_gss: FloatArray
    """In the GSS transformers."""
    loss_33: FloatArray
    """In 33 kV lines and PSS transformers."""
    load: FloatArray
    """Of all loads at their solved voltage."""
    slope_p: FloatArray
    """``dP / d ln V`` at the head from loads, without losses."""
    slope_q: FloatArray
    """``dQ / d ln V`` at the head from loads and capacitors, without losses."""
    status: NDArray[np.uint8]


def sweep_out(trees: Trees, steps: int) -> SweepOut:
    """Empty results; voltages start as NaN, which makes the first call start without any current."""
    n_gss = len(trees.ptr) - 1
    dtypes = dict.fromkeys(SweepOut._fields, np.float64) | {"status": np.uint8}
    columns: dict[str, Any] = {name: np.zeros((n_gss, steps), dtype=dtype) for name, dtype in dtypes.items()}
    columns["v_re"], columns["v_im"] = (np.full((len(trees.parent), steps), np.nan) for _ in range(2))
    return SweepOut(**columns)


def first_steps(out: SweepOut, steps: int) -> SweepOut:
    """Views of the first steps of padded results."""
    parts: Any = (part[:, :steps] for part in out)
    return SweepOut(*parts)
