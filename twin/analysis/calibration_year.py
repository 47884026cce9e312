"""What a whole year gives: efficiencies and losses, revenue, subsidy, cost of the energy bought.

The state's AT&C loss and efficiencies are those of table ``atc``; here are their sampling errors, by the linearised
ratio: an error of BE = billed / input is that of the total of ``(billed - BE input) / INPUT`` over sampled feeders, and
of CE = received / billed money likewise. Published figures of a discom count its HT consumers, whom no 11 kV feeder of
the list feeds: they join by district, and inputs are scaled to add up to the state's (the 33 kV loss in proportion).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.analysis.atc import NEEDS, case_areas
from twin.analysis.design import Experiment, clock_hours
from twin.analysis.estimate import Estimate, mean_estimate
from twin.analysis.frames import HT_FEEDER, Feeders, by_code, rows_of
from twin.analysis.loads import CaseLoads
from twin.analysis.payments import case_money, is_collected
from twin.analysis.reliability import is_interrupted, supply_hours
from twin.analysis.tables import RunTables, asked_for, read, read_case
from twin.units import INR_PER_CRORE, KW_PER_MW, PAISE_PER_INR

FloatArray = NDArray[np.float64]
YEAR_DAYS = (365, 366)
KWH_PER_MWH = 1e3
US_PER_DAY = 86_400_000_000


def is_whole_year(run: RunTables) -> bool:
    """Does a run hold one year of whole billing months?"""
    return bool(run.manifest.get("months_complete")) and int(run.scenario["time"]["days"]) in YEAR_DAYS


def year_estimates(loads: CaseLoads, experiment: Experiment) -> dict[str, Estimate]:
    """Estimates of a whole year by name, of the first arm, means over replicates; none for other runs.

    Percent of input, INR per kWh, Rs crore, hours a day. What needs a table that the scenario leaves out is missing.
    """
    run = loads.run
    if not is_whole_year(run):
        return {}
    drawn = []
    for case, replicate in zip(experiment.case[0, 0].tolist(), experiment.replicates, strict=True):
        found = {"purchase_inr_per_kwh": _purchase(loads, case)}
        if all(asked_for(run.scenario, table) for table in NEEDS):
            found |= _billed_year(loads, case, replicate)
        if is_interrupted(run):
            found["supply_hours"] = supply_hours(run, loads.feeders, case)
        drawn.append(found)
    return {name: mean_estimate([one[name] for one in drawn]) for name in drawn[0]}


def _purchase(loads: CaseLoads, case: int) -> Estimate:
    """Cost of a kWh taken in. A feeder's MWh more costs its hour's price: the slope of cost over intake within a month
    and hour of the day, in which all days have the same price.
    """
    rows = read_case(loads.run, "system", case, ["interval_start", "sent_mw", "purchase_inr"])
    step_h = float(np.diff(rows["interval_start"][:2])[0]) / US_PER_DAY * 24.0
    sent_kwh = rows["sent_mw"] * step_h * KWH_PER_MWH
    cost = float(rows["purchase_inr"].sum()) / float(sent_kwh.sum())
    if not loads.feeders.represented:
        return Estimate(cost)
    month = (rows["interval_start"] // US_PER_DAY).astype("datetime64[D]").astype("datetime64[M]")
    hour = np.round(clock_hours(rows["interval_start"]) / step_h).astype(np.int64)
    group = np.unique(month.astype(np.int64) * 10_000 + hour, return_inverse=True)[1]
    price = _slopes(sent_kwh, rows["purchase_inr"], group)[group]
    sampled_kwh = loads.case(case).sampled_sent_mw * step_h * KWH_PER_MWH
    return Estimate(cost, *loads.feeders.sample.error(sampled_kwh @ (price - cost) / float(sent_kwh.sum())))


def _slopes(x: FloatArray, y: FloatArray, group: NDArray[np.int64]) -> FloatArray:
    """Least-squares slope of ``y`` over ``x`` within each group, shape (n_groups,); y / x where ``x`` does not vary."""
    count = np.bincount(group)
    dx, dy = (values - (np.bincount(group, values) / count)[group] for values in (x, y))
    spread = np.bincount(group, dx * dx)
    mean = np.bincount(group, y) / np.bincount(group, x)
    return np.asarray(np.divide(np.bincount(group, dx * dy), spread, out=mean, where=spread > 0))


@dataclass(frozen=True)
class _Year:
    """One case's year by feeder, the HT consumers of each discom last; arrays of shape (n_feeders + n_discoms,)."""

    feeders: Feeders
    input_mwh: FloatArray
    billed_mwh: FloatArray
    received: FloatArray
    """Money that came in, the state's subsidy in it. [paise]"""
    charged: FloatArray
    """Money billed, the state's subsidy in it. [paise]"""
    paid: FloatArray
    subsidy: FloatArray
    scale: float
    """Of inputs, so that they add up to the state's."""
    state_be: float
    """Of table ``atc``. [-]"""

    @cached_property
    def weight(self) -> FloatArray:
        return np.append(self.feeders.weight, np.ones(len(self.feeders.discoms)))

    @cached_property
    def discom(self) -> NDArray[np.int64]:
        return np.append(self.feeders.discom, np.arange(len(self.feeders.discoms)))

    def error(self, values: FloatArray) -> tuple[float, float]:
        """Standard error and freedom of the state total of ``values`` by row."""
        if not self.feeders.represented:
            return float("nan"), float("nan")
        return self.feeders.sample.error(values[self.feeders.sampled_rows])

    def total(self, values: FloatArray, unit: float) -> Estimate:
        """State total of ``values`` in ``unit``."""
        return Estimate(float(np.sum(self.weight * values)) / unit, *self.error(values / unit))

    def ratio(self, top: FloatArray, bottom: FloatArray, rows: NDArray[np.bool_]) -> tuple[float, FloatArray]:
        """Weighted ratio over some rows and its linearised variable, zero in other rows."""
        whole = float(np.sum((self.weight * bottom)[rows]))
        ratio = float(np.sum((self.weight * top)[rows])) / whole
        return ratio, np.where(rows, top - ratio * bottom, 0.0) / whole


