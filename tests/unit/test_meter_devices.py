"""Meters of a real population: types, ledger, exactness, independence of the cut, checkpoints, months."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from tests.planning_day import planned_state, planning_kw
from tests.runs import TINY
from twin.errors import DataPackError
from twin.grid.settings import synthesis
from twin.grid.strata import choose
from twin.meters.fleet import ERROR, LEDGER, METERED, THEFT, UNRECORDED, USED
from twin.meters.reads import READS
from twin.results.storage import Storage
from twin.scenario import load_scenario
from twin.simulation import meter_devices
from twin.simulation.checkpoint import read_meters, write_meters
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_state import MeterState
from twin.simulation.plan import plans
from twin.simulation.population import Population, build_population
from twin.simulation.reading_tables import rows_of_ids
from twin.simulation.replicate import ReplicateWorld, open_world

DATE = dt.date(2026, 6, 9)
NONE = np.zeros(0, np.int64)
PLAN = plans(load_scenario(TINY, ("meters.devices=true",)))[0]


@pytest.fixture(scope="module")
def state():
    return planned_state(1)


def population(state: Any, n_pss: int | None = None, skip: int = 0) -> Population:
    selection = choose(state, 0.002, 1)
    pss = np.unique(state.feeders.pss[selection.simulated])[skip : None if n_pss is None else skip + n_pss]
    return build_population(state, selection, pss.astype(np.int32), planning_kw(), owns_ehv=False)


@pytest.fixture(scope="module")
def world(state) -> ReplicateWorld:
    return open_world(PLAN, 0, population(state, 8))


def day_kwh(world: ReplicateWorld, scale: float = 1.0) -> np.ndarray:
    """Some energy for everybody: by consumer, uneven by zone."""
    consumers, n_zones = world.population.consumers, PLAN.zones.n_zones
    share = 1.0 + np.arange(n_zones)
    share = share / share.sum()
    return scale * 2.0 * consumers.sanctioned_kw.astype(float)[:, None] * share


def opened(world: ReplicateWorld) -> MeterDevices:
    devices = MeterDevices(world)
    devices.begin(DATE, day_kwh(world, 8.0))
    return devices


def test_everybody_has_a_meter_that_fits(world):
    devices, consumers = MeterDevices(world), world.population.consumers
    roles = np.array([sheet.role for sheet in devices.types.sheets])[devices.fleet.kind]
    phases = np.array([sheet.model.phases for sheet in devices.types.sheets])[devices.fleet.kind]
    makers = np.array([sheet.maker for sheet in devices.types.sheets])[devices.fleet.kind]
    ht = np.zeros(len(consumers), bool)
    ht[world.population.ht] = True
    assert np.array_equal(roles == "smart", world.smart & ~ht)
    assert np.all(roles[ht] == "system")
    assert np.array_equal(phases[~ht], consumers.phases[~ht])
    expected = np.array(synthesis().vendors.names)[consumers.vendor]
    assert np.array_equal(makers[roles == "smart"], expected[roles == "smart"])
    assert len(set(makers[roles == "smart"].tolist())) >= 2


def test_one_maker_for_all_and_an_unknown_one(world, monkeypatch):
    plan = plans(load_scenario(TINY, ("meters.devices=true", "meters.vendors=eesl")))[0]
    devices = MeterDevices(open_world(plan, 0, world.population))
    makers = {devices.types.sheets[kind].maker for kind in np.unique(devices.fleet.kind)}
    assert makers == {"eesl", "ct_operated", "static", "electromechanical"}
    names = synthesis().vendors.names
    nobody = synthesis().model_copy(
        update={"vendors": synthesis().vendors.model_copy(update={"names": ("nobody", *names[1:])})}
    )
    monkeypatch.setattr(meter_devices, "synthesis", lambda: nobody)
    with pytest.raises(DataPackError, match="no datasheet of nobody; add twin/data/devices/nobody.yaml"):
        MeterDevices(world)


def test_the_ledger_of_every_dt_closes_and_has_every_line(world):
    devices, used = opened(world), day_kwh(world)
    registers = np.zeros((1, *used.shape))
    ledger = devices.advance(DATE, [used], registers, NONE).arms[0].ledger_kwh
    gap = ledger[:, USED] - ledger[:, METERED] - ledger[:, ERROR] - ledger[:, THEFT] - ledger[:, UNRECORDED]
    assert np.abs(gap).max() <= 1e-9 * ledger[:, USED].max()
    assert ledger[:, USED].sum() == pytest.approx(used.sum(), rel=1e-12)
    assert np.all(np.abs(ledger).sum(axis=0) > 0), LEDGER
    # what the error line says follows from the registers alone, to the digit that is not shown
    honest = (devices.fleet.through == 1.0) & (devices.state.swap_day <= devices.context(DATE).day)
    honest &= devices.fleet.hops > 0  # smart meters of class 1, some years old
    shown = registers[0, honest].sum(axis=1) / used[honest].sum(axis=1) - 1
    assert 0.002 < np.std(shown) < 0.005
    assert np.all(np.abs(shown) < 0.02)


def exact(fleet):
    return fleet._replace(
        errors=np.zeros_like(fleet.errors), crystal_ppm=np.zeros_like(fleet.crystal_ppm),
        frailty=np.zeros_like(fleet.frailty), through=np.ones_like(fleet.through),
    )  # fmt: skip


def without_faults(world: ReplicateWorld) -> MeterDevices:
    devices = MeterDevices(world)
    devices.fleet = exact(devices.fleet)
    zero = np.zeros(len(devices.types))
    clock = devices.params.clock._replace(parabola_ppm_per_k2=zero, ageing_ppm_per_year=zero)
    metrology = devices.params.metrology._replace(starting_current_frac=zero, temperature_percent_per_k2=zero)
    devices.params = devices.params._replace(clock=clock, metrology=metrology)
    return devices


def test_without_errors_metering_is_exact(world):
    devices, used = without_faults(world), day_kwh(world)
    start = devices.begin(DATE, 8.0 * used)
    assert np.array_equal(start, 8.0 * used)
    registers = start[None].copy()
    day = devices.advance(DATE, [used], registers, NONE)
    assert np.array_equal(registers[0], start + used)
    assert not day.arms[0].ledger_kwh[:, [THEFT, UNRECORDED]].any()
    most = devices.resolution_wh.max() / 1000 * used.shape[1] * len(used)
    assert np.abs(day.arms[0].ledger_kwh[:, ERROR]).sum() < most, "only what is below the last digit"


def test_drift_moves_offset_times_power_between_zones(world):
    devices, used = without_faults(world), day_kwh(world)
    devices.begin(DATE, 0.0 * used)
    devices.state.clock_s[:] = np.where(devices.fleet.hops > 0, 30.0, 0.0)
    registers = np.zeros((1, *used.shape))
    devices.advance(DATE, [used], registers, NONE)
    day, moved = devices.stretches, registers[0] - used
    power = used / day.zone_hours
    smart = devices.fleet.hops > 0
    expected = np.zeros_like(used)
    for s, zone in enumerate(day.zone):
        expected[:, zone] -= power[:, zone] * 30 / 3600
        expected[:, day.zone[(s + 1) % len(day.zone)]] += power[:, zone] * 30 / 3600
    assert np.allclose(moved[smart], expected[smart], rtol=1e-9, atol=1e-12)
    assert np.abs(expected[smart]).max() > 0
    assert not moved[~smart].any()


def test_results_do_not_hang_on_the_cut(state, world):
    devices, used = opened(world), day_kwh(world)
    registers = np.zeros((1, *used.shape))
    whole = devices.advance(DATE, [used], registers, NONE)
    part_world = open_world(PLAN, 0, population(state, 3, skip=2))
    part, part_used = opened(part_world), day_kwh(part_world)
    part_registers = np.zeros((1, *part_used.shape))
    piece = part.advance(DATE, [part_used], part_registers, NONE)
    lv = slice(0, part_world.population.ht.start)
    order = {int(i): row for row, i in enumerate(devices.fleet.ids)}
    rows = np.array([order[int(i)] for i in part.fleet.ids[lv]])
    assert np.array_equal(part_registers[0, lv], registers[0, rows])
    for name in whole.devices._fields:
        assert np.array_equal(getattr(piece.devices, name)[lv], getattr(whole.devices, name)[rows]), name
    feeders = [part.feeder for part in world.population.feeders]
    for position, feeder in enumerate(part_world.population.feeders):
        assert np.array_equal(piece.counts[position], whole.counts[feeders.index(feeder.feeder)])


def test_a_checkpoint_carries_everything(world):
    used = day_kwh(world)
    one, two = opened(world), MeterDevices(world)
    registers = np.zeros((len(PLAN.arms), *used.shape))
    for day in range(5):
        one.advance(DATE + dt.timedelta(days=day), [used] * len(PLAN.arms), registers, NONE)
    saved, saved_registers = one.arrays(), registers.copy()
    later = one.advance(DATE + dt.timedelta(days=5), [used] * len(PLAN.arms), registers, NONE)
    two.restore(saved)
    again = two.advance(DATE + dt.timedelta(days=5), [used] * len(PLAN.arms), saved_registers, NONE)
    assert np.array_equal(registers, saved_registers)
    assert np.array_equal(later.counts, again.counts)
    for name, column in two.arrays().items():
        assert np.array_equal(one.arrays()[name], column), name


def test_a_month_s_end_keeps_what_is_below_the_last_digit(world):
    used = day_kwh(world)
    meters = MeterState.begin(PLAN, 0.0 * used, MeterDevices(world))
    assert meters.recorded_kwh is not None
    meters.recorded_kwh[:] = 1.23456
    before = meters.recorded_kwh.copy()
    shown = meters.end_wh(world, 0, slice(0, len(used)))
    meters.close_window(dt.date(2026, 6, 30))
    meters.next_month(dt.date(2026, 6, 30))
    assert not meters.end_wh(world, 0, slice(0, len(used))).any()
    assert np.allclose(meters.recorded_kwh[0] + shown / 1000, before[0], atol=1e-12)
    assert meters.recorded_kwh.max() < meters.devices.resolution_wh.max() / 1000


def test_a_meter_s_state_is_small(world):
    devices = opened(world)
    assert devices.bytes_per_meter <= 80, "with 8 bytes for each of at most 5 registers this is within 120"


def test_counts_are_those_of_the_fleet(world):
    devices, used = opened(world), day_kwh(world)
    day = devices.advance(DATE, [used], np.zeros((1, *used.shape)), NONE)
    total = dict(zip(READS, day.counts.sum(axis=(0, 1)), strict=True))
    assert total["meters"] == len(used)
    assert total["read_24h"] == np.isfinite(day.devices.arrival_h).sum()
    assert total["read_8h"] <= total["read_12h"] <= total["read_24h"] < total["working"] < total["meters"]


def test_a_checkpoint_comes_back_from_storage_for_another_cut(state, world, tmp_path):
    """Through the real files: written by one shard, read by one that owns a part."""
    storage, used = Storage(str(tmp_path)), day_kwh(world)
    meters = MeterState.begin(PLAN, 8.0 * used, MeterDevices(world))
    assert meters.devices is not None
    assert meters.recorded_kwh is not None
    for day in range(3):
        meters.devices.advance(DATE + dt.timedelta(days=day), [used] * len(PLAN.arms), meters.recorded_kwh, NONE)
    record = write_meters(storage, "checkpoints/one", world.population.consumers.consumer_id, meters.arrays())
    part = open_world(PLAN, 0, population(state, 3, skip=2))
    ids = part.population.consumers.consumer_id
    rows = rows_of_ids(world.population.consumers.consumer_id, ids)
    assert len(rows) == len(ids)
    again = MeterState.restore(PLAN, read_meters(storage, [record], ids), MeterDevices(part))
    assert again.devices is not None
    for name, column in again.devices.state._asdict().items():
        whole = getattr(meters.devices.state, name)
        assert column.dtype == whole.dtype
        assert np.array_equal(column, whole[rows]), name
    assert np.array_equal(again.recorded_kwh, meters.recorded_kwh[:, rows])
    assert np.array_equal(again.end_wh(part, 1, slice(0, len(ids))), meters.end_wh(world, 1, slice(None))[rows])


def test_a_bad_batch_shows_less_and_is_read_less(world):
    """The question of scenarios/bad_meter_batch.yaml on a few feeders: same people, same thieves, other meters."""
    all_smart = [
        f"meters.smart_share.{group}=1.0" for group in ("domestic", "non_domestic", "industrial", "agricultural")
    ]
    found = {}
    for maker in ("by_district", "bad_batch"):
        plan = plans(load_scenario(TINY, ("meters.devices=true", f"meters.vendors={maker}", *all_smart)))[0]
        here = open_world(plan, 0, world.population)
        used = day_kwh(here)
        day = opened(here).advance(DATE, [used], np.zeros((1, *used.shape)), NONE)
        found[maker] = day.arms[0].ledger_kwh.sum(axis=0), dict(zip(READS, day.counts.sum(axis=(0, 1)), strict=True))
    (good, reads), (bad, few) = found["by_district"], found["bad_batch"]
    assert good[USED] == bad[USED]
    assert good[THEFT] == bad[THEFT]
    assert bad[ERROR] - good[ERROR] == pytest.approx(0.0125 * bad[METERED], rel=0.2), "half a percent for 2.5 years"
    assert bad[UNRECORDED] > good[UNRECORDED]
    assert few["read_24h"] < 0.95 * reads["read_24h"]
