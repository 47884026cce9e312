"""One 11 kV feeder of the twin solved by OpenDSS, all three phases from the PSS to every consumer.

`twin.grid.export_opendss_feeder` writes it, and says how it is represented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.errors import NetworkError, Problem
from twin.grid.export_opendss_feeder import OPTIONS, commands, legs
from twin.grid.feeder import FeederStatic
from twin.grid.rules import KV_11
from twin.units import KW_PER_MW, LV_BASE_V


@dataclass(frozen=True)
class ThreePhaseResult:
    """What OpenDSS finds; magnitudes in pu of 11 kV and of 250 V."""

    v_line_pu: NDArray[np.float64]
    """Voltages between phases at the DTs' 11 kV nodes: ab, bc, ca. [n_dt, 3]"""
    v_positive_pu: NDArray[np.float64]
    """Positive-sequence voltage there. [n_dt]"""
    v_negative_pu: NDArray[np.float64]
    """Negative-sequence voltage there. [n_dt]"""
    v_lowest_pu: NDArray[np.float64]
    """Lowest voltage at a consumer of each DT. [n_dt]"""
    loss_kw: dict[str, float]
    """``11 kV``, ``DT`` (with iron), ``LV`` (with services)."""
    sent_kw: float
    sent_kvar: float


def solve(
    static: FeederStatic, kw: NDArray[np.float32], zips: NDArray[np.float32], v_head_pu: float, *, flat: bool
) -> ThreePhaseResult:
    """Solve the feeder in OpenDSS at a balanced head voltage; arguments as for `commands`.

    Raises
    ------
    NetworkError
        If OpenDSS finds no solution.
    """
    import opendssdirect as dss

    for command in commands(static, kw, zips, v_head_pu, flat=flat):
        dss.Text.Command(command)
    for command in OPTIONS:
        dss.Text.Command(command)
    dss.Text.Command("solve")
    if not dss.Solution.Converged():
        raise NetworkError([Problem("OpenDSS", "", "no solution of the feeder", "look at its voltages")])
    return _results(dss, static, kw)


def _results(dss: Any, static: FeederStatic, kw: NDArray[np.float32]) -> ThreePhaseResult:
    volts = np.asarray(dss.Circuit.AllBusVolts()).view(np.complex128)
    at = dict(zip((name.lower() for name in dss.Circuit.AllNodeNames()), volts, strict=True))
    phases = np.array([[at[f"n{node}.{p}"] for p in (1, 2, 3)] for node in static.node_of_dt])
    base = KV_11 * 1000.0 / np.sqrt(3.0)
    turn = np.exp(2j * np.pi / 3)
    leg_pu = np.array([abs(at[node]) for _, _, node, _ in legs(static, kw.astype(np.float64))]) / LV_BASE_V
    sent = -np.asarray(dss.Circuit.TotalPower())
    return ThreePhaseResult(
        v_line_pu=np.abs(phases - np.roll(phases, -1, axis=1)) / (KV_11 * 1000.0),
        v_positive_pu=np.abs(phases @ np.array([1, turn, turn**2])) / 3 / base,
        v_negative_pu=np.abs(phases @ np.array([1, turn**2, turn])) / 3 / base,
        v_lowest_pu=np.minimum.reduceat(leg_pu, static.lv.dt_leg_ptr[:-1]),
        loss_kw=_losses(dss),
        sent_kw=float(sent[0]),
        sent_kvar=float(sent[1]),
    )


def _losses(dss: Any) -> dict[str, float]:
    """Losses by level from the elements; the DTs' iron is a load by its first letter."""
    names = [name.lower() for name in dss.Circuit.AllElementNames()]
    watts = np.asarray(dss.Circuit.AllElementLosses()).view(np.complex128).real * KW_PER_MW
    level = {"line.m": "11 kV", "transformer.t": "DT", "line.s": "LV", "line.v": "LV"}
    out = dict.fromkeys(("11 kV", "DT", "LV"), 0.0)
    for name, loss in zip(names, watts, strict=True):
        kind, _, rest = name.partition(".")
        key = level.get(f"{kind}.{rest[:1]}")
        if key is not None:
            out[key] += loss / KW_PER_MW
    for name in names:
        if name.startswith("load.i"):
            dss.Circuit.SetActiveElement(name)
            out["DT"] += float(sum(dss.CktElement.Powers()[0::2]))
    return out
