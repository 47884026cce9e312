"""Finished runs made by hand for the analysis: tables in memory behind the interface of an opened run.

`hand_run` is small enough to check with a pencil. Four steps of one hour (12, 13, 18, 22 o'clock); feeders 1 and 2 are
the resolved district Sheohar; 3 and 4 are sampled for stratum 0 (weight 10), 5 and 6 for stratum 5 (weight 5); feeder
7 is only listed.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin.results.schema import arrow_schema

HOURS = (12, 13, 18, 22)
DAY = date(2026, 6, 8)
CONSUMERS = (  # consumer, feeder, category, class, weight
    (10, 1, "kutir_jyoti", 1, 1.0),
    (11, 1, "ds1", 3, 1.0),
    (12, 2, "nds2", 0, 1.0),
    (13, 3, "kutir_jyoti", 1, 10.0),
    (14, 3, "ds1", 3, 10.0),
    (15, 4, "kutir_jyoti", 1, 10.0),
    (16, 4, "ds1", 3, 10.0),
    (17, 4, "ds1", 4, 10.0),
    (18, 5, "ds2", 5, 5.0),
    (19, 6, "ds2", 5, 5.0),
    (20, 6, "nds2", 0, 5.0),
    (30, -1, "hts1", 0, 1.0),
)
FEEDERS = (  # feeder, district, discom, stratum, resolved, sampled, weight
    (1, "Sheohar", "NBPDCL", 0, True, False, 1.0),
    (2, "Sheohar", "NBPDCL", 1, True, False, 1.0),
    (3, "Araria", "NBPDCL", 0, False, True, 10.0),
    (4, "Siwan", "NBPDCL", 0, False, True, 10.0),
    (5, "Patna", "SBPDCL", 5, False, True, 5.0),
    (6, "Gaya", "SBPDCL", 5, False, True, 5.0),
    (7, "Gaya", "SBPDCL", 5, False, False, 0.0),
)
STATE_LOSSES = ("loss_ehv_mw", "loss_33kv_mw", "loss_11kv_mw", "loss_dt_mw", "loss_lv_mw")


class FakeRun:
    """Tables in memory; rows come in the order they were given, whatever it is."""

    def __init__(self, tables: dict[str, pa.Table], scenario: dict[str, Any], manifest: dict[str, Any] | None = None):
        self.tables = tables
        self.scenario = scenario
        self.manifest = manifest or {}

    def table(self, name: str, columns: list[str] | None = None, where: str | None = None) -> pa.Table:
        rows = self.tables.get(name, arrow_schema(name).empty_table())
        if where is not None:  # the one condition that the analysis uses; real SQL is tested on a run on disk
            case = re.fullmatch(r'"case" = (\d+)', where)
            assert case, f"the fake run cannot answer {where!r}"
            rows = rows.filter(pc.equal(rows.column("case"), int(case[1])))
        return rows.select(columns) if columns else rows

    def shuffled(self, seed: int) -> FakeRun:
        rng = np.random.default_rng(seed)
        mixed = {name: rows.take(pa.array(rng.permutation(rows.num_rows))) for name, rows in self.tables.items()}
        return FakeRun(mixed, self.scenario, self.manifest)

    def replaced(self, **tables: pa.Table) -> FakeRun:
        return FakeRun({**self.tables, **tables}, self.scenario, self.manifest)


def arrow(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table; columns that a row leaves out are zero or empty."""
    schema = arrow_schema(name)
    blank = _blank(schema)
    return pa.Table.from_pylist([{**blank, **row} for row in rows], schema=schema)


def _blank(schema: pa.Schema) -> dict[str, Any]:
    def blank(kind: pa.DataType) -> Any:
        if pa.types.is_string(kind):
            return ""
        if pa.types.is_boolean(kind):
            return False
        if pa.types.is_date32(kind):
            return DAY
        return datetime(2026, 6, 8) if pa.types.is_timestamp(kind) else 0

    return {field.name: pa.scalar(blank(field.type), field.type).as_py() for field in schema}


def scenario(resolve: Any = None, step_minutes: int = 60) -> dict[str, Any]:
    resolve = {"districts": ["Sheohar"]} if resolve is None else resolve
    return {"grid": {"resolve": resolve}, "time": {"step_minutes": step_minutes, "start": DAY, "days": 1}}


