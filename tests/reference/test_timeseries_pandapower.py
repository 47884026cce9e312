"""Time series against `pandapower.runpp(tolerance_mva=1e-10)`, step by step.

Radial networks to 1e-8 pu and 1e-6 degrees, meshed ones to 1e-6 pu (in fact far nearer).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks as nw
import pandas as pd
import pytest

import twin
from tests.timeseries_cases import assert_agrees, long_form, solvers, swinging, two_feeders
from twin.timeseries.parts import NEWTON, SWEEP

pytestmark = pytest.mark.filterwarnings("ignore:tap_dependency_table is missing:DeprecationWarning")

STEPS = 4
RADIAL = {"v_pu": 1e-8, "degree": 1e-6}
MESHED = {"v_pu": 1e-6, "degree": 1e-4}


def cigre_mv_with_renewables() -> pp.pandapowerNet:
    return nw.create_cigre_network_mv(with_der="pv_wind")


def case33bw_reconfigured() -> pp.pandapowerNet:
    """Branches 7, 9, 14, 32 and 37 open, counted from 1 (Baran and Wu 1989): another tree of the same network."""
    net = nw.case33bw()
    net.line["in_service"] = True
    net.line.loc[[6, 8, 13, 31, 36], "in_service"] = False
    return net


def case33bw_with_ties() -> pp.pandapowerNet:
    net = nw.case33bw()
    net.line["in_service"] = True
    return net


@pytest.mark.parametrize(
    "build",
    [
        nw.case33bw,
        case33bw_reconfigured,
        nw.create_cigre_network_mv,
        cigre_mv_with_renewables,
        nw.create_cigre_network_lv,
        nw.mv_oberrhein,
        nw.create_kerber_landnetz_freileitung_1,
        nw.create_kerber_dorfnetz,
        nw.simple_mv_open_ring_net,
        nw.panda_four_load_branch,
    ],
)
def test_radial_networks(build: Callable[[], Any]) -> None:
    net = build()
    profiles = swinging(net, STEPS, np.random.default_rng(1), ("load", "sgen"))
    result = twin.run_timeseries(net, profiles)
    assert solvers(result) == {SWEEP}
    assert result.summary["failures"] == []
    assert_agrees(net, result, profiles, **RADIAL)


@pytest.mark.parametrize(
    "build",
    [
        nw.case9,
        nw.case14,
        nw.case30,
        nw.case39,
        nw.case57,
        nw.case118,
        nw.case300,
        nw.create_cigre_network_hv,
        nw.example_multivoltage,
        case33bw_with_ties,
    ],
)
def test_meshed_networks(build: Callable[[], Any]) -> None:
    net = build()
    profiles = swinging(net, STEPS, np.random.default_rng(2), ("load", "sgen", "gen"))
    result = twin.run_timeseries(net, profiles)
    assert NEWTON in solvers(result)
    assert result.summary["failures"] == []
    assert_agrees(net, result, profiles, **MESHED)


@pytest.mark.parametrize("solver", ["auto", "newton"])
def test_newton_and_sweep_agree_on_a_radial_network(solver: str) -> None:
    net = two_feeders()
    profiles = swinging(net, 9, np.random.default_rng(3), ("load",))
    assert_agrees(net, twin.run_timeseries(net, profiles, solver=solver), profiles, **RADIAL)


def shuffled(net: pp.pandapowerNet) -> None:
    rng = np.random.default_rng(4)
    new = rng.permutation(np.arange(100, 100 + 3 * len(net.bus)))[: len(net.bus)]
    pp.toolbox.reindex_buses(net, dict(zip(net.bus.index.tolist(), new.tolist(), strict=True)))
    for table in ("line", "load", "trafo"):
        pp.toolbox.reindex_elements(net, table, rng.permutation(np.arange(50, 50 + len(net[table]))).tolist())
    net.bus = net.bus.sample(frac=1, random_state=1)
    net.load = net.load.sample(frac=1, random_state=2)


def zip_loads(net: pp.pandapowerNet) -> None:
    for name, percent in (("z_p", 30.0), ("i_p", 20.0), ("z_q", 10.0), ("i_q", 60.0)):
        net.load[f"const_{name}_percent"] = percent


def every_element(net: pp.pandapowerNet) -> None:
    pp.create_shunt(net, 3, -0.5, 0.01, vn_kv=19.0)
    pp.create_ward(net, 4, 0.1, 0.1, 0.2, 0.1)
    pp.create_sgen(net, 6, 0.3, 0.0, scaling=0.7)
    pp.create_storage(net, 5, 0.1, 1.0)
    pp.create_motor(net, 4, 0.2, 0.9)
    pp.create_asymmetric_load(net, 6, 0.01, 0.02, 0.03, 0.01, 0.0, 0.01)
    pp.create_load(net, 4, 0.4, 0.1, in_service=False)
    pp.create_load(net, 4, 0.2, 0.1, scaling=0.5)


def impedances(net: pp.pandapowerNet) -> None:
    ends = pp.create_buses(net, 2, 20.0)
    pp.create_impedance(net, 4, ends[0], 0.01, 0.02, 1.0, rtf_pu=0.02, xtf_pu=0.03, bf_pu=0.1, gt_pu=0.01)
    pp.create_impedance(net, ends[1], 9, 0.01, 0.02, 1.0, rtf_pu=0.02, xtf_pu=0.03)
    pp.create_load(net, ends[0], 0.4, 0.1)
    pp.create_load(net, ends[1], 0.1, 0.1)


def three_windings(net: pp.pandapowerNet) -> None:
    high, low = pp.create_bus(net, 110.0), pp.create_bus(net, 10.0)
    net.ext_grid["bus"] = high
    pp.create_transformer3w(net, high, 0, low, "63/25/38 MVA 110/20/10 kV", tap_pos=2)
    pp.create_load(net, low, 5.0, 1.0)


def switches(net: pp.pandapowerNet) -> None:
    ends = pp.create_buses(net, 2, 20.0)
    pp.create_switch(net, 5, ends[0], "b")
    pp.create_switch(net, ends[0], ends[1], "b", z_ohm=0.1)
    pp.create_load(net, ends[1], 0.1, 0.05)
    pp.create_switch(net, 8, 7, "l", closed=False)  # leaves load 3 without supply, its line charged from one end
    net.bus.loc[4, "in_service"] = False


def parallels_and_taps(net: pp.pandapowerNet) -> None:
    pp.create_line(net, 2, 1, 3.0, PARALLEL_CABLE)
    pp.create_transformer(net, 2, 6, "0.4 MVA 20/0.4 kV", tap_pos=2, parallel=2)
    net.trafo["tap_pos"] = 2
    net.line.loc[3, "parallel"] = 3
    net.line.loc[7, "df"] = 0.5


PARALLEL_CABLE = "NA2XS2Y 1x185 RM/25 12/20 kV"


@pytest.mark.parametrize(
    "change", [shuffled, zip_loads, every_element, impedances, three_windings, switches, parallels_and_taps]
)
def test_elements_of_radial_networks(change: Callable[[Any], None]) -> None:
    net = two_feeders()
    change(net)
    profiles = swinging(net, 3, np.random.default_rng(5), ("load", "sgen", "storage"))
    result = twin.run_timeseries(net, profiles)
    assert solvers(result) <= {SWEEP, "none"}
    assert_agrees(net, result, profiles, **RADIAL)


def tie_with_zip(net: pp.pandapowerNet) -> None:
    pp.create_line(net, 5, 9, 3.0, "NAYY 4x150 SE")
    zip_loads(net)


def second_source(net: pp.pandapowerNet) -> None:
    pp.create_ext_grid(net, 5, vm_pu=1.0, va_degree=0.5)


def different_taps(net: pp.pandapowerNet) -> None:
    pp.create_transformer(net, 2, 6, "0.4 MVA 20/0.4 kV", tap_pos=1)


def generators(net: pp.pandapowerNet) -> None:
    pp.create_gen(net, 5, 0.1, vm_pu=1.0)
    pp.create_xward(net, 9, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2, 1.01)
    zip_loads(net)


def direct_current(net: pp.pandapowerNet) -> None:
    pp.create_dcline(net, 5, 9, 0.1, 1.0, 0.01, 1.01, 1.01)


@pytest.mark.parametrize("change", [tie_with_zip, second_source, different_taps, generators, direct_current])
def test_elements_of_other_networks(change: Callable[[Any], None]) -> None:
    net = two_feeders()
    change(net)
    profiles = swinging(net, 3, np.random.default_rng(6), ("load",))
    result = twin.run_timeseries(net, profiles)
    assert NEWTON in solvers(result)
    assert_agrees(net, result, profiles, **MESHED)


def test_profiles_of_all_kinds() -> None:
    net = two_feeders()
    pp.create_asymmetric_load(net, 6, 0.01, 0.02, 0.03, 0.01, 0.0, 0.01)
    pp.create_asymmetric_sgen(net, 4, 0.01, 0.02, 0.03, 0.01, 0.0, 0.01)
    pp.create_ward(net, 4, 0.1, 0.1, 0.2, 0.1)
    pp.create_xward(net, 9, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2, 1.01)
    pp.create_gen(net, 5, 0.1, vm_pu=1.01, scaling=0.5)
    rng = np.random.default_rng(7)
    rows = [
        long_form(name, [0], rng.uniform(0.01, 0.1, (3, 1)), rng.uniform(0.0, 0.05, (3, 1)))
        for name in ("load", "gen", "ward", "xward", "asymmetric_load", "asymmetric_sgen")
    ]
    profiles = pd.concat(rows)
    assert_agrees(net, twin.run_timeseries(net, profiles), profiles, **MESHED)


def test_what_only_pandapower_models_goes_to_pandapower() -> None:
    net = two_feeders()
    pp.create_svc(net, 4, 1.0, -10.0, 1.0, 90.0)
    profiles = swinging(net, 2, np.random.default_rng(8), ("load",))
    result = twin.run_timeseries(net, profiles)
    assert solvers(result) == {"pandapower"}
    assert "svc" in result.summary["parts"][0]["reason"]
    assert_agrees(net, result, profiles, v_pu=1e-9, degree=1e-7)


def test_reactive_limits_asked_for_in_the_network_are_kept() -> None:
    net = two_feeders()
    pp.create_gen(net, 5, 0.1, vm_pu=1.05, max_q_mvar=0.01, min_q_mvar=-0.01)
    net.user_pf_options.update(enforce_q_lims=True)
    result = twin.run_timeseries(net)
    assert solvers(result) == {"pandapower"}
    assert result.res_bus.column("vm_pu").to_numpy()[5] < 1.05


def test_loading_by_power() -> None:
    net = two_feeders()
    three_windings(net)
    net.user_pf_options.update(trafo_loading="power")
    assert_agrees(net, twin.run_timeseries(net), None, **RADIAL)
