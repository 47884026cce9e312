"""Everything between a scenario and its first block: state, sample, grid above, shards on a backend."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.demand.panel import design_kind_kw
from twin.economics.purchase import load_purchase
from twin.grid.partition import partition
from twin.grid.state import StateGrid, build_state
from twin.grid.strata import Selection, choose
from twin.grid.transmission_loads import UpperState, build_upper
from twin.grid.transmission_report import reinforcements
from twin.powerflow.upper import UpperGrid
from twin.results.storage import FileRecord
from twin.scenario.schema import Scenario
from twin.simulation.border import N_STRATA, Layout
from twin.simulation.fleets import fleets_for
from twin.simulation.manifest import Usage
from twin.simulation.messages import BuildAnswer
from twin.simulation.own_border import FixedSources
from twin.simulation.own_grid import OwnGrid, layout_own, own_state
from twin.simulation.plan import PointPlan, month_end, plans
from twin.simulation.population import ehv_rows
from twin.simulation.provenance import SYNTHETIC, SYNTHETIC_OWN, SYNTHETIC_PROFILES, assumed_numbers
from twin.simulation.reading_tables import choose_readings
from twin.simulation.runfolder import RunFolder
from twin.simulation.shard import ShardSpec, Shared
from twin.units import HOURS_PER_YEAR, KW_PER_MW

LOG = logging.getLogger(__name__)

LOWEST_EHV_KV = 100.0


@dataclass
class Prepared:
    """A run that is ready to simulate."""

    scenario: Scenario
    points: list[PointPlan]
    state: StateGrid
    selection: Selection
    layout: Layout
    scouts: Layout | None
    """The same, of the feeders that guess the first voltages; None: sources hold theirs."""
    upper: UpperGrid | FixedSources
    """The solver of the grid above."""
    backend: Any
    """The first fleet of shards."""
    consumers: int
    reading_ids: NDArray[np.int64]
    static_files: list[FileRecord]
    assumed: list[dict[str, Any]]
    network: dict[str, Any]
    """The grid above, for the manifest."""
    stations: dict[str, list[Any]]
    """Fixed columns of the table of grid substations; empty: there is none."""
    above: UpperState | None = None
    """The state's grid above; None with a network of the user's."""
    contracted_mw: float | None = None
    """Power bought under contracts; None: that of the whole state."""
    synthetic: list[str] = field(default_factory=lambda: list(SYNTHETIC))
    others: list[Any] = field(default_factory=list)
    """Further fleets, which hold the same population."""

    @property
    def fleets(self) -> list[Any]:
        """All fleets of shards."""
        return [self.backend, *self.others]

    @property
    def is_state(self) -> bool:
        """Is it the state's grid, and not a network of the user's?"""
        return self.above is not None

    @property
    def population(self) -> dict[str, Any]:
        """What is simulated, for the manifest."""
        return {
            "consumers_simulated": self.consumers,
            "consumers_state": self.state.n_consumers,
            "resolved_feeders": int(self.selection.resolved.sum()),
            "sampled_feeders": int(self.selection.sampled.sum()),
            "feeders_state": len(self.state.feeders.code),
            "dts_state": int(self.state.feeders.n_dts.sum()),
            "ht_consumers": len(self.state.ht),
        }

    @property
    def months_complete(self) -> bool:
        """Does the run cover whole billing months?"""
        dates = self.points[0].dates
        return dates[0].day == 1 and dates[-1] == month_end(dates[-1])

    def close(self) -> list[Usage]:
        """Ask the shards' processes what they used, and let them go."""
        try:
            usage = [one for fleet in self.fleets for one in fleet.call("usage", [()] * fleet.n_shards, "usage")]
        finally:
            self.abandon()
        return usage

    def abandon(self) -> None:
        """Let the shards go as they are."""
        for fleet in self.fleets:
            fleet.close()


def resolve_of(scenario: Scenario) -> Any:
    """What the scenario resolves, as the grid's sampling takes it."""
    resolve = scenario.grid.resolve
    assert resolve is not None, "the schema asks for one with the state's grid"
    if resolve.everything:
        return "all"
    if resolve.districts:
        return list(resolve.districts)
    assert resolve.fraction is not None, "the schema lets exactly one be set"
    return resolve.fraction


def build_grid(scenario: Scenario) -> tuple[NDArray[np.float64], StateGrid, Selection]:
    """Planning demand, the state's columns and the feeders to simulate."""
    design_kw = design_kind_kw(scenario.seed)
    if scenario.grid.is_own:
        return design_kw, *own_state(own_grid(scenario, design_kw), scenario.seed, str(scenario.grid.district))
    state = build_state(scenario.seed, design_kw)
    return design_kw, state, choose(state, resolve_of(scenario), scenario.seed)


