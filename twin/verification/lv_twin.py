"""DTs of the synthesised state, exported to OpenDSS with all four wires, against the solver that a run uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from twin.demand.draw import day_tables
from twin.demand.weather import GeneratedWeather
from twin.grid.export_opendss import tile_script
from twin.grid.feeder import FeederStatic, build_feeder
from twin.grid.tables import FEEDER_CLASSES, conductors
from twin.verification import opendss_lv
from twin.verification.case import Row
from twin.verification.compare import Against
from twin.verification.coupling.tree import DATE, DAY_STEPS, HOURS, drawn_demand
from twin.verification.lv_networks import PHASES, LvSolution, solve
from twin.verification.synthetic import SEED, planning_kw, state_grid

NAME = "lv-opendss-tiles"
V_DT_PU = 0.97
VOLT, SHARE = 1e-6, 5e-6
"""What float32 leaves: of voltages [pu], of powers [of the figure]. Small losses get double."""
KINDS = {"bundled cable": False, "bare conductors": True}
EVENING = len(HOURS) - 1


@dataclass(frozen=True)
class DrawnFeeder:
    """A feeder with its consumers' demand on an evening, at 230 V, and their voltage laws."""

    static: FeederStatic
    kw: NDArray[np.float64]
    zips: NDArray[np.float64]


@lru_cache(maxsize=1)
def mixed_feeder() -> DrawnFeeder:
    """The first rural feeder with bare and with bundled LV lines."""
    state = state_grid()
    for row in np.flatnonzero(state.feeders.feeder_class == FEEDER_CLASSES.index("rural_mixed")):
        static = build_feeder(state, int(row), planning_kw(), SEED)
        if len({conductors()[code].bare for code in static.lv_conductor}) == len(KINDS):
            day = day_tables(SEED, GeneratedWeather(SEED), DATE, DAY_STEPS, np.array([static.district]))
            kw, zips = drawn_demand(static, day)
            return DrawnFeeder(static, kw[:, EVENING].astype(float), zips.astype(float))
    raise AssertionError("no rural feeder has both kinds of line")


def weakest(feeder: DrawnFeeder, *, bare: bool) -> int:
    """The DT with the lowest voltage at a consumer among those of one kind of line."""
    codes = feeder.static.lv_conductor
    of_kind = [k for k in range(len(codes)) if conductors()[codes[k]].bare == bare]
    lowest = [np.abs(solve(feeder.static.lv, k, feeder.kw, feeder.zips, V_DT_PU).leg_pu).min() for k in of_kind]
    return of_kind[int(np.argmin(lowest))]


def exported_tiles() -> Iterator[Row]:
    """The weakest DT of each kind, with its demand as drawn and half again."""
    feeder = mixed_feeder()
    for kind, bare in KINDS.items():
        k = weakest(feeder, bare=bare)
        for level, times in (("as drawn", 1.0), ("half again", 1.5)):
            kw = times * feeder.kw
            mine = solve(feeder.static.lv, k, kw, feeder.zips, V_DT_PU)
            theirs = opendss_lv.run(tile_script(feeder.static, k, kw, feeder.zips, V_DT_PU).splitlines())
            yield from _rows(f"{kind}, {level}", feeder.static, k, mine, theirs)


def _rows(name: str, static: FeederStatic, k: int, mine: LvSolution, theirs: opendss_lv.OpenDssResult) -> Iterator[Row]:
    lowest = np.abs(mine.leg_pu).min()
    against = Against(
        NAME,
        f"OpenDSS, four wires: DT {static.dt_id[k]}, {static.rating_kva[k]:g} kVA, {np.sum(static.dt == k)} consumers, "
        f"lowest voltage {lowest:.2f} pu",
    )
    names = leg_names(static, k)
    there = [j for j, leg in enumerate(names) if leg in theirs.load_pu]
    volts, kw = ([column[names[j]] for j in there] for column in (theirs.load_pu, theirs.load_kw))
    yield against.worst(f"voltage at the consumers, {name}", np.abs(mine.leg_pu[there]), volts, VOLT, "pu")
    yield against.worst(f"power of a leg, {name}", mine.leg_kw[there], kw, SHARE * max(kw), "kW")
    yield against.share(f"loss in wires, {name}", mine.loss_lv_kw, theirs.line_loss_kw, 2 * SHARE, "kW")
    yield against.share(f"loss in the DT, {name}", mine.copper_dt_kw, theirs.transformer_loss_kw, 2 * SHARE, "kW")
    yield against.share(f"power sent, {name}", mine.sent_kw, theirs.sent_kw, SHARE, "kW")
    yield against.share(f"reactive power sent, {name}", mine.sent_kvar, theirs.sent_kvar, 2 * SHARE, "kvar")


def leg_names(static: FeederStatic, k: int) -> list[str]:
    """Names of DT k's legs in its script, in the solver's order."""
    first, last = static.lv.dt_leg_ptr[k], static.lv.dt_leg_ptr[k + 1]
    group = np.searchsorted(static.lv.group_ptr, np.arange(first, last), side="right") - 1
    ids = static.consumer_id[static.lv.leg_consumer[first:last]]
    return [f"c{consumer}_{PHASES[g % 3]}" for consumer, g in zip(ids, group, strict=True)]
