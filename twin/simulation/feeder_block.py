"""One 11 kV feeder for one block: its tiles and its 11 kV line settled against each other, in compiled code.

The feeder's demand is drawn once per round and stays in the processor's cache while every arm is solved on it. The DT
voltages are guessed by one sweep with the nominal demand, the tiles are solved there, and the sweep goes on with the
tiles' equivalents; a tile whose voltage moved more than the tolerance is solved again, until none moves.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lv import LvOptions, LvScratch, LvTiles, TileOut, solve_tile
from twin.powerflow.lv_equivalents import Settled, settle, tile_loads, zone_factors
from twin.powerflow.radial import NodeLoads, RadialOptions, RadialOut, RadialScratch, RadialTree, sweep

MOST_ROUNDS = 12
"""Rounds of tiles and line against each other; a stressed feeder needs 6 to 9 without equivalents."""


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
    """Working memory and results of one feeder; rows beyond its DTs and nodes keep another feeder's values."""

    tiles: TileOut
    """At the voltages the tiles were solved at."""
    final: Settled
    """At the voltages of the line's last sweep."""
    loads: NodeLoads
    line: RadialOut
    factor: NDArray[np.float64]
    """Energy at the final voltage over that of the solution, by zone. [n_zones]"""
    lv_scratch: LvScratch
    line_scratch: RadialScratch


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
def guess_loads(
    net: FeederNet, kw: NDArray[np.float32], zips: NDArray[np.float32], lost: float, steps: int, loads: NodeLoads
) -> None:
    """Loads of the first sweep: nominal demand plus a share lost below the DT, taken as constant power."""
    for column in (loads.used_kw, loads.loss_kw, loads.q_kvar, loads.n_used, loads.n_loss, loads.n_q, loads.s):
        column[:, :] = 0.0
    loads.v0_pu[:, :] = 1.0
    for k in range(len(net.node_of_dt)):
        node = net.node_of_dt[k]
        for c in range(net.lv.dt_consumer_ptr[k], net.lv.dt_consumer_ptr[k + 1]):
            tangent = zips[c, 3] + zips[c, 4] + zips[c, 5]
            for t in range(steps):
                loads.used_kw[node, t] += kw[c, t]
                loads.q_kvar[node, t] += kw[c, t] * tangent
    for node in range(len(net.tree.parent)):
        for t in range(steps):
            loads.loss_kw[node, t] = lost * loads.used_kw[node, t]


@nb.njit(cache=True, error_model="numpy")
def settle_feeder(
    net: FeederNet,
    kw: NDArray[np.float32],
    zips: NDArray[np.float32],
    v_head_pu: NDArray[np.float64],
    guess: bool,
    lost: float,
    zone_of_step: NDArray[np.uint8],
    hours: float,
    tolerance_pu: float,
    lv_options: LvOptions,
    line_options: RadialOptions,
    work: FeederWork,
    v_dt_pu: NDArray[np.float64],
    consumer_kwh: NDArray[np.float64],
) -> int:
    """Settle a feeder at its head voltage; returns the number of tiles solved, repeats included.

    Parameters
    ----------
    net : FeederNet
        The feeder.
    kw : float32 array, shape (n_consumers, stride)
        Demand after response at 230 V. [kW]
    zips : float32 array, shape (n_consumers, 6)
        Voltage dependence of the consumers, as for `solve_tile`.
    v_head_pu : array, shape (steps,)
        PSS 11 kV bus. [pu]
    guess : bool
        Guess the DT voltages with nominal demand; else start from ``v_dt_pu`` as given.
    lost : float
        Share of demand lost below the DT in the guess; changes no result beyond the tolerance.
    zone_of_step, hours
        Register zone of each step, and a step's length. [h]
    tolerance_pu : float
        A tile is solved again where its voltage moved more. [pu]
    lv_options, line_options, work
        Options of the two solvers, and working memory.
    v_dt_pu : array, shape (n_dt, steps)
        Left with the voltages at which the tiles were solved. [pu]
    consumer_kwh : array, shape (n_consumers, n_zones)
        Overwritten with the energy used by zone. [kWh]
    """
    steps, n_dt = len(v_head_pu), len(net.node_of_dt)
    if guess:
        guess_loads(net, kw, zips, lost, steps, work.loads)
        sweep(net.tree, work.loads, v_head_pu, net.ratio, net.branch_class, line_options, work.line_scratch, work.line)
        for k in range(n_dt):
            for t in range(steps):
                v = work.line.v_pu[net.node_of_dt[k], t]
                v_dt_pu[k, t] = v if np.isfinite(v) else v_head_pu[t]
    solved = 0
    for turn in range(MOST_ROUNDS):
        moved = 0
        for k in range(n_dt):
            if turn > 0 and not _follow(work.line.v_pu[net.node_of_dt[k]], tolerance_pu, v_dt_pu[k]):
                continue
            solve_tile(
                net.lv, k, kw, zips, v_dt_pu[k], zone_of_step, hours, lv_options, work.lv_scratch, work.tiles,
                consumer_kwh,
            )  # fmt: skip
            moved += 1
        solved += moved
        if moved == 0:
            break
        tile_loads(work.tiles, net.node_of_dt, work.loads)
        sweep(net.tree, work.loads, v_head_pu, net.ratio, net.branch_class, line_options, work.line_scratch, work.line)
    for k in range(n_dt):
        settle(net.lv, k, work.tiles, work.line.v_pu[net.node_of_dt[k]], work.final)
        zone_factors(k, work.tiles, work.final, zone_of_step, work.factor)
        for c in range(net.lv.dt_consumer_ptr[k], net.lv.dt_consumer_ptr[k + 1]):
            for zone in range(consumer_kwh.shape[1]):
                consumer_kwh[c, zone] *= work.factor[zone]
    return solved


@nb.njit(cache=True, error_model="numpy")
def _follow(v_node_pu: NDArray[np.float64], tolerance_pu: float, v_dt_pu: NDArray[np.float64]) -> bool:
    """Move a DT's voltages to its node's if any is further off than the tolerance; did they move?

    A state of the line without a solution leaves its step where it is; the line's status reports it.
    """
    most = 0.0
    for t in range(len(v_dt_pu)):
        change = abs(v_node_pu[t] - v_dt_pu[t])
        if change > most:
            most = change
    if most <= tolerance_pu:
        return False
    for t in range(len(v_dt_pu)):
        if np.isfinite(v_node_pu[t]):
            v_dt_pu[t] = v_node_pu[t]
    return True
