"""One 11 kV feeder for one block: compiled parts that `block` puts together.

Demand after response, a guess of the DT voltages by one sweep with nominal demand, tiles solved there, and the line's
sweep with the tiles' equivalents. A tile is solved again where its voltage moved more than a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import aligned
from twin.powerflow.lv import (
    LANES,
    LvOptions,
    LvScratch,
    LvTiles,
    TileOut,
    lv_options,
    lv_scratch_for,
    solve_tile,
    tile_out,
)
from twin.powerflow.radial import (
    NodeLoads,
    RadialOptions,
    RadialOut,
    RadialScratch,
    RadialTree,
    node_loads,
    radial_options,
    radial_out,
    radial_scratch,
    sweep,
)
from twin.powerflow.tile_book import TileBook, add_no_load, book_loads, keep_tile, mark_moved, without_shunts
from twin.simulation.spans import Levels
from twin.units import LV_NOMINAL_PU

MOST_ROUNDS = 12
"""Rounds of tiles and line against each other; a stressed feeder needs 6 to 9 without equivalents."""
LOST_IN_GUESS = 0.04
"""Drop, and share of demand lost, below a DT in the first guess of voltages; results do not hang on it."""
GUESS_ELASTICITY = 1.2
"""Of demand to voltage, in the same guess."""
TIGHT_SHARE = 0.15
"""Limit of stressed tiles, as a share of the others': 0.003 pu keeps the energy of their day within 1e-4."""


class FeederNet(NamedTuple):
    """The fixed part of a feeder as the kernels take it."""

    lv: LvTiles
    tree: RadialTree
    node_of_dt: NDArray[np.int32]
    """11 kV node of each DT. [n_dt]"""
    ratio: NDArray[np.float64]
    """No transformer within the 11 kV line: ones. [n_nodes, 1]"""
    branch_class: NDArray[np.uint8]
    """One class: 11 kV lines. [n_nodes]"""


class FeederWork(NamedTuple):
    """Working memory for the largest of some feeders; rows beyond a feeder's DTs and nodes keep another's values."""

    tiles: TileOut
    loads: NodeLoads
    line: RadialOut
    v_dt_pu: NDArray[np.float64]
    """Voltages to solve tiles at. [n_dt, steps]"""
    moved: NDArray[np.uint8]
    """Tiles to solve. [n_dt]"""
    lv_scratch: LvScratch
    line_scratch: RadialScratch
    g_pu: NDArray[np.float64]
    """Shunts of a line whose DTs' are loads. [n_nodes]"""
    b_pu: NDArray[np.float64]


class Solvers(NamedTuple):
    """Options of the two solvers."""

    lv: LvOptions
    line: RadialOptions


def default_solvers() -> Solvers:
    """The measured defaults."""
    return Solvers(lv_options(), radial_options())


def feeder_work(nets: list[FeederNet], steps: int) -> FeederWork:
    """Working memory for the largest of ``nets``."""
    n_dt = max([len(net.node_of_dt) for net in nets], default=1)
    n_nodes = max([len(net.tree.parent) for net in nets], default=1)
    legs = max([int(np.diff(net.lv.dt_leg_ptr).max(initial=1)) for net in nets], default=1)
    poles = max([int(np.diff(net.lv.dt_pole_ptr).max(initial=1)) for net in nets], default=1)
    return FeederWork(
        tiles=tile_out(n_dt, steps),
        loads=node_loads(n_nodes, steps),
        line=radial_out(n_nodes, steps, 1),
        v_dt_pu=np.ones((n_dt, steps)),
        moved=np.ones(n_dt, np.uint8),
        lv_scratch=lv_scratch_for(legs, poles),
        line_scratch=radial_scratch(n_nodes),
        g_pu=np.zeros(n_nodes),
        b_pu=np.zeros(n_nodes),
    )


