"""Pandapower networks and comparisons for the tests of the time series."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from numpy.typing import NDArray

from twin.timeseries import TimeseriesResult
from twin.timeseries.pandapower_runs import set_step, solve_one
from twin.timeseries.profiles import read_profiles

CABLE = "NAYY 4x150 SE"
TRAFO = "0.4 MVA 20/0.4 kV"


def two_feeders() -> pp.pandapowerNet:
    """A 20 kV bus bar with two feeders: six buses and a transformer (loads 0 to 2), and three buses (load 3)."""
    net = pp.create_empty_network()
    first = [int(bus) for bus in pp.create_buses(net, 6, 20.0)]
    lv = int(pp.create_bus(net, 0.4))
    pp.create_ext_grid(net, first[0], vm_pu=1.02)
    for a, b in zip(first[:-1], first[1:], strict=True):
        pp.create_line(net, a, b, 1.0, CABLE)
    pp.create_load(net, first[3], 0.5, 0.1)
    pp.create_load(net, first[5], 0.1, 0.0)
    pp.create_transformer(net, first[2], lv, TRAFO)
    pp.create_load(net, lv, 0.1, 0.05)
    second = [first[0], *(int(bus) for bus in pp.create_buses(net, 3, 20.0))]
    for a, b in zip(second[:-1], second[1:], strict=True):
        pp.create_line(net, a, b, 2.0, CABLE)
    pp.create_load(net, second[-1], 0.3, 0.1)
    return net


FIRST_FEEDER, SECOND_FEEDER = [1, 2, 3, 4, 5, 6], [7, 8, 9]


def long_form(element: str, index: Any, p_mw: NDArray[np.float64], q_mvar: NDArray[np.float64]) -> pd.DataFrame:
    """Rows of elements ``index`` (n,) with powers (steps, n)."""
    steps = np.arange(len(p_mw))
    return pd.DataFrame(
        {
            "step": np.repeat(steps, len(index)),
            "element": element,
            "index": np.tile(np.asarray(index, dtype=np.int64), len(steps)),
            "p_mw": p_mw.ravel(),
            "q_mvar": q_mvar.ravel(),
        }
    )


def swinging(net: pp.pandapowerNet, steps: int, rng: np.random.Generator, elements: tuple[str, ...]) -> pd.DataFrame:
    """Each element's table value times 0.5 to 1.1, step by step."""
    parts = []
    for name in elements:
        table = net[name]
        if len(table):
            share = rng.uniform(0.5, 1.1, (steps, len(table)))
            q = table.q_mvar.to_numpy() if "q_mvar" in table else np.zeros(len(table))
            parts.append(long_form(name, table.index, share * table.p_mw.to_numpy(), share * q))
    return pd.concat(parts)


def column(table: Any, name: str, steps: int) -> NDArray[np.float64]:
    """A result column as (steps, elements)."""
    return table.column(name).to_numpy().reshape(steps, -1)


def assert_agrees(
    net: pp.pandapowerNet, result: TimeseriesResult, profiles: Any, *, v_pu: float, degree: float, flow: float = 1e-6
) -> None:
    """Every step against `pandapower.runpp` to 1e-10 MVA (1e-8 where rounding forbids that), NaN where it has NaN.

    ``flow``: tolerance of powers and loadings, relative and absolute.
    """
    read, work = read_profiles(profiles, net), copy.deepcopy(net)
    for step in range(len(read.steps)):
        set_step(work, read, step)
        assert solve_one(work), f"pandapower does not solve step {step}"
        for name, table in result.tables():
            for what in table.column_names[2:]:
                ours = column(table, what, len(read.steps))[step]
                theirs = work[name][what].to_numpy(dtype=float)
                context = f"{name}.{what} in step {step}"
                if what == "va_degree":
                    ours = theirs + (ours - theirs + 180.0) % 360.0 - 180.0
                most = {"vm_pu": v_pu, "va_degree": degree}.get(what)
                if most is None:
                    np.testing.assert_allclose(ours, theirs, rtol=flow, atol=flow, err_msg=context)
                else:
                    np.testing.assert_allclose(ours, theirs, rtol=0, atol=most, err_msg=context)


def solvers(result: TimeseriesResult) -> set[str]:
    """The solvers that a result's parts were given to."""
    return {part["solver"] for part in result.summary["parts"]}


def causes(result: TimeseriesResult) -> dict[int, tuple[str, list[int]]]:
    """Cause and steps of failure by part."""
    return {row["part"]: (row["cause"], row["steps"]) for row in result.summary["failures"]}