def cases(arms: tuple[str, ...], replicates: int, sweep: tuple[str, ...] = ("{}",)) -> pa.Table:
    points = [(p, a, r) for p in sweep for a in arms for r in range(replicates)]
    return arrow(
        "cases",
        [{"case": n, "arm": a, "replicate": r, "sweep": p, "parameters": "{}"} for n, (p, a, r) in enumerate(points)],
    )


def feeder_list() -> pa.Table:
    names = ("feeder_id", "district", "discom", "stratum", "resolved", "sampled", "weight")
    count = {f[0]: sum(c[1] == f[0] for c in CONSUMERS) for f in FEEDERS}
    rows = [dict(zip(names, f, strict=True), consumers=count[f[0]] or 4, dts=1) for f in FEEDERS]
    return arrow("feeder_list", rows)


def consumers() -> pa.Table:
    district = {f[0]: f[1] for f in FEEDERS} | {-1: "Sheohar"}
    resolved = {f[0]: f[4] for f in FEEDERS} | {-1: True}
    return arrow(
        "consumers",
        [
            {
                "consumer_id": c,
                "feeder_id": f,
                "dt_id": f,
                "district": district[f],
                "category": category,
                "income_class": income,
                "resolved": resolved[f],
                "weight": weight,
                "annual_kwh": 1200.0 if income < 4 else 2400.0,
            }
            for c, f, category, income, weight in CONSUMERS
        ],
    )


def population(rows: pa.Table) -> pa.Table:
    """Counts of a table of consumers, one by one; HT consumers count as at 132 kV and above."""
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    same = ("feeder_id", "district", "category", "income_class", "resolved", "weight")
    for row in rows.to_pylist():
        own = {name: row[name] for name in same}
        group = groups.setdefault(
            tuple(own.values()), {**own, "pss_id": -1, "consumers": 0, "annual_kwh": 0.0, "billed_within_free": 0}
        )
        group["consumers"] += 1
        group["annual_kwh"] += row["annual_kwh"]
        group["billed_within_free"] += row["annual_kwh"] * 0.94 / 12 <= 125
    return arrow("population", list(groups.values()))


def system_rows(case: int, used: list[float], loss: float, purchase: float) -> list[dict[str, Any]]:
    """Each of the five losses is ``loss`` in every step. [MW, INR per step]"""
    return [
        {
            "case": case,
            "interval_start": datetime(2026, 6, 8, hour),
            "sent_mw": value + 5 * loss,
            "used_mw": value,
            **dict.fromkeys(STATE_LOSSES, loss),
            "purchase_inr": purchase,
        }
        for hour, value in zip(HOURS, used, strict=True)
    ]


def feeder_rows(case: int, used_kw: dict[int, list[float]], loss_kw: float) -> list[dict[str, Any]]:
    """Each of the three losses is ``loss_kw`` in every step."""
    return [
        {
            "case": case,
            "interval_start": datetime(2026, 6, 8, hour),
            "feeder_id": feeder,
            "sent_kw": values[step] + 3 * loss_kw,
            "used_kw": values[step],
            "loss_11kv_kw": loss_kw,
            "loss_dt_kw": loss_kw,
            "loss_lv_kw": loss_kw,
        }
        for step, hour in enumerate(HOURS)
        for feeder, values in used_kw.items()
    ]


def dt_rows(
    case: int, overload_h: dict[int, float], evening_kw: dict[int, float], v_pu: dict[int, float]
) -> list[dict]:
    """One DT per feeder, with the feeder's number."""
    return [
        {
            "case": case,
            "date": DAY,
            "dt_id": feeder,
            "feeder_id": feeder,
            "overload_hours": overload_h[feeder],
            "evening_peak_kw": evening_kw[feeder],
            "v_end_min_pu": v_pu[feeder],
        }
        for feeder in overload_h
    ]


def bill_row(case: int, consumer: int, month: float, unchanged: float, surplus: float, **paise: int) -> dict[str, Any]:
    """A bill; ``month`` and ``unchanged`` in INR. What the consumer pays follows from the parts."""
    parts = {"energy": 0, "fixed": 0, "duty": 0, "rebate": 0, "subsidy": 0, **paise}
    total = parts["energy"] + parts["fixed"] + parts["duty"] - parts["rebate"] - parts["subsidy"]
    return {
        "case": case,
        "consumer_id": consumer,
        "period_start": DAY,
        "period_end": DAY + timedelta(days=1),
        **{f"{name}_paise": value for name, value in parts.items()},
        "total_paise": total,
        "month_paise": round(month * 100),
        "month_unchanged_paise": round(unchanged * 100),
        "month_surplus_inr": surplus,
    }


