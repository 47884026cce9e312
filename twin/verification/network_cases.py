"""Public networks through `twin.run_timeseries` against `pandapower.runpp`, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks
import pandas as pd
from numpy.typing import NDArray

from twin.timeseries import TimeseriesResult, run_timeseries
from twin.units import KW_PER_MW
from twin.verification.case import Case, Row
from twin.verification.compare import Against

TOLERANCE_MVA = 1e-10
RUNPP = "pandapower.runpp(tolerance_mva=1e-10), step by step"
RADIAL = {"vm_pu": 1e-8, "va_degree": 1e-6, "loss": 1e-6, "loading_percent": 1e-5}
MESHED = {"vm_pu": 1e-6, "va_degree": 1e-4, "loss": 1e-5, "loading_percent": 1e-3}
"""Tolerances: pu, degree, share of the losses, percent of the rating."""
STEPS_PER_DAY = 96


def cigre_mv(*, meshed: bool) -> tuple[pp.pandapowerNet, None]:
    """CIGRE's European MV benchmark with its generators; its three ring switches open as drawn, or closed."""
    net = pandapower.networks.create_cigre_network_mv(with_der="pv_wind")
    if meshed:
        net.switch["closed"] = True
    return net, None


def cigre_lv() -> tuple[pp.pandapowerNet, None]:
    """CIGRE's European LV benchmark: residential, industrial and commercial feeders."""
    return pandapower.networks.create_cigre_network_lv(), None


def simbench_days(code: str, days: int) -> tuple[pp.pandapowerNet, pd.DataFrame]:
    """A SimBench network with the first days of its own profiles, in long form."""
    import simbench

    net = simbench.get_simbench_net(code)
    values = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    steps = days * STEPS_PER_DAY
    parts = []
    for element in ("load", "sgen", "gen", "storage"):
        p = values.get((element, "p_mw"), pd.DataFrame()).iloc[:steps]
        if p.shape[1]:
            whole, table = p.columns.to_numpy(np.int64), net[element]
            q = values.get((element, "q_mvar"))  # without a profile the table's value stays
            fixed = table.q_mvar[whole] if "q_mvar" in table else np.zeros(len(whole))
            q_mvar = np.tile(fixed, (steps, 1)) if q is None else q[p.columns].iloc[:steps].to_numpy()
            columns: dict[str, Any] = {"step": np.repeat(np.arange(steps), len(whole)), "index": np.tile(whole, steps)}
            columns |= {"element": element, "p_mw": p.to_numpy().ravel(), "q_mvar": q_mvar.ravel()}
            parts.append(pd.DataFrame(columns))
    return net, pd.concat(parts, ignore_index=True)


def rows(
    name: str, build: Callable[[], tuple[pp.pandapowerNet, pd.DataFrame | None]], tolerance: dict[str, float]
) -> Iterator[Row]:
    """Voltages and angles of all buses, loadings and losses of all branches, at all steps."""
    net, profiles = build()
    result = run_timeseries(net, profiles)
    theirs = solve_by_pandapower(net, profiles)
    solvers = sorted({part["solver"] for part in result.summary["parts"]})
    steps = 1 if profiles is None else profiles.step.nunique()
    against = Against(name, f"{RUNPP}; ours by {', '.join(solvers)}, {steps} steps")
    yield from compare(against, result, theirs, tolerance)


def compare(
    against: Against, result: TimeseriesResult, theirs: dict[str, NDArray[np.float64]], tolerance: dict[str, float]
) -> Iterator[Row]:
    """Rows of one network; a bus without supply counts as agreed if both sides have no figure for it."""
    ours = {f"bus {name}": result.res_bus[name].to_numpy() for name in ("vm_pu", "va_degree")}
    ours |= {
        f"{kind} loading": getattr(result, f"res_{kind}")["loading_percent"].to_numpy() for kind in ("line", "trafo")
    }
    pl_mw = [getattr(result, f"res_{kind}")["pl_mw"].to_numpy() for kind in ("line", "trafo")]
    for quantity, key, unit in (
        ("bus vm_pu", "vm_pu", "pu"), ("bus va_degree", "va_degree", "degree"),
        ("line loading", "loading_percent", "percent"), ("trafo loading", "loading_percent", "percent"),
    ):  # fmt: skip
        mine, other = ours[quantity], theirs[quantity]
        both = np.isfinite(mine) | np.isfinite(other)
        if both.any():
            yield against.worst(quantity, mine[both], other[both], tolerance[key], unit)
    loss_kw = KW_PER_MW * sum(float(np.nansum(column)) for column in pl_mw)
    reference_kw = KW_PER_MW * float(np.nansum(theirs["loss"]))
    yield against.share("losses, sum over steps", loss_kw, reference_kw, tolerance["loss"], "kW")


def solve_by_pandapower(net: pp.pandapowerNet, profiles: pd.DataFrame | None) -> dict[str, NDArray[np.float64]]:
    """The same quantities from ``runpp``, steps one after the other."""
    net = pp.pandapowerNet(net)
    found: dict[str, list[Any]] = {
        key: [] for key in ("bus vm_pu", "bus va_degree", "line loading", "trafo loading", "loss")
    }
    parts = [None] if profiles is None else [part for _, part in profiles.groupby("step")]
    for part in parts:
        if part is not None:
            for element, values in part.groupby("element"):
                columns = [name for name in ("p_mw", "q_mvar") if name in net[element]]
                net[element].loc[values["index"], columns] = values[columns].to_numpy()
        pp.runpp(net, tolerance_mva=TOLERANCE_MVA, calculate_voltage_angles=True, lightsim2grid=False)
        found["bus vm_pu"].append(net.res_bus.vm_pu.to_numpy())
        found["bus va_degree"].append(net.res_bus.va_degree.to_numpy())
        found["line loading"].append(net.res_line.loading_percent.to_numpy())
        found["trafo loading"].append(net.res_trafo.loading_percent.to_numpy())
        found["loss"].append(np.concatenate([net.res_line.pl_mw, net.res_trafo.pl_mw]))
    return {key: np.concatenate(parts).astype(np.float64) for key, parts in found.items()}


def _case(
    name: str, about: str, build: Callable[[], Any], tolerance: dict[str, float], needs: tuple[str, ...] = ()
) -> Case:
    return Case(name, "public networks", about, partial(rows, name, build, tolerance), needs)


CASES = (
    _case(
        "cigre-mv", "CIGRE MV benchmark with wind and sun, rings open, against runpp", partial(cigre_mv, meshed=False),
        RADIAL,
    ),
    _case("cigre-mv-meshed", "the same with its rings closed", partial(cigre_mv, meshed=True), MESHED),
    _case("cigre-lv", "CIGRE LV benchmark against runpp", cigre_lv, RADIAL),
    _case(
        "simbench-lv", "SimBench 1-LV-rural1--0-sw, two days of its profiles, against runpp",
        partial(simbench_days, "1-LV-rural1--0-sw", 2), RADIAL, ("simbench",),
    ),
    _case(
        "simbench-mv", "SimBench 1-MV-rural--0-sw, a day of its profiles, against runpp",
        partial(simbench_days, "1-MV-rural--0-sw", 1), RADIAL, ("simbench",),
    ),
)  # fmt: skip