def specs_for(state: StateGrid, selection: Selection, n_shards: int) -> list[ShardSpec]:
    """Who owns what: runs of PSSs; consumers at 132 kV and above go with the first."""
    parts = partition(state, selection, n_shards)
    return [ShardSpec(index, rows, index == 0) for index, rows in enumerate(parts)]


@dataclass(frozen=True)
class Workers:
    """How many shards there are CPUs for, and into how many fleets the user wants them divided (None: choose)."""

    n: int
    fleets: int | None = None

    def divided(self, scenario: Scenario, selection: Selection, state: StateGrid) -> tuple[int, int]:
        """Fleets, and shards of each."""
        cases = len(scenario.points()) * scenario.experiment.replicates
        n_pss = len(np.unique(state.feeders.pss[selection.simulated]))
        n_fleets = fleets_for(self.fleets, self.n, cases, n_pss)
        return n_fleets, self.n // n_fleets


def prepare(
    scenario: Scenario,
    folder: RunFolder,
    workers: Workers,
    make_backend: Callable[[Sequence[ShardSpec], Shared], Any],
    tables: Sequence[str],
) -> Prepared:
    """Build everything and start the shards, which will write the named tables; the first fleet those of consumers."""
    if scenario.grid.is_own:
        return prepare_own(scenario, folder, make_backend, tables)
    points = plans(scenario)
    design_kw, state, selection = build_grid(scenario)
    n_fleets, n_shards = workers.divided(scenario, selection, state)
    specs = specs_for(state, selection, n_shards)
    shared = Shared(points, state, selection, design_kw, folder.storage, folder.attempt, frozenset(tables))
    with ExitStack() as closing:
        fleets, building = [], []
        for number in range(n_fleets):
            fleets.append(make_backend(specs, replace(shared, fleet=number)))
            closing.callback(fleets[-1].close)
            building.append(fleets[-1].submit("build", [()] * fleets[-1].n_shards))
        above = build_upper(state)
        answers = [fleet.gather(one, "the population") for fleet, one in zip(fleets, building, strict=True)]
        closing.pop_all()
    built: list[BuildAnswer] = answers[0]
    reading_ids = choose_readings([answer.reading_candidates for answer in built], scenario.output.readings.consumers)
    consumers = sum(answer.consumers for answer in built)
    LOG.info("%d consumers, %.0f bytes each", consumers, sum(a.bytes_static for a in built) / max(consumers, 1))
    return Prepared(
        scenario=scenario, points=points, state=state, selection=selection,
        layout=layout_of(state, selection, specs, built), scouts=scout_layout_of(state, selection, specs, built),
        upper=above.grid, above=above, backend=fleets[0], others=fleets[1:], consumers=consumers,
        reading_ids=reading_ids, static_files=[record for answer in built for record in answer.files],
        assumed=assumed_numbers(points), network=_network(above), stations=_stations(state),
    )  # fmt: skip


def _network(above: UpperState) -> dict[str, Any]:
    """The grid above in numbers."""
    net = above.net
    return {
        "buses_132kv_and_above": int((net.bus.in_service & (net.bus.vn_kv > LOWEST_EHV_KV)).sum()),
        "lines": int(net.line.in_service.sum()),
        "transformers": int(net.trafo.in_service.sum()),
        "engine": above.grid.engine,
        "difference_from_pandapower_pu": above.difference_pu,
        "reinforcements": reinforcements(net),
    }


def _stations(state: StateGrid) -> dict[str, list[Any]]:
    """Fixed columns of the table of grid substations."""
    gss = state.gss
    return {
        "gss_id": list(gss.id),
        "name": list(gss.name),
        "district": [state.districts.name[code] for code in gss.district],
        "latitude": list(gss.latitude),
        "longitude": list(gss.longitude),
    }


def own_grid(scenario: Scenario, design_kw: NDArray[np.float64]) -> OwnGrid:
    """The user's network of a scenario with the consumers behind its loads.

    Raises
    ------
    InputError
        With everything that is wrong with it.
    """
    from twin.scenario.own_grid import import_own_grid

    return layout_own(*import_own_grid(scenario), design_kw)


