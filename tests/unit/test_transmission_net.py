"""The network has every row of the tables, marks what is off or assumed, and dispatches by the stated rules."""

import numpy as np
import pytest

from tests.upper_cases import household_loads, state_grid
from twin.errors import NetworkError
from twin.grid.substations import grid_stations
from twin.grid.tables import stations
from twin.grid.transmission_arrays import ehv_model
from twin.grid.transmission_data import IN_SERVICE, assumed_numbers, line_constants, links
from twin.grid.transmission_dispatch import capacitor_steps, gss_at_132, plant_fraction
from twin.grid.transmission_report import distributions, reinforcements


@pytest.fixture(scope="module")
def net():
    return state_grid()[0]


def test_every_station_and_link_of_the_tables_is_there(net):
    assert set(net.bus.station) >= {station.id for station in stations()}
    assert len(net.line) == len(links())
    kv = net.bus.vn_kv
    for row, link in zip(net.line.itertuples(), links(), strict=True):
        assert {net.bus.station[row.from_bus], net.bus.station[row.to_bus]} == {link.from_id, link.to_id}
        assert kv[row.from_bus] == kv[row.to_bus] == link.voltage_kv
        assert row.table_circuits == link.circuits
        assert row.parallel == link.circuits + row.added_circuits
        assert row.in_service == (row.remark == "")


def test_only_what_is_in_service_is_switched_on(net):
    on = set(net.bus.station[net.bus.in_service])
    assert {s.id for s in stations() if s.status in IN_SERVICE} <= on
    assert not {s.id for s in stations() if s.status not in IN_SERVICE} & on
    off = [
        link
        for link, alive in zip(links(), net.line.in_service, strict=True)
        if link.status in IN_SERVICE and not alive
    ]
    assert [(link.from_id, link.to_id) for link in off] == [
        ("KISHAN400", "THAKURGANJ")
    ]  # its end is not yet in service
    assert len(grid_stations()) == 165


def test_no_ext_grid_carries_the_slack(net):
    assert net.ext_grid.empty
    ties = net.gen[net.gen["type"] == "tie"]
    assert ties.slack.all()
    assert not net.gen[net.gen["type"] == "plant"].slack.any()
    balia = ties.set_index("name").loc["EXT_BALIA@400"]
    assert balia.slack_weight == 7 * 400
    assert balia.max_q_mvar == 7 * 300
    assert set(net.load.name[net.load["type"] == "export"]) >= {"EXT_DHALKEBAR_NEPAL@400", "EXT_KUSAHA_NEPAL@132"}


def test_an_ext_grid_or_two_generators_at_a_bus_are_refused(net):
    import copy

    import pandapower as pp

    other = copy.deepcopy(net)
    pp.create_ext_grid(other, 0)
    pp.create_gen(other, int(other.gen.bus[0]), p_mw=1.0)
    with pytest.raises(NetworkError, match=r"ext_grid(.|\n)*share a bus"):
        ehv_model(other)


def test_reactors_take_six_tenths_of_the_charging_of_400_and_765_kv_lines(net):
    reactors = net.shunt[net.shunt.kind == "reactor"]
    assert set(net.bus.vn_kv[reactors.bus]) == {400.0, 765.0}
    line = net.line.iloc[0]
    b_us = 2 * np.pi * 50 * line.c_nf_per_km * 1e-3 * line.length_km * line.parallel
    assert reactors.q_mvar[reactors.line == 0].sum() == pytest.approx(0.6 * b_us * 0.4**2, rel=1e-9)


def test_a_link_of_unknown_make_is_an_error_with_its_place():
    link = links()[0].model_copy(update={"conductor_note": "double Unicorn"})
    with pytest.raises(NetworkError, match="SASARAM765-BSHARIF400.*double Unicorn"):
        line_constants(link)


@pytest.mark.parametrize(("load", "fraction"), [(1000, 0.55), (3500, 0.55), (5950, 0.70), (8400, 0.85), (9999, 0.85)])
def test_plants_run_between_their_least_and_their_most(load, fraction):
    assert plant_fraction(np.array(float(load))) == pytest.approx(fraction)


def test_capacitors_settle_at_the_fewest_steps_that_do():
    q = np.array([3.4, 3.6, 13.4, 40.0, -2.0])
    np.testing.assert_array_equal(capacitor_steps(q, np.array([4, 4, 4, 4, 4])), [0, 1, 2, 4, 0])


def test_gss_transformers_add_their_losses():
    """100 MVA through 100 MVA of 12.5 % at X/R 20: 12.5 Mvar times 0.99875, a twentieth of it in MW."""
    p, q = gss_at_132(np.array([80.0]), np.array([60.0]), np.array([100.0]), np.array([12.5]), 20.0)
    assert q[0] - 60.0 == pytest.approx(12.5 * 20 / np.hypot(1, 20))
    assert p[0] - 80.0 == pytest.approx((q[0] - 60.0) / 20)


def test_reinforcement_is_marked_and_deterministic(net):
    from twin.grid.transmission_reinforce import build_transmission

    again = build_transmission(household_loads())
    other = build_transmission(household_loads())
    for table, column in (("line", "parallel"), ("trafo", "parallel"), ("trafo", "tap_pos")):
        np.testing.assert_array_equal(again[table][column], other[table][column])
    counts = reinforcements(net)
    assert sum(counts.values()) == net.line.added_circuits.sum() + net.trafo.added_units.sum()
    assert (net.line.parallel <= 8).all()


def test_distributions_name_every_level():
    _, _, grid, peak_kw, _ = state_grid()
    from tests.upper_cases import block

    rows = distributions(grid, block(peak_kw, np.array([0.5])).solved_by(grid), 0)
    names = [row.quantity for row in rows]
    assert {
        "132 kV bus voltage",
        "11 kV bus voltage of PSS",
        "loading of 400 kV lines",
        "loading of GSS transformers",
    } <= set(names)
    assert all(np.diff(row.quantiles).min() >= 0 for row in rows)


def test_every_assumed_number_has_a_reason():
    found = assumed_numbers()
    assert len(found) > 60
    assert all(reason for _, _, reason in found)
    names = {name for name, _, _ in found}
    assert {"dispatch.peak_fraction", "plants.units.BARH.share_mw", "lines.rating_a.ACSR Panther"} <= names
