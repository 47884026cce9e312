"""Which feeders are simulated: those looked at closely, and the sample that stands for all others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twin.errors import Problem, ScenarioError
from twin.grid.places import resolve_district
from twin.grid.settings import synthesis
from twin.grid.state import N_STRATA, StateGrid
from twin.grid.tables import DISCOMS, FEEDER_CLASSES
from twin.streams import Stream, uniforms

Resolve = Literal["all"] | Sequence[str] | float
"""What to resolve: everything, the named districts, or a fraction of the feeders of every stratum."""


@dataclass(frozen=True)
class Selection:
    """The feeders that are simulated.

    ``resolved`` stand for themselves; ``sampled`` represent the unresolved feeders of their stratum. With a fraction
    the two are the same feeders.
    """

    resolved: NDArray[np.bool_]
    """[n_feeders]"""
    sampled: NDArray[np.bool_]
    """[n_feeders]"""
    scouts: NDArray[np.bool_]
    """A few simulated feeders of every stratum: they guess the voltages a first block begins with. [n_feeders]"""
    feeders_in_stratum: NDArray[np.int64]
    """[N_STRATA]"""
    consumers_in_stratum: NDArray[np.int64]
    """[N_STRATA]"""
    unresolved_consumers: NDArray[np.int64]
    """Consumers that the sample represents. [N_STRATA]"""
    sampled_consumers: NDArray[np.int64]
    """Consumers of the sample. [N_STRATA]"""

    @property
    def simulated(self) -> NDArray[np.bool_]:
        """Feeders built and solved. [n_feeders]"""
        return self.resolved | self.sampled


def stratum_name(code: int) -> str:
    """For people: ``"NBPDCL rural_mixed"``."""
    return f"{DISCOMS[code // len(FEEDER_CLASSES)]} {FEEDER_CLASSES[code % len(FEEDER_CLASSES)]}"


def choose(state: StateGrid, resolve: Resolve, seed: int) -> Selection:
    """Choose the resolved feeders and the sample.

    Parameters
    ----------
    state : StateGrid
        The state's columns.
    resolve : "all", names of districts, or a fraction in (0, 1]
        A fraction takes the first feeders of every stratum's seeded permutation, at least one, so that smaller
        fractions lie within larger ones.
    seed : int
        The scenario's seed.

    Raises
    ------
    ScenarioError
        For an unknown district, a fraction out of range, or a stratum whose unresolved feeders nobody represents.
    """
    feeders = state.feeders
    rank = rank_in_stratum(feeders.stratum, seed)
    if isinstance(resolve, int | float):
        resolved = rank < _quota(feeders.stratum, float(resolve))[feeders.stratum]
        sampled = resolved.copy()
    else:
        resolved = _named(state, resolve)
        sampled = _first_of(feeders.stratum, ~resolved, seed)
    return _selection(state, resolved, sampled, seed)


def rank_in_stratum(stratum: NDArray[np.int8], seed: int) -> NDArray[np.int64]:
    """Place of every feeder in its stratum's seeded permutation."""
    draw = uniforms(seed, Stream.FEEDER_SAMPLE, np.arange(len(stratum)))
    rank = np.empty(len(stratum), np.int64)
    for code in range(N_STRATA):
        rows = np.flatnonzero(stratum == code)
        rank[rows[np.argsort(draw[rows], kind="stable")]] = np.arange(len(rows))
    return rank


def _quota(stratum: NDArray[np.int8], fraction: float) -> NDArray[np.int64]:
    """Feeders of every stratum that a fraction takes."""
    if not 0.0 < fraction <= 1.0:
        raise ScenarioError(
            [
                Problem(
                    "scenario",
                    "grid.resolve.fraction",
                    f"{fraction:g} is not in (0, 1]",
                    "give a share of feeders such as 0.01",
                )
            ]
        )
    count = np.bincount(stratum, minlength=N_STRATA)
    return np.minimum(count, np.maximum(1, np.array([math.floor(fraction * n + 0.5) for n in count])))


def _named(state: StateGrid, resolve: Literal["all"] | Sequence[str]) -> NDArray[np.bool_]:
    if resolve == "all":
        return np.ones(len(state.feeders.code), bool)
    codes = [state.districts.name.index(resolve_district(name)) for name in resolve]
    return np.isin(state.feeders.district, codes)


def _first_of(stratum: NDArray[np.int8], among: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """The first few of every stratum's permutation that are ``among``; fewer if the stratum has no more."""
    per_class = synthesis().sample.per_class
    rank = rank_in_stratum(stratum, seed)
    chosen = np.zeros(len(stratum), bool)
    for code in range(N_STRATA):
        rows = np.flatnonzero((stratum == code) & among)
        wanted = per_class[code % len(FEEDER_CLASSES)]
        chosen[rows[np.argsort(rank[rows], kind="stable")[:wanted]]] = True
    return chosen


def _selection(state: StateGrid, resolved: NDArray[np.bool_], sampled: NDArray[np.bool_], seed: int) -> Selection:
    stratum, consumers = state.feeders.stratum, state.feeders.n_consumers

    def total(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(stratum[mask], weights=consumers[mask], minlength=N_STRATA).astype(np.int64)

    selection = Selection(
        resolved=resolved,
        sampled=sampled,
        scouts=_first_of(stratum, resolved | sampled, seed),
        feeders_in_stratum=np.bincount(stratum, minlength=N_STRATA),
        consumers_in_stratum=total(np.ones(len(stratum), bool)),
        unresolved_consumers=total(~resolved),
        sampled_consumers=total(sampled),
    )
    empty = (selection.unresolved_consumers > 0) & (selection.sampled_consumers == 0)
    if empty.any():
        names = ", ".join(stratum_name(int(code)) for code in np.flatnonzero(empty))
        raise ScenarioError(
            [Problem("scenario", "grid.resolve", f"no feeder represents {names}", "resolve more, or all of it")]
        )
    return selection
