"""33 kV, 11 kV and LV solved apart and settled at their borders, against one Newton over the merged network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.simulation.messages import Q
from twin.units import KW_PER_MW
from twin.verification.case import Case, Row
from twin.verification.compare import Against
from twin.verification.coupling.layers import Layers, by_equivalents, exact
from twin.verification.coupling.merged import Merged, MergedResult, merge, solve_step
from twin.verification.coupling.tree import HOURS, Tree, build_tree

LEVELS = {"11 kV": Q.LOSS_11KV, "DT": Q.LOSS_DT, "LV": Q.LOSS_LV}


@lru_cache(maxsize=1)
def merged() -> Merged:
    """The merged network, built once; its loads and taps change from step to step."""
    return merge(build_tree())


def losses_kw(tree: Tree, layers: Layers, step: int) -> dict[str, float]:
    """Ours by level, as `MergedResult.loss_kw`."""
    base_kw = tree.above.sn_mva * KW_PER_MW
    out = {"33 kV": base_kw * float(layers.above.loss_33[0, step] + layers.above.loss_gss[0, step])}
    for level, quantity in LEVELS.items():
        out[level] = float(sum(one.quantities[quantity, step] for one in layers.feeders))
    return out


def rows(
    name: str, solve: Callable[[Tree], Layers], v_pu: float, v_lv_pu: float, loss: float, level_loss: float
) -> Iterator[Row]:
    """Voltages of all 33 and 11 kV buses, of the lowest pole of every DT, and losses, over all steps."""
    tree = build_tree()
    layers = solve(tree)
    theirs = [solve_step(merged(), tree, layers.positions, step) for step in range(len(HOURS))]
    against = Against(
        name,
        f"pandapower.runpp of the merged network, {len(merged().net.bus):,} buses, {len(HOURS)} steps; ours: "
        f"{len(layers.moved_pu)} exchanges, {sum(one.solved for one in layers.feeders)} tiles solved for "
        f"{sum(len(one.book.tight) for one in layers.feeders)} DTs",
    )
    yield against.worst("PSS 11 kV bus", layers.v_pss_pu, _pss(theirs), v_pu, "pu")
    yield against.worst("11 kV node", _join([one.v_node_pu for one in layers.feeders]), _nodes(theirs), v_pu, "pu")
    ends = _join([one.v_end_pu for one in layers.feeders])
    yield against.worst("lowest pole of a DT", ends, _ends(tree, theirs), v_lv_pu, "pu")
    mine = [losses_kw(tree, layers, step) for step in range(len(HOURS))]
    worst = int(
        np.argmax([abs(sum(a.values()) / sum(b.loss_kw.values()) - 1) for a, b in zip(mine, theirs, strict=True)])
    )
    yield against.share("all losses", sum(mine[worst].values()), sum(theirs[worst].loss_kw.values()), loss, "kW")
    for level in theirs[0].loss_kw:
        pairs = [(a[level], b.loss_kw[level]) for a, b in zip(mine, theirs, strict=True)]
        ours, reference = max(pairs, key=lambda pair: abs(pair[0] / pair[1] - 1))
        yield against.share(f"losses, {level}", ours, reference, level_loss, "kW")


def _pss(theirs: list[MergedResult]) -> NDArray[np.float64]:
    at = merged().net.pss.bus_11.to_numpy()
    return np.array([one.vm_pu[at] for one in theirs]).T


def _nodes(theirs: list[MergedResult]) -> NDArray[np.float64]:
    at = _join([feeder.nodes for feeder in merged().feeders])
    return np.array([one.vm_pu[at] for one in theirs]).T


def _ends(tree: Tree, theirs: list[MergedResult]) -> NDArray[np.float64]:
    """Lowest voltage of the poles of every DT."""
    out = []
    for feeder, place in zip(tree.feeders, merged().feeders, strict=True):
        first = feeder.static.lv.dt_pole_ptr[:-1]
        out.append(np.array([np.minimum.reduceat(one.vm_pu[place.poles], first) for one in theirs]).T)
    return _join(out)


def _join(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts)


CASES = (
    Case(
        "coupling-exact",
        "coupling of levels",
        "132 kV bus to balanced LV, all levels iterated until nothing moves, against one merged network",
        partial(rows, "coupling-exact", exact, v_pu=1e-6, v_lv_pu=1e-6, loss=1e-4, level_loss=1e-4),
    ),
    Case(
        "coupling-equivalents",
        "coupling of levels",
        "the same with LV solved once and its equivalents, as runs do, against one merged network",
        partial(rows, "coupling-equivalents", by_equivalents, v_pu=2e-4, v_lv_pu=2e-4, loss=2e-3, level_loss=2e-3),
    ),
)
