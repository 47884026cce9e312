"""The radial sweep against power-grid-model: 11 kV lines of the twin with charging and the DTs' no-load power."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.grid.rules import KV_11
from twin.grid.tables import FEEDER_CLASSES, conductors
from twin.powerflow.radial import RadialOut, constant_power, radial_options, radial_out, radial_scratch, sweep
from twin.units import KW_PER_MW
from twin.verification.case import Case, Row
from twin.verification.compare import Against
from twin.verification.coupling.tree import HOURS, BalancedFeeder, build_tree

FREQUENCY_HZ, HEAD_PU = 50.0, 1.0
STIFF_VA = 1e25
"""Short-circuit power of the reference's source: stiff down to rounding. [VA]"""
OHM_BASE = KV_11**2
NAME = "power-grid-model"


def longest_feeder() -> BalancedFeeder:
    """The rural mixed feeder with the most DTs in the synthesised tree."""
    rural = [f for f in build_tree().feeders if f.static.feeder_class == FEEDER_CLASSES.index("rural_mixed")]
    return max(rural, key=lambda feeder: len(feeder.static.dt_id))


def node_power_kw(feeder: BalancedFeeder) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Demand at 230 V of the consumers below every 11 kV node, taken as constant power. (n_nodes, steps)"""
    n, steps = len(feeder.static.line_km), len(HOURS)
    node = feeder.static.node_of_dt[feeder.static.dt]
    kw = feeder.kw[:, :steps].astype(np.float64)
    kvar = kw * feeder.zips[:, 3:].sum(axis=1, dtype=np.float64)[:, None]
    return tuple(  # type: ignore[return-value]
        np.array([np.bincount(node, weights=column, minlength=n) for column in part.T]).T for part in (kw, kvar)
    )


def rows() -> Iterator[Row]:
    """Voltages, losses and power of the feeder in all its steps."""
    feeder = longest_feeder()
    p_kw, q_kvar = node_power_kw(feeder)
    ours, theirs = solve_by_sweep(feeder, p_kw, q_kvar), solve_by_power_grid_model(feeder, p_kw, q_kvar)
    against = Against(NAME, "power-grid-model, newton_raphson, error tolerance 1e-12, batch of the same steps")
    yield against.worst("11 kV voltage", ours.v_pu, theirs["node"]["u_pu"].T, 1e-9, "pu")
    from_w, to_w = theirs["line"]["p_from"], theirs["line"]["p_to"]
    yield against.worst("line losses", ours.loss_kw[0], (from_w + to_w).sum(axis=1) / 1e3, 1e-5, "kW")
    yield against.worst("power from the PSS", ours.p_head_kw, theirs["source"]["p"][:, 0] / 1e3, 1e-5, "kW")
    yield against.worst(
        "reactive power from the PSS", ours.q_head_kvar, theirs["source"]["q"][:, 0] / 1e3, 1e-5, "kvar"
    )


def solve_by_sweep(feeder: BalancedFeeder, p_kw: NDArray[np.float64], q_kvar: NDArray[np.float64]) -> RadialOut:
    """Ours."""
    tree, (n, steps) = feeder.net.tree, p_kw.shape
    out = radial_out(n, steps, 1)
    sweep(
        tree, constant_power(p_kw, q_kvar), np.full(steps, HEAD_PU), feeder.net.ratio, feeder.net.branch_class,
        radial_options(1e-12), radial_scratch(n), out,
    )  # fmt: skip
    return out


def solve_by_power_grid_model(
    feeder: BalancedFeeder, p_kw: NDArray[np.float64], q_kvar: NDArray[np.float64]
) -> dict[str, Any]:
    """The same network in ohm and farad."""
    from power_grid_model import CalculationMethod, PowerGridModel, initialize_array

    n, steps = p_kw.shape
    model = PowerGridModel(_components(feeder), system_frequency=FREQUENCY_HZ)
    update = initialize_array("update", "sym_load", (steps, n))
    update["id"] = _ids(n)["sym_load"]
    update["p_specified"], update["q_specified"] = 1e3 * p_kw.T, 1e3 * q_kvar.T
    found = model.calculate_power_flow(
        update_data={"sym_load": update}, symmetric=True, error_tolerance=1e-12, max_iterations=50,
        calculation_method=CalculationMethod.newton_raphson,
    )  # fmt: skip
    return dict(found)


def _ids(n: int) -> dict[str, NDArray[np.int32]]:
    """Ids are unique over all components."""
    kinds = ("node", "sym_load", "shunt", "line", "source")
    return {kind: np.arange(n, dtype=np.int32) + position * n for position, kind in enumerate(kinds)}


def _components(feeder: BalancedFeeder) -> dict[str, Any]:
    from power_grid_model import LoadGenType, initialize_array

    static, n = feeder.static, len(feeder.static.line_km)
    ids = _ids(n)

    def table(kind: str, size: int, **columns: Any) -> Any:
        rows = initialize_array("input", kind, size)
        rows["id"] = ids[kind][:size]
        for name, values in columns.items():
            rows[name] = values
        return rows

    codes = [conductors()[code] for code in static.conductor[1:]]
    km = static.line_km[1:]
    b_no_load = np.bincount(static.node_of_dt, weights=static.lv.magnetising_kvar, minlength=n) / KW_PER_MW / OHM_BASE
    g_no_load = np.bincount(static.node_of_dt, weights=static.lv.iron_kw, minlength=n) / KW_PER_MW / OHM_BASE
    return {
        "node": table("node", n, u_rated=1e3 * KV_11),
        "line": table(
            "line", n - 1, from_node=static.tree.parent[1:], to_node=np.arange(1, n), from_status=1, to_status=1,
            r1=[row.r_working_ohm_km for row in codes] * km, x1=[row.x_ohm_km for row in codes] * km,
            c1=[(row.b_us_km or 0.0) * 1e-6 / (2 * np.pi * FREQUENCY_HZ) for row in codes] * km, tan1=0.0,
        ),
        "shunt": table("shunt", n, node=np.arange(n), status=1, g1=g_no_load, b1=-b_no_load),
        "sym_load": table(
            "sym_load", n, node=np.arange(n), status=1, type=LoadGenType.const_power, p_specified=0.0, q_specified=0.0
        ),
        "source": table("source", 1, node=0, status=1, u_ref=HEAD_PU, sk=STIFF_VA),
    }  # fmt: skip


CASES = (
    Case(
        NAME, "other engines", "the longest rural 11 kV line of the synthesised tree against power-grid-model", rows,
        ("power_grid_model",),
    ),
)  # fmt: skip
