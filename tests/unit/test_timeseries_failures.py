"""What has no solution gets a name, per part and step, and changes no bit of the rest."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

import twin
from tests.timeseries_cases import FIRST_FEEDER, SECOND_FEEDER, causes, column, long_form, two_feeders
from twin.errors import NetworkError
from twin.timeseries import TimeseriesResult
from twin.timeseries.compiled import compile_network
from twin.timeseries.defects import (
    BACKWARDS,
    COLLAPSE,
    CONTRADICTORY,
    ISLAND,
    NEGATIVE_IMPEDANCE,
    NOT_A_NUMBER,
    ZERO_IMPEDANCE,
)
from twin.timeseries.injections import base_case
from twin.timeseries.parts import cut
from twin.timeseries.profiles import read_profiles
from twin.timeseries.solver import Solver

STEPS = 20


def day(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return long_form("load", range(4), rng.uniform(0.05, 0.4, (STEPS, 4)), rng.uniform(0.0, 0.1, (STEPS, 4)))


def with_value(rows: pd.DataFrame, step: int, index: int, p_mw: float) -> pd.DataFrame:
    rows = rows.copy()
    rows.loc[(rows["step"] == step) & (rows["index"] == index), "p_mw"] = p_mw
    return rows


def meshed() -> pp.pandapowerNet:
    net = two_feeders()
    pp.create_line(net, 3, 5, 3.0, "NAYY 4x150 SE")
    return net


def values(result: TimeseriesResult) -> list[np.ndarray]:
    return [column(t, name, result.summary["n_steps"]) for _, t in result.tables() for name in t.column_names[2:]]


@pytest.mark.parametrize("build", [two_feeders, meshed])
@pytest.mark.parametrize(("p_mw", "cause"), [(500.0, COLLAPSE), (np.nan, NOT_A_NUMBER), (np.inf, NOT_A_NUMBER)])
def test_a_failed_state_changes_no_bit_elsewhere(build: Callable[[], Any], p_mw: float, cause: str) -> None:
    net = build()
    sound = twin.run_timeseries(net, day())
    hurt = twin.run_timeseries(net, with_value(day(), 5, 0, p_mw))
    assert sound.summary["failures"] == []
    assert causes(hurt) == {0: (cause, [5])}
    assert [step for step, status in enumerate(hurt.summary["status"]) if status == "failed"] == [5]
    for before, after in zip(values(sound), values(hurt), strict=True):
        np.testing.assert_array_equal(np.delete(before, 5, axis=0), np.delete(after, 5, axis=0))
    v = column(hurt.res_bus, "vm_pu", STEPS)[5]
    assert np.isnan(v[FIRST_FEEDER]).all()
    np.testing.assert_array_equal(v[SECOND_FEEDER], column(sound.res_bus, "vm_pu", STEPS)[5, SECOND_FEEDER])


@pytest.mark.parametrize("build", [two_feeders, meshed])
def test_the_first_step_may_fail_too(build: Callable[[], Any]) -> None:
    sound, hurt = (twin.run_timeseries(build(), rows) for rows in (day(), with_value(day(), 0, 1, 400.0)))
    for before, after in zip(values(sound), values(hurt), strict=True):
        np.testing.assert_array_equal(before[1:], after[1:])


def test_a_state_alone_has_the_bits_it_has_among_others() -> None:
    together = twin.run_timeseries(two_feeders(), day())
    for step in (0, 7, 19):
        rows = day()
        alone = twin.run_timeseries(two_feeders(), rows[rows["step"] == step])
        for many, one in zip(values(together), values(alone), strict=True):
            np.testing.assert_array_equal(many[step], one[0])


def test_a_state_that_the_sweep_does_not_finish_goes_to_newton() -> None:
    """At the nose of the first feeder, where sweeps hardly converge: the largest load that Newton still solves."""
    net, low, high = two_feeders(), 1.0, 500.0
    read = read_profiles(with_value(day(), 0, 0, low)[:4], net)
    case = compile_network(net, read)
    solver = Solver(case, cut(case, "newton"), read, fallback=True)
    load, _ = base_case(case)
    part = solver.cut.parts[0]
    for _ in range(40):
        middle = 0.5 * (low + high)
        load[case.elements["load"].bus[0]] = middle
        at_others = read.elements["load"].p_mw[1:, 0] + 1j * read.elements["load"].q_mvar[1:, 0]
        load[case.elements["load"].bus[1:]] = at_others
        load[case.elements["load"].bus[0]] += 1j * read.elements["load"].q_mvar[0, 0]
        found = solver.newton_of(part).solve(load[part.buses], np.zeros(len(part.buses)))
        low, high = (low, middle) if found is None else (middle, high)
    result = twin.run_timeseries(net, with_value(day(), 0, 0, low)[:4])
    assert result.summary["failures"] == []
    assert result.summary["parts"][0]["states_left_to_newton"] == 1
    assert causes(twin.run_timeseries(net, with_value(day(), 0, 0, low)[:4], solver="radial")) == {0: (COLLAPSE, [0])}
    assert causes(twin.run_timeseries(net, with_value(day(), 0, 0, high)[:4])) == {0: (COLLAPSE, [0])}


def zero_length(net: Any) -> None:
    net.line.loc[1, "length_km"] = 0.0


def zero_voltage(net: Any) -> None:
    net.trafo.loc[0, ["vk_percent", "vkr_percent"]] = 0.0


def no_resistance(net: Any) -> None:
    net.line.loc[1, "r_ohm_per_km"] = np.nan


def no_rating(net: Any) -> None:
    net.trafo.loc[0, "sn_mva"] = np.nan


def backwards(net: Any) -> None:
    net.trafo.loc[0, ["hv_bus", "lv_bus"]] = [6, 2]


def no_load(net: Any) -> None:
    net.load.loc[2, "p_mw"] = np.nan


def no_shunt(net: Any) -> None:
    pp.create_shunt(net, 4, np.nan, 0.1)


def two_magnitudes(net: Any) -> None:
    pp.create_gen(net, 5, 0.1, vm_pu=1.0)
    pp.create_gen(net, 5, 0.1, vm_pu=1.01)


@pytest.mark.parametrize(
    ("change", "cause", "named"),
    [
        (zero_length, ZERO_IMPEDANCE, "line 1"),
        (zero_voltage, ZERO_IMPEDANCE, "trafo 0"),
        (no_resistance, NOT_A_NUMBER, "line 1"),
        (no_rating, NOT_A_NUMBER, "trafo 0"),
        (backwards, BACKWARDS, "trafo 0"),
        (no_load, NOT_A_NUMBER, "load 2"),
        (no_shunt, NOT_A_NUMBER, "shunt 0"),
        (two_magnitudes, CONTRADICTORY, "gen 0, gen 1"),
    ],
)
def test_wrong_data_fails_its_own_feeder_only(change: Callable[[Any], None], cause: str, named: str) -> None:
    sound, net = twin.run_timeseries(two_feeders()), two_feeders()
    change(net)
    hurt = twin.run_timeseries(net)
    (failure,) = hurt.summary["failures"]
    assert (failure["part"], failure["cause"], failure["detail"]) == (0, cause, named)
    v = hurt.res_bus.column("vm_pu").to_numpy()
    assert np.isnan(v[FIRST_FEEDER]).all()
    np.testing.assert_allclose(v[SECOND_FEEDER], sound.res_bus.column("vm_pu").to_numpy()[SECOND_FEEDER], rtol=1e-14)
    assert np.isnan(hurt.res_line.column("p_from_mw").to_numpy()[:5]).all()


@pytest.mark.parametrize("other", [{"vm_pu": 1.0}, {"vm_pu": 1.02, "va_degree": 10.0}, {"vm_pu": np.nan}])
def test_sources_that_contradict_each_other(other: dict[str, float]) -> None:
    net = two_feeders()
    pp.create_ext_grid(net, 0, **other)
    result = twin.run_timeseries(net)
    expected = NOT_A_NUMBER if np.isnan(other["vm_pu"]) else CONTRADICTORY
    assert {cause for cause, _ in causes(result).values()} == {expected}
    assert np.isnan(result.res_bus.column("vm_pu").to_numpy()).all()


def test_an_island_is_named_with_what_stands_on_it() -> None:
    net = two_feeders()
    net.line.loc[3, "in_service"] = False
    result = twin.run_timeseries(net)
    (failure,) = result.summary["failures"]
    assert (failure["cause"], failure["detail"]) == (ISLAND, "load 1 on buses 4, 5")
    assert result.summary["status"] == ["solved"]


def test_a_dead_section_without_load_is_no_failure() -> None:
    net = two_feeders()
    net.line.loc[3, "in_service"] = False
    net.load.loc[1, "in_service"] = False
    assert twin.run_timeseries(net).summary["failures"] == []


def test_negative_resistance_is_solved_and_named_only_where_there_is_no_solution() -> None:
    net = two_feeders()
    net.line.loc[0, "length_km"] = -1.0
    assert twin.run_timeseries(net).summary["failures"] == []
    net.line.loc[0, ["length_km", "x_ohm_per_km"]] = [1.0, -1e6]
    net.load["q_mvar"] = 50.0
    assert causes(twin.run_timeseries(net))[0][0] in {NEGATIVE_IMPEDANCE, COLLAPSE}


def test_a_network_without_a_source_is_refused() -> None:
    net = two_feeders()
    net.ext_grid["in_service"] = False
    with pytest.raises(NetworkError, match="no source is in service"):
        twin.run_timeseries(net)


def test_what_is_not_radial_is_refused_when_radial_is_asked_for() -> None:
    with pytest.raises(NetworkError, match="is not radial: meshed; use solver auto or newton"):
        twin.run_timeseries(meshed(), solver="radial")


def test_pandapower_names_failures_as_well() -> None:
    net = two_feeders()
    pp.create_svc(net, 4, 1.0, -10.0, 1.0, 90.0)
    rows = pd.concat([with_value(day(), 1, 0, 900.0)[:8], with_value(day(), 2, 0, np.nan)[8:12]])
    result = twin.run_timeseries(net, rows)
    assert {row["cause"]: row["steps"] for row in result.summary["failures"]} == {COLLAPSE: [1], NOT_A_NUMBER: [2]}
    assert result.summary["status"] == ["solved", "failed", "failed"]
