"""Table ``gap``: what energy costs a discom and what it is paid for it, per unit; by state and discom.

Costs are the purchase of what the state takes in, so that all losses are in them; the yearly value of capacity at the
peak stands apart, since the average price of contracted energy holds the plants' fixed charges already. Wires, staff,
interest and transmission charges are not modelled: a gap below zero is what is left to pay for them.

Energy and money of the state are those of simulated consumers, brought to the ledger's energy by one ratio. A discom
bears the part of the state's purchase that its consumers' use and its feeders' losses are of all; losses above its
feeders, and the price of an hour, are shared alike. Told for whole billing months, since free units and slabs make the
first days of a month cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.bills import MONEY
from twin.analysis.design import Experiment
from twin.analysis.effect_rows import EffectRows
from twin.analysis.frames import Feeders, by_code, consumer_discoms, rows_of
from twin.analysis.loads import FEEDER_LOSSES, CaseLoads
from twin.analysis.network_effects import capacity_inr_per_mw_days
from twin.analysis.payments import case_money, is_collected
from twin.analysis.tables import RunTables, asked_for, build, read, read_case
from twin.units import KW_PER_MW, PAISE_PER_INR

FloatArray = NDArray[np.float64]
Sums = dict[str, float]
"""Energies [MWh] and amounts [INR] of an area, by column of table ``gap``."""
NEEDS = ("consumers", "bills", "feeders")


def gap_tables(loads: CaseLoads, experiment: Experiment, feeders: Feeders) -> tuple[pa.Table, pa.Table]:
    """Table ``gap``, means over replicates, and the rows of ``effects`` on the gap per kWh billed.

    Both are empty where the run does not hold whole billing months, or leaves out a table of `NEEDS`.
    """
    run, effects = loads.run, EffectRows()
    if not run.manifest.get("months_complete") or not all(asked_for(run.scenario, table) for table in NEEDS):
        return build("gap", []), build("effects", [])
    whose = read(run, "consumers", ["consumer_id", "feeder_id", "district", "weight"])
    discom = consumer_discoms(feeders, rows_of(feeders, whose["feeder_id"]), whose["district"])
    rows: list[dict[str, Any]] = []
    for point in range(len(experiment.points)):
        base: dict[str, FloatArray] = {}
        for arm in range(len(experiment.arms)):
            pairs = zip(experiment.case[point, arm], experiment.replicates, strict=True)
            drawn = [case_sums(loads, feeders, whose, discom, int(case), replicate) for case, replicate in pairs]
            label = experiment.label(point, arm)
            for area in drawn[0]:
                rows.append(_row(label, area, _mean([one[area] for one in drawn])))
                gaps = np.array([gap_per_kwh(one[area]) for one in drawn])
                if arm == 0:
                    base[area] = gaps
                elif np.all(np.isfinite(gaps)):
                    effects.add((label, "gap_per_kwh", area, "all"), "INR/kWh", gaps - base[area], base[area])
    return build("gap", rows), build("effects", effects.rows)


def _mean(drawn: list[Sums]) -> Sums:
    return {key: float(np.mean([one[key] for one in drawn])) for key in drawn[0]}


def case_sums(
    loads: CaseLoads, feeders: Feeders, whose: Mapping[str, NDArray], discom: NDArray[np.int64], case: int,
    replicate: int,
) -> dict[str, Sums]:  # fmt: skip
    """Energies and amounts of one case, the state first."""
    run, summary = loads.run, loads.summary(case)
    own = _by_discom(run, feeders, whose, discom, case, replicate)
    state = {key: float(values.sum()) for key, values in own.items()}
    ratio = summary.energy_mwh["state"]["used"] / state["used_mwh"]
    intake = own["used_mwh"] * ratio
    for place, name in enumerate(feeders.discoms):
        intake[place] += sum(summary.energy_mwh[f"discom:{name}"][part] for part in FEEDER_LOSSES)
    share = intake / intake.sum()
    days = int(run.scenario["time"]["days"])
    whole = {
        "input_mwh": summary.energy_mwh["state"]["sent"],
        "purchase_inr": float(read_case(run, "system", case, ["purchase_inr"])["purchase_inr"].sum()),
        "capacity_inr": summary.peak_mw * capacity_inr_per_mw_days(days),
    }
    areas = {"state": whole | {key: value * ratio for key, value in state.items()}}
    for place, name in enumerate(feeders.discoms):
        costs = {key: value * float(share[place]) for key, value in whole.items()}
        areas[f"discom:{name}"] = costs | {key: float(values[place]) * ratio for key, values in own.items()}
    return areas


def _by_discom(
    run: RunTables, feeders: Feeders, whose: Mapping[str, NDArray], discom: NDArray[np.int64], case: int,
    replicate: int,
) -> dict[str, FloatArray]:  # fmt: skip
    """What weighted consumers used, were billed and paid, shape (n_discoms,); the last entry has no discom. [MWh, INR]

    What is collected is revenue by the discom's collection efficiency, duty being paid like the rest.
    """
    n, weight = len(feeders.discoms) + 1, whose["weight"].astype(np.float64)
    paise = [*MONEY["revenue"], "subsidy_paise"]
    bills = read_case(run, "bills", case, ["consumer_id", "used_kwh", "metered_kwh", *paise])
    row = np.searchsorted(whose["consumer_id"], bills["consumer_id"])
    code, heavy = np.where(discom[row] < 0, n - 1, discom[row]), weight[row]

    def total(values: FloatArray) -> FloatArray:
        return by_code(code, heavy * values, n)

    revenue = sum(sign * bills[name].astype(np.float64) for name, sign in MONEY["revenue"].items())
    sums = {
        "used_mwh": total(bills["used_kwh"] / KW_PER_MW),
        "billed_mwh": total(bills["metered_kwh"] / KW_PER_MW),
        "revenue_inr": total(np.asarray(revenue, np.float64) / PAISE_PER_INR),
        "subsidy_inr": total(bills["subsidy_paise"] / PAISE_PER_INR),
    }
    if is_collected(run):
        money, own = case_money(run, case, replicate), np.where(discom < 0, n - 1, discom)
        received, billed = (by_code(own, weight * amounts.sum(axis=1), n) for amounts in (money.received, money.billed))
        efficiency = np.divide(received, billed, out=np.ones(n), where=billed > 0)
        sums["collected_inr"] = sums["revenue_inr"] * efficiency
    return sums


def gap_per_kwh(sums: Mapping[str, float]) -> float:
    """Purchase less what comes in (what is billed, where payments are not modelled), per kWh billed. [INR/kWh]"""
    billed_kwh = sums["billed_mwh"] * KW_PER_MW
    return (
        (sums["purchase_inr"] - sums.get("collected_inr", sums["revenue_inr"])) / billed_kwh if billed_kwh else np.nan
    )


def _row(label: str, area: str, sums: Sums) -> dict[str, Any]:
    collected = sums.get("collected_inr")
    input_kwh, billed_kwh = sums["input_mwh"] * KW_PER_MW, sums["billed_mwh"] * KW_PER_MW

    def per_unit(amount: float | None, kwh: float) -> float | None:
        return None if amount is None or not kwh else amount / kwh

    gap = gap_per_kwh(sums)
    return {
        "arm": label,
        "area": area,
        **{key: value for key, value in sums.items() if key != "used_mwh"},
        "collected_inr": collected,
        "purchase_inr_per_kwh_input": per_unit(sums["purchase_inr"], input_kwh),
        "purchase_inr_per_kwh": per_unit(sums["purchase_inr"], billed_kwh),
        "revenue_inr_per_kwh": per_unit(sums["revenue_inr"], billed_kwh),
        "subsidy_inr_per_kwh": per_unit(sums["subsidy_inr"], billed_kwh),
        "collected_inr_per_kwh": per_unit(collected, billed_kwh),
        "gap_inr_per_kwh": gap if np.isfinite(gap) else None,
    }
