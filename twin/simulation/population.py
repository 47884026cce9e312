"""A shard's population: the feeders it simulates and the HT consumers it owns, as flat columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.columns import DemandColumns, draw_columns_and_zip
from twin.demand.own_profiles import ConsumerProfiles
from twin.economics.billing import SMART, BillColumns
from twin.grid.feeder import FeederStatic, build_feeder
from twin.grid.state import StateGrid
from twin.grid.strata import Selection
from twin.powerflow.tile_book import tree_shunts
from twin.simulation.feeder_block import FeederNet
from twin.simulation.messages import Only

NO_FEEDER = -1


@dataclass
class FeederRows:
    """One simulated feeder: which rows of the shard's columns are its consumers and DTs."""

    feeder: int
    pss_row: int
    """Position of its PSS among the shard's own."""
    is_sampled: bool
    """Does it stand for its stratum?"""
    is_scout: bool
    """Is it one of the few that guess the first voltages?"""
    rows: slice
    dts: slice
    dt_id: NDArray[np.int64]
    rating_kva: NDArray[np.float64]

    def is_asked(self, only: Only) -> bool:
        """Is a question about these feeders also about this one?"""
        return only == "all" or self.represents(only)

    def represents(self, only: Only) -> bool:
        """Does it stand for its stratum in the answer to such a question?"""
        return self.is_scout if only == "scouts" else self.is_sampled


@dataclass
class FeederPart(FeederRows):
    """One feeder of the synthesised state with its network."""

    net: FeederNet


Part = TypeVar("Part", bound=FeederRows)


