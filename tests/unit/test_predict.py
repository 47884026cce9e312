"""What the dry run says of meters as devices: memory and tables by what the scenario asks for."""

import pytest

from tests.planning_day import planned_state
from tests.runs import TINY
from twin.datapack import read_yaml
from twin.grid.strata import choose
from twin.scenario import load_scenario
from twin.scenario.zones import tariff_zones
from twin.simulation.predict import predicted_numbers


def predicted(*overrides):
    state, scenario = planned_state(1), load_scenario(TINY, overrides)
    return predicted_numbers(scenario, state, choose(state, 0.004, 1), 1, 1)


def test_devices_add_their_bytes_for_every_consumer_and_arm():
    rates = {name: entry["value"] for name, entry in read_yaml("rates").items()}
    plain, devices = predicted(), predicted("meters.devices=true")
    zones = tariff_zones(load_scenario(TINY)).n_zones
    each = (devices["memory_bytes"] - plain["memory_bytes"]) / plain["consumers"]
    assert each == pytest.approx(rates["meter_bytes"] + rates["register_bytes"] * zones * 3), "two arms and the start"
    command = "meters.commands=[{command: ping, day: 2026-06-09, hour: 1.0}]"
    switched = predicted("meters.devices=true", command)
    assert (switched["memory_bytes"] - devices["memory_bytes"]) / plain["consumers"] == pytest.approx(12.0)
    assert devices["wall_s"] > plain["wall_s"]


def test_their_tables_count_where_the_scenario_asks_for_them():
    plain, devices = predicted()["output_bytes"], predicted("meters.devices=true")["output_bytes"]
    longer = predicted("meters.devices=true", "time.days=2")["output_bytes"] - predicted("time.days=2")["output_bytes"]
    assert 1.0 < longer / (devices - plain) < 2.0, "estimates come once a window, all else every day"
    dark = predicted("meters.devices=true", "outages={}")["output_bytes"]
    assert dark > devices
    few = "output.tables=[meter_balance]"
    state, selection = planned_state(1), choose(planned_state(1), 0.004, 1)
    balance = predicted("meters.devices=true", few)["output_bytes"] - predicted(few)["output_bytes"]
    dts = float(state.feeders.n_dts[selection.simulated].sum())
    assert balance == pytest.approx(2 * dts * read_yaml("rates")["meter_balance_row_bytes"]["value"])
