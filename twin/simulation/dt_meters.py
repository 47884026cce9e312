"""Meters of distribution transformers, and what a utility can set beside them: the registers of those it takes for
the DT's consumers.

They fail and are swapped by their datasheet's law, as consumers' meters do; one that has failed records nothing, which
tables tell as missing, not as zero. Their failures hang on nothing but days, so that a checkpoint holds none of it:
days are passed again from the run's first one. A part of the DTs has a CT-operated meter at its low-voltage side. Some
consumers are mapped to another DT of their feeder: mapping, more than accuracy, limits what a balance can find (AMI
facts, section 7).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.weather import EPOCH
from twin.meters.communication import Breakdown, arrivals_h, draw_links, never_dark
from twin.meters.failure import YEAR_DAYS, begin_failures, draw_frailties, pass_failures
from twin.meters.metrology import (
    AGEING,
    GAIN,
    LOW_LOAD,
    PHASE,
    TEMPERATURE,
    class_points,
    draw_errors,
    recorded_many_kwh,
)
from twin.results.schema import arrow_schema
from twin.simulation.population import Population
from twin.streams import Stream, uniforms

if TYPE_CHECKING:
    from twin.meters.datasheets import Catalogue
    from twin.meters.fleet import DayContext, FleetParams
    from twin.simulation.meter_variants import UserModels

HOURS = 24.0
FEEDER_ENTITIES = -(2**40)
"""Feeders' meters draw as entities from here down, apart from consumers and DTs."""


@dataclass
class Mapped:
    """Sums over the consumers that a utility maps to each DT, shape (n_dts + 1,); the last row has no DT."""

    meters: NDArray[np.int64]
    read_meters: NDArray[np.int64]
    metered_kwh: NDArray[np.float64]
    """What their registers gained, whether or not it came in. [kWh]"""
    read_kwh: NDArray[np.float64]
    """Of those read within the day. [kWh]"""


