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
SIDES = ("hv", "mv", "lv")
NO_ZEROS: dict[str, tuple[tuple[str, ...], ...]] = {
    "line": (("length_km",), ("r_ohm_per_km", "x_ohm_per_km")),
    "trafo": (("vk_percent",),),
    "trafo3w": tuple((f"vk_{side}_percent",) for side in SIDES),
    "impedance": (("rft_pu", "xft_pu"), ("rtf_pu", "xtf_pu")),
}
"""Columns that make a zero impedance when all of a group are 0."""
NUMBERS: dict[str, tuple[str, ...]] = {
    "line": ("length_km", "r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km"),
    "trafo": ("vn_hv_kv", "vn_lv_kv", "sn_mva", "vk_percent", "vkr_percent", "pfe_kw", "i0_percent"),
    "trafo3w": (
        *(f"{name}_{side}_{unit}" for side in SIDES
          for name, unit in (("vn", "kv"), ("sn", "mva"), ("vk", "percent"), ("vkr", "percent"))),
        "pfe_kw", "i0_percent",
    ),
    "impedance": ("rft_pu", "xft_pu", "rtf_pu", "xtf_pu", "sn_mva"),
    "ext_grid": ("vm_pu", "va_degree"),
    "gen": ("vm_pu",),
}  # fmt: skip
"""Columns that must be numbers."""
POWERS: dict[str, tuple[str, ...]] = {
    "gen": ("p_mw",),
    "load": ("p_mw", "q_mvar"),
    "sgen": ("p_mw", "q_mvar"),
    "storage": ("p_mw", "q_mvar"),
    "shunt": ("p_mw", "q_mvar"),
    "ward": ("ps_mw", "qs_mvar", "pz_mw", "qz_mvar"),
    "xward": ("ps_mw", "qs_mvar", "pz_mw", "qz_mvar"),
    "asymmetric_load": ("p_a_mw", "p_b_mw", "p_c_mw", "q_a_mvar", "q_b_mvar", "q_c_mvar"),
    "asymmetric_sgen": ("p_a_mw", "p_b_mw", "p_c_mw", "q_a_mvar", "q_b_mvar", "q_c_mvar"),
}
"""Powers at buses: pandapower adds them up in a way that lets one NaN spoil other buses' sums."""
STAND_IN: dict[str, float] = {"vk": 10.0, "vkr": 0.0, "c": 0.0, "pfe": 0.0, "i0": 0.0, "va": 0.0}
"""What stands in for a missing number or a zero while the rest is compiled, by the column's first word; else 1."""


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
    """All defects of a network."""

    branches: list[Defect] = field(default_factory=list)
    sources: list[Defect] = field(default_factory=list)
    """Of sources and generators that hold a voltage."""
    powers: list[Defect] = field(default_factory=list)
    """Elements whose power, by the table, is not a number."""
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
                    self.sources += [defect for defect in at[bus] if defect not in self.sources]
                    net[table].loc[index, "vm_pu"] = kept[0]
                    if table == "ext_grid" and kept[1] is not None:
                        net[table].loc[index, "va_degree"] = kept[1]


def repair(net: Any) -> Defects:
    """Find defects in the tables of a working copy, and replace what would stop pandapower's compilation."""
    found = Defects()
    for table, columns in NUMBERS.items():
        into = found.sources if table in ("ext_grid", "gen") else found.branches
        _not_a_number(net[table], table, columns, into)
    for table, groups in NO_ZEROS.items():
        _zeros(net[table], table, groups, found.branches)
    for table, columns in POWERS.items():
        _not_a_number(net[table], table, columns, found.powers, stand_in=0.0)
    _backwards(net, "trafo", (("hv", "lv"),), found.branches)
    _backwards(net, "trafo3w", (("hv", "mv"), ("hv", "lv")), found.branches)
    _suspects(net, found.suspects)
    return found


def _mark(found: list[Defect], cause: str, table: str, rows: Any) -> None:
    found += [Defect(cause, table, int(k)) for k in rows]


def _stand_in(column: str) -> float:
    return STAND_IN.get(column.split("_")[0], 1.0)


def _not_a_number(
    rows: Any, table: str, columns: tuple[str, ...], found: list[Defect], stand_in: float | None = None
) -> None:
    if not len(rows):
        return
    values = rows[list(columns)].to_numpy(dtype=float)
    bad = ~np.isfinite(values)
    _mark(found, NOT_A_NUMBER, table, rows.index[bad.any(axis=1) & rows.in_service.to_numpy(bool)])
    for k, column in enumerate(columns):
        if bad[:, k].any():
            rows.loc[rows.index[bad[:, k]], column] = _stand_in(column) if stand_in is None else stand_in


def _zeros(rows: Any, table: str, groups: tuple[tuple[str, ...], ...], found: list[Defect]) -> None:
    if not len(rows):
        return
    on = rows.in_service.to_numpy(bool)
    for group in groups:
        zero = np.abs(rows[list(group)].to_numpy(dtype=float)).sum(axis=1) == 0
        _mark(found, ZERO_IMPEDANCE, table, rows.index[on & zero])
        for column in group:
            if zero.any():
                rows[column] = rows[column].astype(np.float64)
                rows.loc[rows.index[zero], column] = _stand_in(column)


def _backwards(net: Any, table: str, pairs: tuple[tuple[str, str], ...], found: list[Defect]) -> None:
    rows, kv = net[table], net.bus.vn_kv
    if not len(rows):
        return
    on = rows.in_service.to_numpy(bool)
    for high, low in pairs:
        rated = rows[f"vn_{high}_kv"].to_numpy(float) / rows[f"vn_{low}_kv"].to_numpy(float)
        buses = kv.reindex(rows[f"{high}_bus"]).to_numpy(float) / kv.reindex(rows[f"{low}_bus"]).to_numpy(float)
        wrong = on & (rated > 1) & (buses < 1) & (rated / buses > BACKWARDS_FACTOR)
        _mark(found, BACKWARDS, table, rows.index[wrong])


def _suspects(net: Any, found: list[Defect]) -> None:
    line, trafo = net.line, net.trafo
    negative = (line.r_ohm_per_km.to_numpy(float) < 0) | (line.length_km.to_numpy(float) < 0)
    negative |= line.x_ohm_per_km.to_numpy(float) < 0
    _mark(found, NEGATIVE_IMPEDANCE, "line", line.index[line.in_service.to_numpy(bool) & negative])
    negative = trafo.in_service.to_numpy(bool) & (trafo.vk_percent.to_numpy(float) < 0)
    _mark(found, NEGATIVE_IMPEDANCE, "trafo", trafo.index[negative])
