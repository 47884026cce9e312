"""Data that makes a solution meaningless: found before solving, named, and kept from harming what is sound.

A defect is repaired in a working copy so that the rest compiles; the part of the network that holds it is not solved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ZERO_IMPEDANCE = "zero impedance"
NEGATIVE_IMPEDANCE = "negative impedance"
NOT_A_NUMBER = "not a number"
BACKWARDS = "transformer wired backwards"
CONTRADICTORY = "contradictory slacks"
ISLAND = "island without source"
COLLAPSE = "voltage collapse"
NO_SOLUTION = "no solution found"

BACKWARDS_FACTOR = 2.0
"""A transformer is wired backwards when its rated ratio and its buses' differ by more, on opposite sides of 1."""
WHOLE_LINE_KM, WHOLE, WHOLE_PERCENT = 1.0, 1.0, 10.0
"""What stands in for a zero while the rest is compiled; never in a result."""


@dataclass(frozen=True)
class Defect:
    """One element with the name of what is wrong with it."""

    cause: str
    table: str
    index: int

    def __str__(self) -> str:
        return f"{self.table} {self.index}"


@dataclass
class Defects:
    """All defects: of branches, and of sources (as buses of pandapower's case)."""

    branches: list[Defect] = field(default_factory=list)
    slack_buses: dict[int, list[Defect]] = field(default_factory=dict)
    suspects: list[Defect] = field(default_factory=list)
    """Unusual but lawful: named only where no solution is found."""

    def reconcile(self, net: Any, lookup: NDArray[np.int64]) -> None:
        """Note the sources and generators that ask one bus for different voltages; let the first of each decide."""
        first: dict[int, tuple[float, float | None]] = {}
        at: dict[int, list[Defect]] = {}
        for table in ("ext_grid", "gen"):
            for index in net[table].index[net[table].in_service]:
                row = net[table].loc[index]
                bus = int(lookup[int(row.bus)])
                asked = (float(row.vm_pu), float(row.va_degree) if table == "ext_grid" else None)
                kept = first.setdefault(bus, asked)
                at.setdefault(bus, []).append(Defect(CONTRADICTORY, table, int(index)))
                angle_differs = None not in (kept[1], asked[1]) and kept[1] != asked[1]
                if kept[0] != asked[0] or angle_differs:
                    self.slack_buses[bus] = at[bus]
                    net[table].loc[index, "vm_pu"] = kept[0]
                    if table == "ext_grid" and kept[1] is not None:
                        net[table].loc[index, "va_degree"] = kept[1]


def repair(net: Any) -> Defects:
    """Find defects in the tables of a working copy, and replace what would stop pandapower's compilation."""
    found = Defects()
    _lines(net, found)
    _transformers(net, found)
    _three_windings(net, found)
    _impedances(net, found)
    return found


def _mark(found: list[Defect], cause: str, table: str, index: Any) -> None:
    found += [Defect(cause, table, int(k)) for k in index]


def _lines(net: Any, found: Defects) -> None:
    line = net.line
    ohm = np.hypot(line.r_ohm_per_km.to_numpy(float), line.x_ohm_per_km.to_numpy(float))
    on = line.in_service.to_numpy(bool)
    short, bare = line.length_km.to_numpy(float) == 0, ohm == 0
    _mark(found.branches, ZERO_IMPEDANCE, "line", line.index[on & (short | bare)])
    negative = on & ((line.r_ohm_per_km.to_numpy(float) < 0) | (line.length_km.to_numpy(float) < 0))
    _mark(found.suspects, NEGATIVE_IMPEDANCE, "line", line.index[negative])
    line.loc[line.index[short], "length_km"] = WHOLE_LINE_KM
    line.loc[line.index[bare], ["r_ohm_per_km", "x_ohm_per_km"]] = WHOLE


def _transformers(net: Any, found: Defects) -> None:
    trafo = net.trafo
    on = trafo.in_service.to_numpy(bool)
    zero = trafo.vk_percent.to_numpy(float) == 0
    _mark(found.branches, ZERO_IMPEDANCE, "trafo", trafo.index[on & zero])
    _mark(found.suspects, NEGATIVE_IMPEDANCE, "trafo", trafo.index[on & (trafo.vk_percent.to_numpy(float) < 0)])
    trafo.loc[trafo.index[zero], "vk_percent"] = WHOLE_PERCENT
    kv = net.bus.vn_kv
    rated = trafo.vn_hv_kv.to_numpy(float) / trafo.vn_lv_kv.to_numpy(float)
    buses = kv.reindex(trafo.hv_bus).to_numpy(float) / kv.reindex(trafo.lv_bus).to_numpy(float)
    wrong = on & ((rated > 1) != (buses > 1)) & (rated != 1) & (buses != 1) & (rated / buses > BACKWARDS_FACTOR)
    _mark(found.branches, BACKWARDS, "trafo", trafo.index[wrong])


def _three_windings(net: Any, found: Defects) -> None:
    trafo = net.trafo3w
    if not len(trafo):
        return
    on, kv = trafo.in_service.to_numpy(bool), net.bus.vn_kv
    for side in ("hv", "mv", "lv"):
        column = f"vk_{side}_percent"
        zero = trafo[column].to_numpy(float) == 0
        _mark(found.branches, ZERO_IMPEDANCE, "trafo3w", trafo.index[on & zero])
        trafo.loc[trafo.index[zero], column] = WHOLE_PERCENT
    for high, low in (("hv", "mv"), ("hv", "lv")):
        rated = trafo[f"vn_{high}_kv"].to_numpy(float) / trafo[f"vn_{low}_kv"].to_numpy(float)
        buses = kv.reindex(trafo[f"{high}_bus"]).to_numpy(float) / kv.reindex(trafo[f"{low}_bus"]).to_numpy(float)
        wrong = on & (rated > 1) & (buses < 1) & (rated / buses > BACKWARDS_FACTOR)
        _mark(found.branches, BACKWARDS, "trafo3w", trafo.index[wrong])


def _impedances(net: Any, found: Defects) -> None:
    impedance = net.impedance
    if not len(impedance):
        return
    on = impedance.in_service.to_numpy(bool)
    for pair in (["rft_pu", "xft_pu"], ["rtf_pu", "xtf_pu"]):
        zero = np.abs(impedance[pair].to_numpy(float)).sum(axis=1) == 0
        _mark(found.branches, ZERO_IMPEDANCE, "impedance", impedance.index[on & zero])
        impedance.loc[impedance.index[zero], pair] = WHOLE