@dataclass
class Consumers:
    """Columns of all consumers of a shard, feeder by feeder, HT consumers last. Shape (n,) unless said."""

    consumer_id: NDArray[np.int64]
    feeder: NDArray[np.int32]
    dt_id: NDArray[np.int64]
    district: NDArray[np.int16]
    category: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    phases: NDArray[np.uint8]
    sanctioned_kw: NDArray[np.float32]
    contract_kva: NDArray[np.float32]
    smart_rank: NDArray[np.float32]
    vendor: NDArray[np.uint8]
    """Maker of the smart meter it has or would have: position in `synthesis().vendors.names`."""
    traits: DemandColumns
    zips: NDArray[np.float32]
    """Shape (n, 6)."""
    profiles: ConsumerProfiles | None = None
    """Demand that the user gives, instead of archetypes."""

    def __len__(self) -> int:
        return len(self.consumer_id)

    @property
    def nbytes(self) -> int:
        """Memory of all columns."""
        own = [value for value in vars(self).values() if isinstance(value, np.ndarray)]
        return sum(array.nbytes for array in [*own, *self.traits])

    def part(self, rows: slice) -> Consumers:
        """Some of the consumers; nothing is copied."""
        traits = {name: column[rows] for name, column in self.traits._asdict().items()}
        own: dict[str, Any] = {name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return Consumers(**own, traits=DemandColumns(**traits))

    def smart(self, share_by_category: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Who has a smart meter at these shares: a larger share only adds."""
        return self.smart_rank < share_by_category[self.category]

    def power_factor(self) -> NDArray[np.float32]:
        """Power factor of each consumer's load law at nominal voltage. [-]"""
        tangent = self.zips[:, 3:].sum(axis=1).astype(np.float64)
        return (1.0 / np.sqrt(1.0 + tangent * tangent)).astype(np.float32)

    def bill_columns(self, smart: NDArray[np.bool_]) -> BillColumns:
        """What billing needs; the power factor is that of the consumer's load law."""
        flags = np.where(smart, SMART, 0).astype(np.uint8)
        return BillColumns(self.category, self.sanctioned_kw, self.contract_kva, flags, self.power_factor())

    def register_resolution_wh(self, smart: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Last digit of each meter's register. [Wh]"""
        data = read_yaml("registers")
        return np.where(smart, data["smart"]["resolution_wh"], data["static"]["resolution_wh"]).astype(np.int64)


@dataclass
class Population(Generic[Part]):
    """Everything fixed that a shard holds."""

    owned_pss: NDArray[np.int32]
    feeders: list[Part]
    consumers: Consumers
    ht: slice
    """Rows of the HT consumers."""
    ht_pss_row: NDArray[np.int64]
    """Of each HT consumer, the position of its PSS among the shard's own; -1 at 132 kV and above."""
    ht_at_33kv: NDArray[np.bool_]
    ehv_row: NDArray[np.int64]
    """Of the HT consumers at 132 kV and above: their row among the state's, in order. Shape (n_ehv_owned,)."""
    n_dts: int

    def standing_for(self, only: Only) -> NDArray[np.int64]:
        """Feeders that stand for their stratum in the answer to such a question, rising."""
        return np.array([part.feeder for part in self.feeders if part.represents(only)], np.int64)


def ehv_rows(state: StateGrid) -> NDArray[np.int64]:
    """Rows of ``state.ht`` that stand at 132 kV and above; their order is that of the grid above. Shape (n_ehv,)."""
    return np.flatnonzero(state.ht.pss < 0)


def build_population(
    state: StateGrid, selection: Selection, owned_pss: NDArray[np.int32], design_kw: NDArray[np.float64], *,
    owns_ehv: bool,
) -> Population[FeederPart]:  # fmt: skip
    """Build the feeders of some PSSs that are resolved or sampled, and the HT consumers of all of them."""
    simulated = selection.resolved | selection.sampled
    position = {int(pss): row for row, pss in enumerate(owned_pss)}
    chosen = [int(row) for row in np.flatnonzero(simulated & np.isin(state.feeders.pss, owned_pss))]
    built = [build_feeder(state, row, design_kw, state.seed) for row in chosen]
    parts, n, n_dts = [], 0, 0
    for row, static in zip(chosen, built, strict=True):
        rows, dts = slice(n, n + len(static.consumer_id)), slice(n_dts, n_dts + len(static.dt_id))
        net = feeder_net(static)
        part = FeederPart(
            row, position[int(state.feeders.pss[row])], bool(selection.sampled[row]), bool(selection.scouts[row]),
            rows, dts, static.dt_id, static.rating_kva, net,
        )  # fmt: skip
        parts.append(part)
        n, n_dts = rows.stop, dts.stop
    ht_rows = _owned_ht(state, owned_pss, owns_ehv=owns_ehv)
    ehv = ehv_rows(state)
    at_ehv = ht_rows[state.ht.pss[ht_rows] < 0]
    return Population(
        owned_pss=owned_pss,
        feeders=parts,
        consumers=_columns(state, chosen, built, ht_rows),
        ht=slice(n, n + len(ht_rows)),
        ht_pss_row=np.array([position.get(int(pss), -1) for pss in state.ht.pss[ht_rows]], np.int64),
        ht_at_33kv=state.ht.kv[ht_rows] == 33.0,  # noqa: PLR2004
        ehv_row=np.searchsorted(ehv, at_ehv),
        n_dts=n_dts,
    )


def feeder_net(static: FeederStatic) -> FeederNet:
    """A feeder's network as the kernels take it; the DTs' iron and magnetising become shunts of the 11 kV tree."""
    n_nodes = len(static.tree.parent)
    g_pu, b_pu = tree_shunts(static.lv, static.node_of_dt, n_nodes)
    tree = static.tree._replace(g_pu=static.tree.g_pu + g_pu, b_pu=static.tree.b_pu + b_pu)
    return FeederNet(static.lv, tree, static.node_of_dt, np.ones((n_nodes, 1)), np.zeros(n_nodes, np.uint8))


def _owned_ht(state: StateGrid, owned_pss: NDArray[np.int32], *, owns_ehv: bool) -> NDArray[np.int64]:
    mine = np.isin(state.ht.pss, owned_pss)
    if owns_ehv:
        mine |= state.ht.pss < 0
    return np.flatnonzero(mine)


def _columns(state: StateGrid, chosen: list[int], built: list[FeederStatic], ht: NDArray[np.int64]) -> Consumers:
    def gather(name: str, of_ht: NDArray[Any], dtype: type) -> NDArray[Any]:
        return np.concatenate([*(getattr(static, name) for static in built), of_ht]).astype(dtype)

    n_ht = len(ht)
    counts = [len(static.consumer_id) for static in built]
    feeder = np.concatenate([np.repeat(np.array(chosen, np.int32), counts), np.full(n_ht, NO_FEEDER, np.int32)])
    consumer_id = gather("consumer_id", state.ht.consumer_id[ht], np.int64)
    kind = gather("kind", state.ht.kind[ht], np.uint8)
    district = np.concatenate([state.feeders.district[feeder[: len(feeder) - n_ht]], state.ht.district[ht]])
    traits, zips = draw_columns_and_zip(
        state.seed, consumer_id, kind, district.astype(np.int16), feeder.astype(np.int64)
    )
    dt_id = [static.dt_id[static.dt] for static in built]
    return Consumers(
        consumer_id=consumer_id,
        feeder=feeder,
        dt_id=np.concatenate([*dt_id, np.full(n_ht, NO_FEEDER)]).astype(np.int64),
        district=district.astype(np.int16),
        category=gather("category", state.ht.category[ht], np.uint8),
        kind=kind,
        phases=gather("phases", np.full(n_ht, 3), np.uint8),
        sanctioned_kw=gather("sanctioned_kw", state.ht.sanctioned_kw[ht], np.float32),
        contract_kva=np.concatenate([np.zeros(len(consumer_id) - n_ht), state.ht.contract_kva[ht]]).astype(np.float32),
        smart_rank=gather("smart_rank", np.zeros(n_ht), np.float32),
        vendor=gather("vendor", np.zeros(n_ht), np.uint8),
        traits=traits,
        zips=zips,
    )
