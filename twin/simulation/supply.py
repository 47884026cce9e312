"""Interruptions of supply in a run: a shard's day, feeder by feeder, and what becomes of demand and networks in it.

All arms of a replicate live through the same interruptions, and a feeder through the same ones however the state is cut
into shards. In a step with supply for a share of its length consumers use that share of their demand, plus what the
interruption made them catch up with, and transformers magnetise for that share.

Feeders that only stand for their stratum are supplied as its mean feeder, over all feeders that are not simulated one
by one: a single trip would else darken an eighth of all villages.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.datapack import URBAN_FEEDER_CLASSES, read_yaml
from twin.demand.weather import day_number
from twin.grid.tables import FEEDER_CLASSES
from twin.outages.expected import StormSeason, off_share
from twin.outages.params import RURAL, URBAN, OutageParams, least_counted_h, outage_params, pick_up_k
from twin.outages.process import Interruptions, Places, Sky, days_back, feeder_multiples, interruptions
from twin.outages.shares import Merged, PickUp, count_places, feeder_supply, mean_supply, merged
from twin.simulation.switching import Unserved
from twin.units import HOURS_PER_YEAR

if TYPE_CHECKING:
    from twin.grid.state import StateGrid
    from twin.grid.strata import Selection
    from twin.simulation.population import FeederPart
    from twin.simulation.replicate import ReplicateWorld

RELIEVED_CLASS = "rural_mixed"
NOT_ASKED = -1


class Supply(NamedTuple):
    """What some places (a feeder's DTs, a shard's PSSs) have of a day, and who hangs on which.

    Of a feeder these are views of working memory, good until the next feeder is asked about.
    """

    ptr: NDArray[np.int32]
    """Consumers asked about, group by group: those of group j are ``ptr[j]`` to ``ptr[j + 1]``. Shape (k + 1,)."""
    place: NDArray[np.int64]
    """Place of each group, -1 for one that is never interrupted, or whom a question is not about. Shape (k,)."""
    share: NDArray[np.float64]
    """Of each step with supply, shape (n_places, steps)."""
    factor: NDArray[np.float32]
    """Demand over what it would be without interruptions, shape (n_places, steps)."""

    def of_some(self, wanted: NDArray[np.bool_]) -> Supply:
        """The same for the consumers of some groups, shape (k,), who alone are asked about."""
        return self._replace(place=np.where(wanted, self.place, NOT_ASKED))


@nb.njit(cache=True, error_model="numpy")
def add_lost(
    kw: NDArray[np.float32], ptr: NDArray[np.int32], place: NDArray[np.int64], share: NDArray[np.float64], out: Unserved
) -> None:  # fmt: skip
    """Add up the demand that `interrupt` would not serve; same arguments. ``kw`` before it, at nominal voltage."""
    lost = np.empty(share.shape[1])
    for k in range(len(ptr) - 1):
        if place[k] < 0:
            continue
        first, stop = _span(share[place[k]])
        for t in range(first, stop):
            lost[t] = 1.0 - share[place[k], t]
        for i in range(ptr[k], ptr[k + 1]):
            row, total = kw[i], out.kw[out.place[i]]
            for t in range(first, stop):
                total[t] += row[t] * lost[t]


@nb.njit(cache=True, error_model="numpy")
def interrupt(
    kw: NDArray[np.float32], ptr: NDArray[np.int32], place: NDArray[np.int64], factor: NDArray[np.float32]
) -> None:
    """Bring demand to what is supplied, in place.

    Parameters
    ----------
    kw : shape (n, stride)
    ptr : shape (k + 1,)
        Consumers ``ptr[j]`` to ``ptr[j + 1]`` hang on place ``place[j]``.
    place : shape (k,)
        -1: those are left alone.
    factor : shape (n_places, steps)
    """
    for k in range(len(ptr) - 1):
        if place[k] < 0:
            continue
        times = factor[place[k]]
        first, stop = _span(times)
        for i in range(ptr[k], ptr[k + 1]):
            row = kw[i]
            for t in range(first, stop):
                row[t] *= times[t]


@nb.njit(error_model="numpy")
def _span(values: NDArray[np.floating]) -> tuple[int, int]:
    """From the first to after the last value that is not one: what multiplying by the others changes no bit of."""
    first, stop = 0, len(values)
    while first < stop and values[first] == 1.0:
        first += 1
    while stop > first and values[stop - 1] == 1.0:
        stop -= 1
    return first, stop


@dataclass
class Times:
    """When a shard's places are without supply on a day."""

    date: dt.date
    heads: Merged
    """By feeder of the shard, from its own head and its substation."""
    dts: NDArray[np.int64]
    """DTs of the shard (rows, rising) with interruptions of their own."""
    own: Merged
    """Theirs, and their head's."""
    stations: Merged
    """By PSS that the shard owns."""
    drawn: tuple[Interruptions, Interruptions, Interruptions]
    """One by one: of feeders, of PSSs, of DTs."""