def prepare_own(
    scenario: Scenario, folder: RunFolder, make_backend: Callable[[Sequence[ShardSpec], Shared], Any],
    tables: Sequence[str],
) -> Prepared:  # fmt: skip
    """`prepare` for a network of the user's, which is one shard whatever is asked for."""
    points, design_kw = plans(scenario), design_kind_kw(scenario.seed)
    grid = own_grid(scenario, design_kw)
    state, selection = own_state(grid, scenario.seed, str(scenario.grid.district))
    specs = [ShardSpec(0, np.arange(len(grid.source_bus), dtype=np.int32), True)]
    shared = Shared(points, state, selection, design_kw, folder.storage, folder.attempt, frozenset(tables), grid)
    backend = make_backend(specs, shared)
    with ExitStack() as closing:
        closing.callback(backend.close)
        built: list[BuildAnswer] = backend.call("build", [()], "the population")
        closing.pop_all()
    wanted = scenario.output.readings.consumers
    annual_kwh = float(built[0].extra["annual_kwh"])
    purchase = load_purchase()
    return Prepared(
        scenario=scenario, points=points, state=state, selection=selection,
        layout=layout_of(state, selection, specs, built), scouts=None, upper=FixedSources(grid.source_pu),
        backend=backend, consumers=built[0].consumers,
        reading_ids=choose_readings([built[0].reading_candidates], wanted), static_files=built[0].files,
        assumed=assumed_numbers(points), network=built[0].extra["network"], stations={},
        contracted_mw=purchase.contracted.share_of_mean.value * annual_kwh / HOURS_PER_YEAR / KW_PER_MW,
        synthetic=list(SYNTHETIC_OWN if grid.profiles is None else SYNTHETIC_PROFILES),
    )  # fmt: skip


def wanted_tables(scenario: Scenario) -> list[str]:
    """Tables that shards write: ``population`` and ``enrolment`` always, others as far as they are asked for."""
    tables = ["consumers", "feeders", "transformers", "bills", "registers", "readings"]
    tables += ["mapped_loads", "loads"] if scenario.grid.is_own else []
    with_devices = any(point.meters.devices for _, point in scenario.points())
    devices = ["meter_balance", "meter_reads", "meter_events", "meter_days", "dt_meters", "feeder_meters"]
    devices += ["estimates", "commands", "meter_firmware", "load_limits", "meter_power"]
    tables += devices if with_devices else []
    with_wallets = any(point.meters.prepaid is not None for _, point in scenario.points())
    tables += ["wallets", "wallet_days", "wallet_windows"] if with_wallets else []
    if any(point.outages is not None for _, point in scenario.points()):
        tables += ["outages", "supply"]
    chosen = any(arm.enrolment is not None for _, point in scenario.points() for arm in point.experiment.arms.values())
    always = ["population", "enrolment"] if chosen else ["population"]
    return [*always, *(table for table in tables if scenario.output.wants(table))]


def layout_of(state: StateGrid, selection: Selection, specs: list[ShardSpec], built: list[BuildAnswer]) -> Layout:
    """Which rows each shard answers for; the sample carries what nobody simulates."""
    answering = [answer.sampled_feeders for answer in built]
    return _layout(state, specs, built, answering, selection.sampled, ~selection.simulated)


def scout_layout_of(state: StateGrid, selection: Selection, specs: list[ShardSpec], built: list[BuildAnswer]) -> Layout:
    """The same where only scouts are asked: they carry all other feeders, simulated or not."""
    answering = [answer.scout_feeders for answer in built]
    return _layout(state, specs, built, answering, selection.scouts, ~selection.scouts)


def _layout(
    state: StateGrid, specs: list[ShardSpec], built: list[BuildAnswer], answering: list[NDArray[np.int64]],
    standing: NDArray[np.bool_], carried: NDArray[np.bool_],
) -> Layout:  # fmt: skip
    n_pss, rows, left = len(state.pss.code), np.flatnonzero(standing), np.flatnonzero(carried)
    cell = state.feeders.pss[left].astype(np.int64) * N_STRATA + state.feeders.stratum[left]
    consumers = np.bincount(cell, weights=state.feeders.n_consumers[left].astype(float), minlength=n_pss * N_STRATA)
    return Layout(
        n_pss=n_pss,
        owned_pss=[spec.owned_pss for spec in specs],
        sampled_feeders=answering,
        owned_ehv=[answer.ehv_rows for answer in built],
        n_ehv=len(ehv_rows(state)),
        sampled_order=rows,
        sampled_stratum=state.feeders.stratum[rows].astype(np.int64),
        sampled_pss=state.feeders.pss[rows].astype(np.int64),
        sampled_consumers=state.feeders.n_consumers[rows].astype(np.int64),
        unresolved_consumers=consumers.astype(np.float64).reshape(n_pss, N_STRATA),
    )