def demand_room(n_consumers: int, steps: int) -> NDArray[np.float32]:
    """Room for the demand of ``n_consumers``, rows padded to whole bundles of the LV kernel."""
    return aligned((n_consumers, -(-steps // LANES) * LANES), np.float32)


@nb.njit(cache=True, error_model="numpy")
def respond(
    kw: NDArray[np.float32], factors: NDArray[np.float32], zone_of_step: NDArray[np.uint8], out: NDArray[np.float32]
) -> None:
    """Demand after price response: every step times its zone's factor. ``kw`` [n, stride], ``factors`` [n, n_zones]."""
    for i in range(kw.shape[0]):
        for t in range(len(zone_of_step)):
            out[i, t] = kw[i, t] * factors[i, zone_of_step[t]]
        for t in range(len(zone_of_step), kw.shape[1]):
            out[i, t] = 0.0


@nb.njit(cache=True, error_model="numpy")
def zone_energy(
    kw: NDArray[np.float32], zone_of_step: NDArray[np.uint8], hours: float, out: NDArray[np.float64]
) -> None:
    """Add demand at nominal voltage by zone. ``out`` [n, n_zones], [kWh]."""
    for i in range(kw.shape[0]):
        for t in range(len(zone_of_step)):
            out[i, zone_of_step[t]] += kw[i, t] * hours


@nb.njit(cache=True, error_model="numpy")
def _guess_loads(
    net: FeederNet, kw: NDArray[np.float32], zips: NDArray[np.float32], steps: int, loads: NodeLoads
) -> None:
    """Loads of the first sweep: nominal demand with a common elasticity, plus a share lost below the DT."""
    for column in (loads.used_kw, loads.loss_kw, loads.q_kvar, loads.n_loss, loads.s):
        column[:, :] = 0.0
    loads.n_used[:, :], loads.n_q[:, :] = GUESS_ELASTICITY, GUESS_ELASTICITY
    loads.v0_pu[:, :] = LV_NOMINAL_PU / (1 - LOST_IN_GUESS)
    for k in range(len(net.node_of_dt)):
        node = net.node_of_dt[k]
        for c in range(net.lv.dt_consumer_ptr[k], net.lv.dt_consumer_ptr[k + 1]):
            tangent = zips[c, 3] + zips[c, 4] + zips[c, 5]
            for t in range(steps):
                loads.used_kw[node, t] += kw[c, t]
                loads.q_kvar[node, t] += kw[c, t] * tangent
    for node in range(len(net.tree.parent)):
        for t in range(steps):
            loads.loss_kw[node, t] = LOST_IN_GUESS * loads.used_kw[node, t]


@nb.njit(cache=True, error_model="numpy")
def _take_guess(net: FeederNet, v_head_pu: NDArray[np.float64], work: FeederWork) -> None:
    """Mark all tiles, at the line's voltages; at the head's where the line found none."""
    for k in range(len(net.node_of_dt)):
        work.moved[k] = 1
        for t in range(len(v_head_pu)):
            v = work.line.v_pu[net.node_of_dt[k], t]
            work.v_dt_pu[k, t] = v if np.isfinite(v) else v_head_pu[t]


@nb.njit(cache=True, error_model="numpy")
def solve_tiles(
    lv: LvTiles,
    kw: NDArray[np.float32],
    zips: NDArray[np.float32],
    zone_of_step: NDArray[np.uint8],
    hours: float,
    options: LvOptions,
    work: FeederWork,
    book: TileBook,
    consumer_kwh: NDArray[np.float64],
) -> None:
    """Solve the tiles marked in ``work.moved`` at ``work.v_dt_pu`` and keep them.

    ``kw`` [n_consumers, stride] at 230 V, ``zips`` as for `solve_tile`, ``consumer_kwh`` [n_consumers, n_zones]: rows
    of solved tiles are overwritten with the energy used by zone.
    """
    for k in range(len(lv.dt_consumer_ptr) - 1):
        if work.moved[k]:
            solve_tile(
                lv,
                k,
                kw,
                zips,
                work.v_dt_pu[k],
                zone_of_step,
                hours,
                options,
                work.lv_scratch,
                work.tiles,
                consumer_kwh,
            )
            keep_tile(work.tiles, k, book)


class FeederSolver:
    """Settles feeders one after another: the LV networks of a feeder against its 11 kV line."""

    def __init__(
        self, nets: list[FeederNet], steps: int, solvers: Solvers | None = None, levels: Levels | None = None
    ) -> None:
        self.levels = levels or Levels()
        self.work = feeder_work(nets, steps)
        self.solvers = solvers or default_solvers()
        self.hours = 24.0 / steps

    def sweep_line(
        self, net: FeederNet, book: TileBook, v_head_pu: NDArray[np.float64], share: NDArray[np.float64] | None = None
    ) -> RadialOut:
        """The 11 kV line with the equivalents of its tiles, at a head voltage of shape (steps,). [pu]

        With ``share``, shape (n_dt, steps), DTs magnetise for that share of a step, instead of all of it.
        """
        work, tree = self.work, net.tree
        book_loads(book, net.node_of_dt, work.loads)
        if share is not None:
            add_no_load(net.lv, net.node_of_dt, share, work.loads)
            tree = without_shunts(net.tree, net.lv, net.node_of_dt, work.g_pu, work.b_pu)
        sweep(
            tree,
            work.loads,
            v_head_pu,
            net.ratio,
            net.branch_class,
            self.solvers.line,
            work.line_scratch,
            work.line,
        )
        return work.line

    def settle(
        self,
        net: FeederNet,
        book: TileBook,
        v_head_pu: NDArray[np.float64],
        limit_pu: float,
        demand: Callable[[NDArray[np.bool_] | None], NDArray[np.float32]],
        zips: NDArray[np.float32],
        zone_of_step: NDArray[np.uint8],
        consumer_kwh: NDArray[np.float64],
        *,
        first: bool,
        share: NDArray[np.float64] | None = None,
    ) -> int:
        """Settle a feeder; leaves the line in ``work.line`` and the tiles in ``book``; returns tiles solved.

        Parameters
        ----------
        net : FeederNet
            The feeder.
        book : TileBook
            Its DTs. Without ``first`` they are where an earlier call left them.
        v_head_pu : array, shape (steps,)
            PSS 11 kV bus. [pu]
        limit_pu : float
            A tile is solved again where its node is further from the voltage of its solution: some 1e-2 if equivalents
            are good enough, 5e-5 to be exact. [pu]
        demand : callable
            Gives demand after response at 230 V, shape (n_consumers, stride); called only if a tile is solved. It is
            told which DTs are wanted, shape (n_dt,), None for all: rows that no call asked for may hold anything. [kW]
        zips : float32 array, shape (n_consumers, 6)
            Voltage dependence of the consumers, as for `solve_tile`.
        zone_of_step : uint8 array, shape (steps,)
            Register zones.
        consumer_kwh : array, shape (n_consumers, n_zones)
            Energy used by zone at the voltages of the tiles' solutions; rows of solved tiles are overwritten. [kWh]
        first : bool
            Solve all tiles, at voltages guessed from the demand.
        share : array, shape (n_dt, steps)
            Of each step in which a DT is supplied; left out: all of it. The demand is that of the supplied share.
        """
        work, solved, n_dt = self.work, 0, len(net.node_of_dt)
        drawn = np.full(n_dt, first)
        if first:
            kw = demand(None)
            solved += self._first(net, book, v_head_pu, kw, zips, zone_of_step, consumer_kwh)
        for _ in range(MOST_ROUNDS):
            line = self.sweep_line(net, book, v_head_pu, share)
            count = mark_moved(
                book, net.node_of_dt, line.v_pu, limit_pu, TIGHT_SHARE * limit_pu, work.moved, work.v_dt_pu
            )
            if count == 0:
                break
            wanted = (work.moved[:n_dt] == 1) & ~drawn
            if wanted.any():
                kw = demand(wanted)
                drawn |= wanted
            self._solve_tiles(net, kw, zips, zone_of_step, book, consumer_kwh)
            solved += count
        return solved

    def solve_some(
        self, net: FeederNet, dts: NDArray[np.int64], v_dt_pu: NDArray[np.float64], kw: NDArray[np.float32],
        zips: NDArray[np.float32], zone_of_step: NDArray[np.uint8], book: TileBook, consumer_kwh: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Solve some DTs of a feeder at given voltages, shape (n_dt, steps)."""
        work, n_dt = self.work, len(net.node_of_dt)
        work.moved[:n_dt] = 0
        work.moved[dts] = 1
        work.v_dt_pu[:n_dt] = v_dt_pu
        self._solve_tiles(net, kw, zips, zone_of_step, book, consumer_kwh)

    def _first(
        self, net: FeederNet, book: TileBook, v_head_pu: NDArray[np.float64], kw: NDArray[np.float32],
        zips: NDArray[np.float32], zone_of_step: NDArray[np.uint8], consumer_kwh: NDArray[np.float64],
    ) -> int:  # fmt: skip
        work = self.work
        _guess_loads(net, kw, zips, len(v_head_pu), work.loads)
        sweep(
            net.tree,
            work.loads,
            v_head_pu,
            net.ratio,
            net.branch_class,
            self.solvers.line,
            work.line_scratch,
            work.line,
        )
        _take_guess(net, v_head_pu, work)
        self._solve_tiles(net, kw, zips, zone_of_step, book, consumer_kwh)
        return len(net.node_of_dt)

    def _solve_tiles(
        self, net: FeederNet, kw: NDArray[np.float32], zips: NDArray[np.float32], zone_of_step: NDArray[np.uint8],
        book: TileBook, consumer_kwh: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Solve the tiles that are marked as moved."""
        with self.levels.measure("lv"):
            solve_tiles(net.lv, kw, zips, zone_of_step, self.hours, self.solvers.lv, self.work, book, consumer_kwh)