@dataclass
class SupplyDay(Times):
    """Interruptions of a day as a shard's feeders and HT consumers live through them."""

    mean: dict[int, tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]]
    """By stratum, for feeders that only stand for it: share, factor, and `Counts` as an array."""
    k: NDArray[np.float64]
    """Pick-up of each feeder of the shard."""
    records: list[tuple[str, Interruptions, NDArray[np.int64]]]
    """Level, interruptions and the ids of their places: of what is resolved, and of all PSSs that the shard owns."""


class Outages:
    """The outage model of one replicate on one shard."""

    def __init__(self, world: ReplicateWorld, state: StateGrid, selection: Selection) -> None:
        settings = world.plan.scenario.outages
        assert settings is not None, "the caller asks for outages"
        self.world, self.seed = world, world.seed
        self.params: OutageParams = outage_params(settings.causes, settings.rate, settings.repair_time)
        self.law = PickUp(self.params.lost_h, self.params.regained_h)
        self.steps = world.plan.steps
        self._state, population = state, world.population
        parts = population.feeders
        self.feeders = np.array([part.feeder for part in parts], np.int64)
        self.only_stands = ~selection.resolved[self.feeders]
        self._own_places = self._feeder_places(self.feeders)
        self._station_places = self._stations(population.owned_pss.astype(np.int64))
        self._pss_row = np.array([part.pss_row for part in parts], np.int64)
        counts = [len(part.dt_id) for part in parts]
        self.consumers = np.array([part.rows.stop - part.rows.start for part in parts], np.int64)
        dt_id = np.concatenate([part.dt_id for part in parts]) if parts else np.zeros(0, np.int64)
        self._dt_feeder = np.repeat(np.arange(len(parts)), counts)
        self._dt_places = self._dts(dt_id, self.feeders[self._dt_feeder])
        self._first_dt = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        strata = np.unique(state.feeders.stratum[self.feeders[self.only_stands]])
        self._strata = {int(code): self._stratum(int(code), selection) for code in strata}
        most = max(counts, default=1)
        self._share, self._factor = np.ones((most, self.steps)), np.ones((most, self.steps), np.float32)
        self._today: SupplyDay | None = None
        self._at: tuple[dt.date, int] | None = None
        """Which feeder's day stands in the working memory, as `_supply`."""
        self._supply: Supply | None = None

    def on(self, date: dt.date) -> SupplyDay:
        """A day's interruptions; asked again for the same day, the answer is the same."""
        if self._today is None or self._today.date != date:
            self._today = self._draw(date)
        return self._today

    def of_feeder(self, day: SupplyDay, position: int, part: FeederPart) -> Supply | None:
        """What a feeder's DTs have of a day; None where it is supplied without a break and nothing is picked up."""
        if self._at != (day.date, position):
            self._at, self._supply = (day.date, position), self._of_feeder(day, position, part)
        return self._supply

    def _of_feeder(self, day: SupplyDay, position: int, part: FeederPart) -> Supply | None:
        n, feeder = len(part.dt_id), self.feeders[position]
        supply = Supply(part.net.lv.dt_consumer_ptr, np.arange(n), self._share[:n], self._factor[:n])
        if self.only_stands[position]:
            mean = day.mean[int(self._state.feeders.stratum[feeder])]
            supply.share[:], supply.factor[:] = mean[0], mean[1]
            return supply
        first, last = np.searchsorted(day.dts, [part.dts.start, part.dts.stop])
        if first == last and day.heads.ptr[position] == day.heads.ptr[position + 1]:
            return None
        rows = day.dts[first:last] - part.dts.start
        feeder_supply(
            day.heads, position, rows, day.own, int(first), day.k[position], self.law, supply.share, supply.factor
        )
        return supply

    def by_dt(self, day: Times) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Times without supply of every DT of the shard, rising: its row, from, until. [h]"""
        place, from_h, until_h = _times_of(day.heads, self._dt_feeder)
        shared = ~np.isin(place, day.dts)  # those with interruptions of their own have their head's among them
        own = np.repeat(day.dts, np.diff(day.own.ptr))
        n = len(own)
        row = np.concatenate([place[shared], own])
        order = np.argsort(row, kind="stable")
        times = ((from_h, day.own.from_h), (until_h, day.own.until_h))
        starts, ends = (np.concatenate([head[shared], mine[:n]])[order] for head, mine in times)
        return row[order], starts, ends

    def usual_off_h(self) -> NDArray[np.float64]:
        """Hours a year that every DT of the shard is without supply by the data pack's outages, shape (n_dts,). [h]

        All causes at their usual rates, whatever the scenario changes of them: what was before the run.
        """
        params, spec = outage_params(), read_yaml("demand/weather")["storm"]
        storms = StormSeason(np.array(spec["chance_per_day"], np.float64), spec["from_h"], spec["to_h"])
        heads, stations, dts = (
            1.0 - off_share(level, places, params, storms)
            for level, places in (
                ("feeder", self._own_places), ("substation", self._station_places), ("dt", self._dt_places),
            )
        )  # fmt: skip
        supplied = (heads * stations[self._pss_row])[self._dt_feeder] * dts
        return HOURS_PER_YEAR * (1.0 - supplied)

    def of_stations(self, day: SupplyDay) -> Supply:
        """What consumers on 11 and 33 kV have of a day, by PSS that the shard owns; they restart by hand."""
        n = len(day.stations.ptr) - 1
        share, factor = np.ones((n, self.steps)), np.ones((n, self.steps), np.float32)
        nobody, none = np.zeros(0, np.int64), Merged(np.zeros(1, np.int64), np.zeros(0), np.zeros(0))
        for row in np.flatnonzero(np.diff(day.stations.ptr)):
            feeder_supply(
                day.stations, row, nobody, none, 0, 0.0, self.law, share[row : row + 1], factor[row : row + 1]
            )
        pss_row = self.world.population.ht_pss_row.astype(np.int64)
        return Supply(np.arange(len(pss_row) + 1, dtype=np.int32), pss_row, share, factor)

    def counts(self, day: SupplyDay, position: int, part: FeederPart) -> NDArray[np.float64]:
        """What a feeder's consumers lived through, means over them, in the order of `Counts`. Shape (4,)."""
        feeder, least_h = self.feeders[position], least_counted_h()
        if self.only_stands[position]:
            return day.mean[int(self._state.feeders.stratum[feeder])][2]
        out = np.zeros(4)
        people = np.diff(part.net.lv.dt_consumer_ptr).astype(np.float64)
        first, last = np.searchsorted(day.dts, [part.dts.start, part.dts.stop])
        rows = day.dts[first:last] - part.dts.start
        total = people.sum()
        count_places(_some(day.own, first, last), people[rows] / total, least_h, out)
        others = np.array([1.0 - people[rows].sum() / total])
        count_places(_some(day.heads, position, position + 1), others, least_h, out)
        return out

    def times(self, date: dt.date) -> Times:
        """When the shard's places are without supply on any day, drawn for itself."""
        params, n = self.params, len(self.feeders)
        heads = interruptions("feeder", self.seed, self._own_places, self._sky("feeder", date), params)
        stations = interruptions("substation", self.seed, self._station_places, self._sky("substation", date), params)
        dts = interruptions("dt", self.seed, self._dt_places, self._sky("dt", date), params)
        by_station = merged(len(self._station_places.entity), stations.place, stations.from_h, stations.until_h)
        below, from_h, until_h = _times_of(by_station, self._pss_row)
        by_head = merged(
            n, np.concatenate([heads.place, below]), np.concatenate([heads.from_h, from_h]),
            np.concatenate([heads.until_h, until_h]),
        )  # fmt: skip
        touched = np.unique(dts.place)
        under, from_h, until_h = _times_of(by_head, self._dt_feeder[touched])
        own = merged(
            len(touched), np.concatenate([np.searchsorted(touched, dts.place), under]),
            np.concatenate([dts.from_h, from_h]), np.concatenate([dts.until_h, until_h]),
        )  # fmt: skip
        return Times(date, by_head, touched, own, by_station, (heads, stations, dts))

    def _draw(self, date: dt.date) -> SupplyDay:
        times = self.times(date)
        heads, stations, dts = times.drawn
        k_by_class = np.array([pick_up_k(name, date.month) for name in FEEDER_CLASSES])
        resolved = ~self.only_stands
        records = [
            ("feeder", _of(heads, resolved[heads.place]), self.feeders),
            ("substation", stations, self._station_places.entity),
            ("dt", _of(dts, resolved[self._dt_feeder[dts.place]]), self._dt_places.entity),
        ]
        mean = {code: self._mean(places, date, k_by_class) for code, places in self._strata.items()}
        k = k_by_class[self._state.feeders.feeder_class[self.feeders]]
        return SupplyDay(
            date, times.heads, times.dts, times.own, times.stations, times.drawn, mean=mean, k=k, records=records
        )

    def _mean(
        self, stratum: _Stratum, date: dt.date, k_by_class: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
        """Mean supply of a stratum's feeders that are not simulated one by one, one DT of each."""
        parts = [
            interruptions(level, self.seed, places, self._sky(level, date), self.params)
            for level, places in stratum.places.items()
        ]
        stations = merged(len(stratum.places["substation"].entity), *_columns(parts[1]))
        below = _times_of(stations, stratum.station)
        place, from_h, until_h = (
            np.concatenate(columns) for columns in zip(_columns(parts[0]), _columns(parts[2]), below, strict=True)
        )
        times = merged(len(stratum.consumers), place, from_h, until_h)
        k = k_by_class[stratum.feeder_class]
        share, factor = mean_supply(times, stratum.consumers, k, self.law, self.steps)
        counts = np.zeros(4)
        count_places(times, stratum.consumers / stratum.consumers.sum(), least_counted_h(), counts)
        return share, factor, counts

    def _sky(self, level: str, date: dt.date) -> Sky:
        back = days_back(level, self.params)
        dates = [date - dt.timedelta(days=b) for b in range(back, -1, -1)]
        month = np.array([day.month - 1 for day in dates], np.int64)
        storms = np.stack([self.world.weather.storms(day) for day in dates]).astype(np.float64)
        return Sky(day_number(date), month, storms)

    def _feeder_places(self, feeders: NDArray[np.int64]) -> Places:
        columns = self._state.feeders
        feeder_class = columns.feeder_class[feeders]
        return Places(
            entity=feeders, area=_area(feeder_class), district=columns.district[feeders].astype(np.int64),
            is_relieved=feeder_class == FEEDER_CLASSES.index(RELIEVED_CLASS),
            multiple=feeder_multiples(self.seed, feeders, self.params),
        )  # fmt: skip

    def _stations(self, pss: NDArray[np.int64]) -> Places:
        """PSSs: of the area that most of their feeders have."""
        columns = self._state.feeders
        is_urban = _area(columns.feeder_class) == URBAN
        n = len(self._state.pss.code)
        share = np.bincount(columns.pss, weights=is_urban, minlength=n) / np.maximum(
            np.bincount(columns.pss, minlength=n), 1
        )
        area = np.where(share[pss] > 0.5, URBAN, RURAL).astype(np.uint8)  # noqa: PLR2004
        district = self._state.pss.district[pss].astype(np.int64)
        return Places(pss, area, district, np.zeros(len(pss), np.bool_), np.ones(len(pss)))

    def _dts(self, dt_id: NDArray[np.int64], feeder: NDArray[np.int64]) -> Places:
        columns = self._state.feeders
        area, district = _area(columns.feeder_class[feeder]), columns.district[feeder].astype(np.int64)
        return Places(dt_id.astype(np.int64), area, district, np.zeros(len(dt_id), np.bool_), np.ones(len(dt_id)))

    def _stratum(self, code: int, selection: Selection) -> _Stratum:
        columns = self._state.feeders
        feeders = np.flatnonzero((columns.stratum == code) & ~selection.resolved)
        pss, station = np.unique(columns.pss[feeders], return_inverse=True)
        places = {
            "feeder": self._feeder_places(feeders),
            "substation": self._stations(pss.astype(np.int64)),
            "dt": self._dts(columns.first_dt[feeders], feeders),
        }
        return _Stratum(places, station, columns.n_consumers[feeders].astype(np.float64), columns.feeder_class[feeders])


class _Stratum(NamedTuple):
    """Feeders of a stratum that are not simulated one by one."""

    places: dict[str, Places]
    station: NDArray[np.int64]
    """Of each feeder, the position of its PSS."""
    consumers: NDArray[np.float64]
    feeder_class: NDArray[np.int8]


def _area(feeder_class: NDArray[np.int8]) -> NDArray[np.uint8]:
    urban = [FEEDER_CLASSES.index(name) for name in URBAN_FEEDER_CLASSES]
    return np.where(np.isin(feeder_class, urban), URBAN, RURAL).astype(np.uint8)


def _columns(found: Interruptions) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    return found.place, found.from_h, found.until_h


def _of(found: Interruptions, keep: NDArray[np.bool_]) -> Interruptions:
    return Interruptions._make(column[keep] for column in found)


def _some(times: Merged, first: int, last: int) -> Merged:
    """Those of some places in a row."""
    ptr = times.ptr[first : last + 1]
    return Merged(ptr, times.from_h, times.until_h)


def _times_of(
    times: Merged, place: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Times of the places that others hang on: position of the other, from, until. ``place`` [n], of each other."""
    counts = np.diff(times.ptr)[place]
    at = np.repeat(times.ptr[place] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
    return np.repeat(np.arange(len(place)), counts), times.from_h[at], times.until_h[at]