def _billed_year(loads: CaseLoads, case: int, replicate: int) -> dict[str, Estimate]:
    """Efficiencies [percent] and money [Rs crore] of one case."""
    year = _read_year(loads, case, replicate)
    everything = np.ones(len(year.discom), bool)
    found = {
        "revenue_crore": year.total(year.paid, INR_PER_CRORE * PAISE_PER_INR),
        "subsidy_crore": year.total(year.subsidy, INR_PER_CRORE * PAISE_PER_INR),
    }
    areas = {"state": everything} | {
        name.lower(): year.discom == code for code, name in enumerate(year.feeders.discoms)
    }
    collected = is_collected(loads.run)
    for area, rows in areas.items():
        efficiency, be_part = year.ratio(year.billed_mwh, year.input_mwh * year.scale, rows)
        efficiency = year.state_be if area == "state" else efficiency
        if area == "state":
            found["billing_efficiency_percent"] = Estimate(100.0 * efficiency, *year.error(100.0 * be_part))
        if collected:
            ce, ce_part = year.ratio(year.received, year.charged, rows)
            # no more than what is billed counts as collected (`twin.analysis.atc`)
            part = -100.0 * (min(ce, 1.0) * be_part + (efficiency * ce_part if ce < 1.0 else 0.0))
            found[f"atc_{area}_percent"] = Estimate(100.0 * (1.0 - efficiency * min(ce, 1.0)), *year.error(part))
            if area == "state":
                found["collection_efficiency_percent"] = Estimate(100.0 * ce, *year.error(100.0 * ce_part))
    return found


def _read_year(loads: CaseLoads, case: int, replicate: int) -> _Year:
    """Energy and money of one case by row of `_Year`."""
    run, feeders = loads.run, loads.feeders
    whose = read(run, "consumers", ["consumer_id", "feeder_id", "dt_id", "district"])
    names = [str(code) for code in feeders.feeder_id.tolist()]
    areas = case_areas(loads, feeders, names, whose, case)
    place = _rows(run, feeders, whose)
    size = len(names) + len(feeders.discoms)
    bills = read_case(run, "bills", case, ["consumer_id", "used_kwh", "metered_kwh", "total_paise", "subsidy_paise"])
    row = place[np.searchsorted(whose["consumer_id"], bills["consumer_id"])]
    sums = {name: by_code(row, bills[name].astype(np.float64), size) for name in bills if name != "consumer_id"}
    heads = np.array([areas[name]["input"] for name in names])
    taken = np.append(heads, sums["used_kwh"][len(names) :] / KW_PER_MW)
    paid, received = sums["total_paise"], sums["total_paise"] + sums["subsidy_paise"]
    if is_collected(run):
        money = case_money(run, case, replicate)
        paid = by_code(place, money.paid.sum(axis=1).astype(np.float64), size)
        received = by_code(place, money.received.sum(axis=1).astype(np.float64), size)
    weight = np.append(feeders.weight, np.ones(len(feeders.discoms)))
    state = areas["state"]
    return _Year(
        feeders=feeders,
        input_mwh=taken,
        billed_mwh=sums["metered_kwh"] / KW_PER_MW,
        received=received,
        charged=sums["total_paise"] + sums["subsidy_paise"],
        paid=paid,
        subsidy=sums["subsidy_paise"],
        scale=state["input"] / float(np.sum(weight * taken)),
        state_be=state["billed"] / state["input"],
    )


def _rows(run: RunTables, feeders: Feeders, whose: dict[str, NDArray]) -> NDArray[np.int64]:
    """Row of `_Year` of each consumer: his feeder, or the HT consumers of his district's discom."""
    listed = read(run, "feeder_list", ["district", "discom"])
    discom_of = dict(zip(listed["district"].tolist(), listed["discom"].tolist(), strict=True))
    districts, code = np.unique(whose["district"].astype(str), return_inverse=True)
    discom = np.array([feeders.discoms.index(discom_of[str(name)]) for name in districts])[code]
    ht = whose["feeder_id"] == HT_FEEDER
    return np.where(ht, len(feeders.feeder_id) + discom, rows_of(feeders, whose["feeder_id"]))