class SystemMeters:
    """CT-operated meters of a utility's own, shape (n,)."""

    def __init__(
        self, seed: int, entity: NDArray[np.int64], rating_kva: NDArray[np.float64], district: NDArray[np.int64],
        types: Catalogue, params: FleetParams, models: UserModels,
    ) -> None:  # fmt: skip
        self.models = models
        spec = read_yaml("meter_fleet")
        self.seed, self.params, self.district, self.entity = seed, params, district, entity
        self.kind = np.full(len(entity), types.code("ct_operated", "ct_operated"), np.uint8)
        points = class_points(params.metrology.accuracy_class, read_yaml("meter_classes")["classes"])
        self.errors = draw_errors(seed, entity, self.kind, params.metrology, points).astype(np.float64)
        low, high = spec["age_years"]["smart"]["value"]
        self.age_years = low + (high - low) * uniforms(seed, Stream.METER_AGE, entity)
        self.frailty = draw_frailties(seed, entity, self.kind, params.failure)
        self._installed, self._swap_day = np.empty(len(entity), np.int32), np.empty(len(entity), np.int32)
        self._day: int | None = None
        self.link, self.hops = draw_links(seed, entity, self.kind, params.communication)
        power_factor = float(spec["dt_power_factor"]["value"])
        self.rated_kw, self.tan_phi = rating_kva * power_factor, np.sqrt(1.0 - power_factor**2) / power_factor

    def works(self, day: int, first_day: int) -> NDArray[np.bool_]:
        """Which meters work on a day of a run that began on ``first_day`` (days since 2000-01-01), shape (n,).

        Days are best asked for in their order: an earlier one lets all of them pass again.
        """
        seed, failure = np.uint64(self.seed), self.params.failure
        if self._day is None or day < self._day:
            self._installed[:] = first_day - 1 - np.floor(self.age_years * YEAR_DAYS)
            begin_failures(
                seed, self.entity, self.kind, self.frailty, self._installed, first_day, failure, self._swap_day
            )
            self._day = first_day - 1
        stress = read_yaml("meter_fleet")["failure_stress_by_month"]["value"]
        while self._day < day:
            self._day += 1
            month = (EPOCH + dt.timedelta(days=self._day)).month
            pass_failures(
                seed, self.entity, self.kind, self.frailty, self._day, float(stress[month - 1]), failure,
                self._installed, self._swap_day,
            )  # fmt: skip
        return self._swap_day <= day

    def told(
        self, today: DayContext, first_day: int, sent_kwh: NDArray[np.float64]
    ) -> tuple[pa.Array, NDArray[np.bool_]]:
        """A day as tables hold it: energy recorded, null where a meter has failed [kWh]; and whose profile came in."""
        works = self.works(today.day, first_day)
        recorded = pa.array(self.metered_kwh(today, first_day, sent_kwh), mask=~works)
        return recorded, self.read(today.day, today.breakdown) & works

    def metered_kwh(self, today: DayContext, first_day: int, sent_kwh: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the meters, if they work, make of a day's energy, shape (n,). [kWh]

        ``first_day``: when ages were drawn, days since 2000-01-01.
        """
        rise = today.rise_k[self.district].mean(axis=1)
        self.works(today.day, first_day)
        age = self.age_years + (today.day - first_day) / YEAR_DAYS
        age = np.where(self._installed >= first_day, (today.day - self._installed) / YEAR_DAYS, age)
        fixed = self.errors[:, GAIN] + 0.1 * self.errors[:, PHASE] * self.tan_phi
        fixed += self.errors[:, TEMPERATURE] * rise + self.errors[:, AGEING] * age
        for asked in self.models.asked["metrology"]:
            if (self.kind == asked.code).all():
                return asked.variant(
                    (len(sent_kwh), 1), sent_kwh[:, None], np.array([HOURS]), self.rated_kw,
                    np.full(len(sent_kwh), self.tan_phi), self.errors, age, rise[:, None], asked.numbers,
                )[:, 0]  # fmt: skip
        starting = self.params.metrology.starting_current_frac[self.kind]
        out = np.empty(len(sent_kwh))
        recorded_many_kwh(sent_kwh, HOURS, self.rated_kw, starting, fixed, self.errors[:, LOW_LOAD], out)
        return out

    def read(self, day: int, breakdown: Breakdown) -> NDArray[np.bool_]:
        """Whose profile of a day comes in within the next day; each has a gateway of its own."""
        out = np.empty(len(self.entity), np.float32)
        arrivals_h(
            np.uint64(self.seed), self.entity, self.entity, day + 1, self.link, self.hops, self.kind,
            self.params.communication, breakdown, never_dark(1), np.zeros(len(out), np.int32), out,
        )  # fmt: skip
        return np.isfinite(out)


def feeder_meters(
    seed: int, population: Population, types: Catalogue, params: FleetParams, models: UserModels
) -> SystemMeters:
    """The meters at the heads of a shard's feeders, every one of which has one."""
    parts = population.feeders
    entity = FEEDER_ENTITIES - np.array([part.feeder for part in parts], np.int64)
    rating = np.array([part.rating_kva.sum() for part in parts], np.float64)
    return SystemMeters(seed, entity, rating, feeder_districts(population), types, params, models)


def feeder_districts(population: Population) -> NDArray[np.int64]:
    """District of each feeder's consumers, shape (n_feeders,)."""
    district = np.zeros(len(population.feeders), np.int64)
    for position, part in enumerate(population.feeders):
        if part.rows.stop > part.rows.start:
            district[position] = population.consumers.district[part.rows.start]
    return district


class DtMeters(SystemMeters):
    """Columns of a shard's DT meters, shape (n_dts,) each; not every DT has one."""

    def __init__(
        self, seed: int, population: Population, dt_of: NDArray[np.int32], types: Catalogue, params: FleetParams,
        models: UserModels,
    ) -> None:  # fmt: skip
        spec, parts = read_yaml("meter_fleet"), population.feeders
        self.dt_id = np.concatenate([np.zeros(0, np.int64), *(part.dt_id for part in parts)])
        rating = np.concatenate([np.zeros(0), *(part.rating_kva for part in parts)])
        per_feeder = np.array([len(part.dt_id) for part in parts], np.int64)
        district = np.repeat(feeder_districts(population), per_feeder)
        super().__init__(
            seed, -1 - self.dt_id, rating, district, types, params, models
        )  # consumers' ids are not negative
        self.there = uniforms(seed, Stream.METER_TYPE, self.entity) < spec["dt_meter_share"]["value"]
        self.mapped_dt = mapped_dts(seed, population, dt_of, float(spec["wrong_mapping_share"]["value"]))

    def mapped(self, metered_kwh: NDArray[np.float64], arrival_h: NDArray[np.float32]) -> Mapped:
        """Sums over consumers by the DT they are mapped to, in the consumers' order."""
        n, row, read = len(self.dt_id) + 1, self.mapped_dt, np.isfinite(arrival_h)
        return Mapped(
            meters=np.bincount(row, minlength=n),
            read_meters=np.bincount(row[read], minlength=n),
            metered_kwh=np.bincount(row, weights=metered_kwh, minlength=n).astype(np.float64),
            read_kwh=np.bincount(row[read], weights=metered_kwh[read], minlength=n).astype(np.float64),
        )

    def rows(
        self, case: int, date: np.datetime64, today: DayContext, first_day: int, sent_kwh: NDArray[np.float64],
        mapped: Mapped,
    ) -> pa.Table:  # fmt: skip
        """A day of the DTs that have a meter, as rows of table ``dt_meters``; nothing in it is truth."""
        rows = np.flatnonzero(self.there)
        recorded, read = self.told(today, first_day, sent_kwh)
        columns = {
            "case": np.full(len(rows), case, np.int32),
            "date": np.full(len(rows), date),
            "dt_id": self.dt_id[rows],
            "sent_metered_kwh": recorded.take(pa.array(rows)),
            "read": read[rows],
            "mapped_meters": mapped.meters[rows].astype(np.int32),
            "mapped_read": mapped.read_meters[rows].astype(np.int32),
            "mapped_metered_kwh": mapped.metered_kwh[rows],
            "mapped_read_kwh": mapped.read_kwh[rows],
        }
        return pa.table(columns, schema=arrow_schema("dt_meters"))


def mapped_dts(seed: int, population: Population, dt_of: NDArray[np.int32], wrong_share: float) -> NDArray[np.int32]:
    """Row of the DT that a utility maps each consumer to: its own, or another of its feeder. Shape (n,)."""
    out = dt_of.copy()
    for part in population.feeders:
        n = part.dts.stop - part.dts.start
        rows = np.arange(part.rows.start, part.rows.stop)
        rows = rows[dt_of[rows] < population.n_dts]
        if n < 2:  # noqa: PLR2004
            continue
        ids = population.consumers.consumer_id[rows]
        is_wrong = uniforms(seed, Stream.METER_MAPPING, ids) < wrong_share
        further = 1 + np.floor(uniforms(seed, Stream.METER_MAPPING, ids[is_wrong], 1) * (n - 1)).astype(np.int32)
        wrong = rows[is_wrong]
        out[wrong] = part.dts.start + (dt_of[wrong] - part.dts.start + further) % n
    return out