def hand_run() -> FakeRun:
    """Two arms, one replicate: case 0 flat, case 1 tod."""
    flat = {f: [100.0, 100.0, 200.0, 150.0] for f in range(1, 7)}
    tod = {
        1: [110.0, 105.0, 180.0, 145.0],
        2: [100.0, 100.0, 200.0, 150.0],
        3: [100.0, 100.0, 198.0, 148.0],  # saves 4 kWh
        4: [100.0, 100.0, 196.0, 149.0],  # saves 5 kWh
        5: [100.0, 100.0, 199.0, 150.0],  # saves 1 kWh
        6: [100.0, 100.0, 198.0, 150.0],  # saves 2 kWh: proportional to consumers within stratum 5
    }
    hours, kw = dict.fromkeys(range(1, 7), 0.0), dict.fromkeys(range(1, 7), 40.0)
    volts = dict.fromkeys(range(1, 7), 0.90)
    bills = []
    for consumer, _, category, _, _ in CONSUMERS:
        gain = {"kutir_jyoti": 0.0, "ds1": 10.0, "ds2": -60.0, "nds2": 100.0, "hts1": 5000.0}[category]
        bills.append(bill_row(0, consumer, 200, 200, 0, energy=3000, fixed=500, duty=200, subsidy=1000))
        money = {"energy": 3000 + round(gain), "fixed": 500, "duty": 200, "subsidy": 1100, "rebate": 50}
        bills.append(bill_row(1, consumer, 200 + gain, 200 + 2 * gain, -gain, **money))
    return FakeRun(
        {
            "cases": cases(("flat", "tod"), 1),
            "feeder_list": feeder_list(),
            "consumers": consumers(),
            "population": population(consumers()),
            "system": arrow(
                "system",
                system_rows(0, [100, 100, 200, 180], 2.0, 1000.0) + system_rows(1, [110, 105, 180, 170], 1.8, 900.0),
            ),
            "feeders": arrow("feeders", feeder_rows(0, flat, 1.0) + feeder_rows(1, tod, 0.5)),
            "transformers": arrow(
                "transformers",
                dt_rows(0, {**hours, 1: 2.0, 3: 3.0}, {**kw, 4: 90.0}, {**volts, 1: 0.86, 5: 0.80})
                + dt_rows(1, {**hours, 1: 0.5, 3: 1.0}, {**kw, 4: 50.0, 5: 85.0}, {**volts, 5: 0.80}),
            ),
            "bills": arrow("bills", bills),
        },
        scenario(),
    )


def random_run(seed: int, replicates: int = 2, treated: bool = True) -> FakeRun:
    """A run of arms flat and tod with drawn numbers; untreated, both arms hold the same numbers."""
    bills, system, feeders, dts = [], [], [], []
    for case in range(2 * replicates):
        stream = case if treated else case % replicates
        rng = np.random.default_rng([seed, stream])
        system += system_rows(case, list(rng.uniform(50, 300, 4)), rng.uniform(1, 3), rng.uniform(500, 900))
        feeders += feeder_rows(case, {f: list(rng.uniform(50, 300, 4)) for f in range(1, 7)}, rng.uniform(1, 3))
        drawn = [{f: float(v) for f, v in enumerate(rng.uniform(low, high, 6), 1)} for low, high in _RANGES]
        dts += dt_rows(case, *drawn)
        for consumer, *_ in CONSUMERS:
            money = dict(
                zip(("energy", "fixed", "duty", "rebate", "subsidy"), rng.integers(0, 9999, 5).tolist(), strict=True)
            )
            month, surplus = rng.uniform(0, 500), rng.uniform(-9, 9) if treated else 0.0
            unchanged = rng.uniform(0, 500) if treated else month
            bills.append(bill_row(case, consumer, month, unchanged, surplus, **money))
    return FakeRun(
        {
            "cases": cases(("flat", "tod"), replicates),
            "feeder_list": feeder_list(),
            "consumers": consumers(),
            "population": population(consumers()),
            "system": arrow("system", system),
            "feeders": arrow("feeders", feeders),
            "transformers": arrow("transformers", dts),
            "bills": arrow("bills", bills),
        },
        scenario(),
    )


_RANGES = ((0, 5), (20, 90), (0.8, 0.95))
