"""Two-bus circuits that a formula solves, against the radial sweep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from twin.powerflow.radial import (
    NodeLoads,
    RadialOut,
    RadialTree,
    node_loads,
    radial_options,
    radial_out,
    radial_scratch,
    sweep,
)
from twin.units import KW_PER_MW
from twin.verification.case import Case, Row
from twin.verification.compare import Against

R_PU, X_PU, V0_PU = 0.02, 0.015, 1.02
TAN_PHI = 0.4
LEVELS = {"light": 0.1, "heavy": 0.7, "near the nose": 0.99}
"""Loads as a share of the largest that the line can carry."""
TOLERANCE_PU = 1e-12


def _solve(loads: NodeLoads, ratio: float = 1.0) -> RadialOut:
    tree = RadialTree(np.zeros(2, np.int32), np.array([0.0, R_PU]), np.array([0.0, X_PU]), np.zeros(2), np.zeros(2))
    steps = loads.used_kw.shape[1]
    out = radial_out(2, steps, 1)
    options = radial_options(TOLERANCE_PU, plain=200, most=250)
    turns = np.array([[1.0], [ratio]])
    sweep(tree, loads, np.full(steps, V0_PU), turns, np.zeros(2, np.uint8), options, radial_scratch(2), out)
    return out


def largest_load_pu() -> float:
    """P at the nose, from the discriminant: ``(2 (r + x t) P - V0^2)^2 = 4 |z|^2 (1 + t^2) P^2``."""
    drop, whole = R_PU + X_PU * TAN_PHI, np.hypot(R_PU, X_PU) * np.hypot(1.0, TAN_PHI)
    return float(V0_PU**2 / (2 * (drop + whole)))


def two_bus_v_pu(p_pu: float) -> float:
    """Upper root of ``V^4 + (2 (r P + x Q) - V0^2) V^2 + |z|^2 |S|^2 = 0``, textbook of power flow."""
    half = V0_PU**2 / 2 - (R_PU + X_PU * TAN_PHI) * p_pu
    square = (R_PU**2 + X_PU**2) * (1 + TAN_PHI**2) * p_pu**2
    return float(np.sqrt(half + np.sqrt(half**2 - square)))


def constant_power_rows() -> Iterator[Row]:
    """Voltage and loss by the quadratic formula."""
    against = Against("two-bus-power", "quadratic formula of one line with one constant-power load")
    for name, level in LEVELS.items():
        p = level * largest_load_pu()
        loads = node_loads(2, 1)
        loads.used_kw[1], loads.q_kvar[1] = p * KW_PER_MW, p * TAN_PHI * KW_PER_MW
        out, v = _solve(loads), two_bus_v_pu(p)
        loss_kw = R_PU * (1 + TAN_PHI**2) * p**2 / v**2 * KW_PER_MW
        # Near the nose the last sweep's change of 1e-12 leaves more of the voltage uncertain: sweeps shrink it slowly.
        tolerance = 1e-10 if level < 0.9 else 1e-9
        yield against.figure(f"voltage, {name}", out.v_pu[1, 0], v, tolerance, "pu")
        yield against.share(f"loss, {name}", out.loss_kw[0, 0], loss_kw, 100 * tolerance, "kW")


def constant_impedance_rows() -> Iterator[Row]:
    """A voltage divider behind an ideal transformer."""
    against = Against("two-bus-impedance", "voltage divider behind an ideal transformer of ratio 0.95")
    p, ratio = 3.0, 0.95
    loads = node_loads(2, 1)
    loads.used_kw[1], loads.q_kvar[1] = p * KW_PER_MW, p * TAN_PHI * KW_PER_MW
    loads.n_used[1], loads.n_q[1], loads.s[1] = 2.0, 2.0, 1.0
    out = _solve(loads, ratio)
    behind, load = V0_PU / ratio, 1 / (p * (1 - 1j * TAN_PHI))
    v = behind * load / (load + R_PU + 1j * X_PU)
    current = abs(v / load)
    yield against.figure("voltage", out.v_pu[1, 0], abs(v), 1e-10, "pu")
    yield against.share("loss", out.loss_kw[0, 0], R_PU * current**2 * KW_PER_MW, 1e-9, "kW")
    yield against.share("sent", out.p_head_kw[0], (p * abs(v) ** 2 + R_PU * current**2) * KW_PER_MW, 1e-9, "kW")


CASES = (
    Case(
        "two-bus-power", "hand solutions", "one line and one load, up to 99 % of the nose, against the closed formula",
        constant_power_rows,
    ),
    Case(
        "two-bus-impedance", "hand solutions", "a transformer, a line and a constant impedance, against Ohm's law",
        constant_impedance_rows,
    ),
)  # fmt: skip
