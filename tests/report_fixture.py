"""A hand-made run folder with small plausible tables, for tests of the report. The numbers are invented."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from twin import datapack
from twin.results.commits import BlockKey, Commit, write_commit
from twin.results.schema import arrow_schema
from twin.results.storage import Storage

START = datetime(2026, 6, 8)
STEPS = 96
TOD = {
    "applies_to": "gross",
    "solar": {"hours": "09-17", "multiplier": 0.8},
    "peak": {"hours": "17-23", "multiplier": 1.2},
}
HOMES = (
    [("kutir_jyoti", c) for c in (1, 2)] + [("ds1", c) for c in (2, 3, 4, 5)] + [("ds2", c) for c in (1, 2, 3, 4, 5)]
)
OTHERS = [("nds1", 0), ("nds2", 0), ("lt_industry", 0), ("irrigation_rural", 0), ("rural_water", 0), ("hts1", 0)]
SIZES_LAKH = {"kutir_jyoti": 29.0, "ds1": 26.0, "ds2": 4.6, "nds1": 8.0, "nds2": 8.1, "lt_industry": 1.0}


ANALYSIS = (
    "losses",
    "atc",
    "utility",
    "gap",
    "meter_losses",
    "effects",
    "gains",
    "bands",
    "sensitivity",
    "calibration",
)
BLOCKS = ("system", "grid_substations", "feeders", "transformers", *ANALYSIS)


def state_consumers(category: str) -> float:
    """Consumers of a category and class."""
    return SIZES_LAKH.get(category, 1.0) * 1e5 if "hts" not in category else 20.0


@dataclass
class Made:
    """What to make. ``strength`` scales the effect of each treatment; 0 makes it exactly nothing."""

    name: str = "tou-summer-evening"
    description: str = "Does a solar-hours rebate with an evening surcharge cut the June evening peak, and who pays?"
    arms: Sequence[str] = ("flat", "tod", "shaped")
    strength: Sequence[float] = (0.0, 0.35, 1.0)
    replicates: int = 5
    days: int = 2
    sampling: bool = True
    sensitivity: bool = False
    atc: bool = False
    """Tables of whole billing months: atc, utility, gap, payments."""
    joined: float = 0.0
    """Share of consumers of class 3 who join the last arm; 0: no arm has enrolment."""
    meters: bool = False
    """Tables of meters as devices."""
    failed_solves: int = 0
    status: str = "complete"
    months_complete: bool = False
    analysed: bool = True
    simulated: bool = True
    points: Sequence[str] = ("{}",)
    place: str = "Sheohar"
    manifest: dict[str, Any] = field(default_factory=dict)
    scenario: dict[str, Any] = field(default_factory=dict)
    feeder_weight: float = 200.0
    overload_hours: float = 61_000.0
    extra: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of tables beside the usual ones."""


def make_run(folder: Path, made: Made | None = None) -> Path:
    """Write the run folder and return it."""
    made = made or Made()
    tables = _Tables(made)
    storage = Storage(str(folder))
    files = []
    for name, rows in (tables.all() | made.extra).items():
        if (not made.analysed and name in ANALYSIS) or (not made.simulated and name in BLOCKS):
            continue
        data = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, schema=arrow_schema(name))
        files.append(storage.write_table(f"tables/{name}/case=0/part.parquet", name, data))
    write_commit(storage, Commit(BlockKey("2analysis"), 1, tuple(files)))
    scenario = yaml.safe_dump(_scenario(made) | made.scenario, allow_unicode=True, sort_keys=False)
    storage.write_bytes("scenario.yaml", scenario.encode())
    storage.write_json("manifest.json", _manifest(made) | made.manifest)
    return folder


def _scenario(made: Made) -> dict[str, Any]:
    arms = {arm: {"tariff": {"time_of_day": TOD}} if index else {} for index, arm in enumerate(made.arms)}
    return {
        "name": made.name,
        "description": made.description,
        "seed": 2026,
        "grid": {"state": "bihar", "resolve": {"districts": [made.place]}},
        "time": {"start": START.date(), "days": made.days, "step_minutes": 15},
        "tariff": "bihar-2026-27",
        "experiment": {"design": "counterfactual", "arms": arms, "replicates": made.replicates},
    }


def _manifest(made: Made) -> dict[str, Any]:
    levels = ("lv_dt", "11kv", "33kv", "ehv")
    limits = (1e-5, 1e-6, 1e-6, 1e-6)
    assumed = [
        ("substitution_urban_home", "U(0.02, 0.08)", "assumed", "twin/data/priors.yaml"),
        ("daily_urban_home", "U(-0.10, 0)", "assumed", "twin/data/priors.yaml"),
        ("transmission.line_reactor_share", 0.6, "assumed", "design rule"),
        ("grid.dt_utilisation_median", 0.57, "assumed", "judgement"),
        ("tariff.bihar-2026-27.prepaid_rebate.inr_per_kwh", 0.25, "assumed", "not found for this year"),
        ("purchase.contracted.share_of_mean", 0.9, "assumed", "part of the mean intake"),
        ("categories.ds1.consumers_million", 10.5, "assumed", "split of totals that do not close"),
    ]
    return {
        "status": made.status,
        "consumers": 171234,
        "consumer_steps": 171234 * STEPS * made.days * len(made.arms) * made.replicates,
        "wall_s": {"build": 9.1, "compile": 14.2, "simulate": 44.0, "write": 5.0, "report": 2.0},
        "cpu_s": 121.5,
        "peak_rss_bytes": 1_900_000_000,
        "energy_balance": {
            level: {"closure": 3.1e-7, "closure_limit": limit, "border_mismatch": 2.2e-5, "border_limit": 1e-3}
            for level, limit in zip(levels, limits, strict=True)
        },
        "failed_solves": [
            {"feeder": 17 + i % 3, "step": 70 + i, "case": 1, "cause": "not converged" if i % 2 else "no <solution>"}
            for i in range(made.failed_solves)
        ],
        "assumed": [dict(zip(("name", "value", "confidence", "source"), row, strict=True)) for row in assumed],
        "attempts": 1,
        "versions": {"python": "3.11.9", "gridtwin": "0.1.0", "numpy": "2.4.6", "numba": "0.62.0"},
        "seed": 2026,
        "instruction_set": "avx512",
        "command": f"twin run scenarios/{made.name}.yaml",
        "digest": hashlib.sha256(repr(made).encode()).hexdigest(),
        "synthetic": ["132 kV links where none is published", "33 kV lines, PSS places, feeders, DTs and consumers"],
        "population": {"resolved_feeders": 31, "sampled_feeders": 36, "consumers_state": 21_200_000},
        "months_complete": made.months_complete,
    }


class _Tables:
    def __init__(self, made: Made) -> None:
        self.made = made
        self.rng = np.random.default_rng(7)
        self.times = [START + timedelta(minutes=15 * step) for step in range(STEPS * made.days)]
        hours = np.arange(STEPS) / 4
        self.shape = 1 + 0.28 * np.exp(-((hours - 21.7) ** 2) / 6) - 0.22 * np.exp(-((hours - 5) ** 2) / 9)
        evening, solar = (hours >= 17) & (hours < 23), (hours >= 9) & (hours < 17)
        self.move = np.where(evening, -0.024, 0) + np.where(solar, 0.012, 0)
        self.sent: dict[tuple[str, str, int], np.ndarray] = {}

    def all(self) -> dict[str, Any]:
        made = self.made
        system = self.system()
        return {
            "cases": [
                {"case": number, "arm": arm, "replicate": replicate, "sweep": point, "parameters": "{}"}
                for number, (point, arm, replicate) in enumerate(self.case_list())
            ],
            "system": system,
            "grid_substations": self.grid_substations(),
            "feeder_list": self.feeder_list(),
            "feeders": self.feeders(),
            "transformers": self.transformers(),
            "losses": self.losses(),
            "atc": self.atc() if made.atc else [],
            "utility": self.utility() if made.atc else [],
            "gap": self.gap() if made.atc else [],
            "payments": self.payments() if made.atc else [],
            **(self.meters() if made.meters else {}),
            "enrolment": self.enrolment() if made.joined else [],
            "effects": self.effects(),
            "prices": self.prices(),
            "population": self.population(),
            "gains": self.gains(),
            "bands": self.bands(),
            "sensitivity": self.sensitivity() if made.sensitivity else [],
            "calibration": self.calibration(),
        }

    def case_list(self) -> list[tuple[str, str, int]]:
        made = self.made
        return [(point, arm, r) for point in made.points for arm in made.arms for r in range(made.replicates)]

    def strength(self, point: str, arm: str) -> float:
        made = self.made
        return made.strength[made.arms.index(arm)] * (1 + 0.3 * made.points.index(point))

    def label(self, point: str, arm: str) -> str:
        return arm if len(self.made.points) == 1 else f"{arm} {point}"

    def system(self) -> pa.Table:
        made, columns = self.made, {name: [] for name in arrow_schema("system").names}
        draws = [np.random.default_rng(100 + r) for r in range(made.replicates)]
        weather = [1 + 0.01 * rng.standard_normal() for rng in draws]
        reach = [1 + 0.4 * rng.standard_normal() for rng in draws]
        for number, (point, arm, r) in enumerate(self.case_list()):
            strength = self.strength(point, arm) * reach[r]
            factor = np.tile(1 + strength * self.move, made.days) if strength else 1.0
            daily = np.repeat(1 + 0.01 * np.arange(made.days), STEPS)
            sent = 6500 * np.tile(self.shape, made.days) * daily * weather[r] * factor
            self.sent[point, arm, r] = sent
            columns["case"] += [number] * len(sent)
            columns["interval_start"] += self.times
            columns["sent_mw"] += sent.tolist()
            losses = {"ehv": 0.025, "33kv": 0.02, "11kv": 0.035, "dt": 0.025, "lv": 0.04}
            for level, share in losses.items():
                columns[f"loss_{level}_mw"] += (share * sent * sent / 6500).tolist()
            columns["used_mw"] += (sent - sum(losses.values()) * sent * sent / 6500).tolist()
            columns["unserved_mw"] += [0.0] * len(sent)
            columns["purchase_inr"] += (sent * 250 * 4.8).tolist()
        return pa.table(columns, schema=arrow_schema("system"))

    def grid_substations(self) -> pa.Table:
        pack = datapack.read_rows("transmission", _Station)
        stations = [s for s in pack if s.latitude and s.status == "in service" and "33" in (s.voltage_levels_kv or "")][
            :70
        ]
        load = 25 + 75 * self.rng.random(len(stations))
        rows: dict[str, list[Any]] = {name: [] for name in arrow_schema("grid_substations").names}
        for number, (_, arm, _) in enumerate(self.case_list()):
            cut = 1 - 0.02 * self.made.strength[self.made.arms.index(arm)]
            for step in range(0, len(self.times), 8):
                for i, station in enumerate(stations):
                    name = self.made.place if i == 0 else station.substation
                    loading = load[i] * self.shape[step % STEPS] * cut
                    values = (number, self.times[step], station.id, name, station.district, station.latitude)
                    values += (station.longitude, loading, loading / 3, 0.99, loading)
                    for column, value in zip(rows, values, strict=True):
                        rows[column].append(value)
        return pa.table(rows, schema=arrow_schema("grid_substations"))

    def feeder_list(self) -> list[dict[str, Any]]:
        classes = ("rural_mixed", "urban", "industrial", "agricultural")
        return [
            {
                "feeder_id": i, "code": f"F-{i:05d}", "pss_id": i // 5, "gss_id": "G", "district": self.made.place if i < 8 else "Gaya",  # noqa: E501
                "discom": "NBPDCL", "feeder_class": classes[i % 4], "stratum": i % 4, "resolved": i < 8, "sampled": i >= 8,  # noqa: E501
                "weight": 1.0 if i < 8 else self.made.feeder_weight, "consumers": 3000, "dts": 40,
            }
            for i in range(20)
        ]  # fmt: skip

    def feeders(self) -> pa.Table:
        rows: dict[str, list[Any]] = {name: [] for name in arrow_schema("feeders").names}
        n = len(self.times)
        for number, (point, arm, r) in enumerate(self.case_list()):
            for feeder in range(20):
                sent = self.sent[point, arm, r] * (0.9 + 0.01 * feeder)
                v_min = 0.985 - 0.007 * (feeder % 10) - 0.02 * sent / 8000
                columns = ([number] * n, self.times, [feeder] * n, sent, sent / 3, sent * 0.9, sent * 0.03, sent * 0.03)
                columns += (sent * 0.04, np.full(n, 1.0), v_min)
                for column, values in zip(rows, columns, strict=True):
                    rows[column].extend(values)
        return pa.table(rows, schema=arrow_schema("feeders"))

    def transformers(self) -> pa.Table:
        rows: dict[str, list[Any]] = {name: [] for name in arrow_schema("transformers").names}
        load = 57 * np.exp(0.45 * self.rng.standard_normal(800))
        v = 0.955 - 0.05 * self.rng.random(800) - 0.0003 * load
        for number, (_, arm, r) in enumerate(self.case_list()):
            cut = 1 - 0.02 * self.made.strength[self.made.arms.index(arm)]
            for day in range(self.made.days):
                loading = load * cut * (1 + 0.01 * r)
                peak = [START + timedelta(days=day, hours=21, minutes=45)] * 800
                columns = ([number] * 800, [START.date() + timedelta(days=day)] * 800, range(800), np.arange(800) // 40)
                columns += (
                    [63.0] * 800,
                    loading * 0.63,
                    peak,
                    loading,
                    np.maximum(loading - 100, 0) / 10,
                    loading * 0.6,
                )
                columns += (v - 0.01, v, loading * 8)
                for column, values in zip(rows, columns, strict=True):
                    rows[column].extend(values)
        return pa.table(rows, schema=arrow_schema("transformers"))

    def losses(self) -> list[dict[str, Any]]:
        shares = {"sent": 100, "loss_ehv": 2.4, "loss_33kv": 1.9, "loss_11kv": 3.4, "loss_dt": 2.4, "loss_lv": 3.9}
        shares["used"] = 100 - sum(value for part, value in shares.items() if part.startswith("loss"))
        return [
            {"arm": self.label(point, arm), "area": area, "part": part, "energy_mwh": 3200.0 * share * scale,
             "percent_of_sent": share - (0.05 * self.made.strength[index] if part.startswith("loss") else 0)}
            for point in self.made.points
            for index, arm in enumerate(self.made.arms)
            for area, scale in (("state", 1.0), (f"district:{self.made.place}", 0.01))
            for part, share in shares.items()
        ]  # fmt: skip

    def atc(self) -> list[dict[str, Any]]:
        """Parts of each area, in which meters read too much in the state; what is left over is closure."""
        shares = {"loss_33kv": 2.5, "loss_11kv": 3.3, "loss_dt": 2.4, "loss_lv": 1.9, "theft": 2.7, "unrecorded": 0.25}
        shares |= {"meter_error": -0.15, "estimate": 0.11}
        rows = []
        for index, arm in enumerate(self.made.arms):
            for k, area in enumerate(("state", "discom:NBPDCL", "discom:SBPDCL", f"district:{self.made.place}")):
                own = {part: value * (1 + 0.1 * k) for part, value in shares.items() if k == 0 or part != "loss_33kv"}
                own["theft"] -= 0.4 * self.made.strength[index]
                billed = 86.45 + 1.2 * k
                own |= {"billed": billed, "closure": 100.0 - billed - sum(own.values())}
                own |= {"input": 100.0, "collected": 0.97 * billed, "uncollected": 0.03 * billed, "over_collected": 0.0}
                rows += [
                    {"arm": arm, "area": area, "part": part, "energy_mwh": 40.0 * share, "percent_of_input": share}
                    for part, share in own.items()
                ]
        return rows

    def utility(self) -> list[dict[str, Any]]:
        """Metered input 1 % too high, 11 % of it taken for technical loss."""
        own = (100.0, 101.0, 87.0, 8.0, 11.11, 5.0, 2.89, 15.6, 16.5, 0.5)
        columns = arrow_schema("utility").names[2:]
        return [
            {"arm": arm, "area": area} | dict(zip(columns, own, strict=True))
            for arm in self.made.arms
            for area in ("state", "discom:NBPDCL", "discom:SBPDCL", "feeder:F-1")
        ]

    def wallets(self) -> dict[str, list[dict[str, Any]]]:
        """200 wallets, of which 4 are cut on the first day, 8 on the second, ...; twice as many at a second point."""
        if not (self.made.scenario.get("meters") or {}).get("prepaid"):
            return {}
        rows = [
            {"case": number, "date": START.date() + timedelta(days=i), "feeder_id": 1, "prepaid": 200, "negative": 10,
             "messages": 1, "debited_inr": 1.0, "recharges": 2, "recharged_inr": 3.0, "reconnected": 3, "off": 1,
             "disconnected": 4 * (i + 1) * (1 + self.made.points.index(point))}
            for number, (point, *_) in enumerate(self.case_list()) for i in range(self.made.days)
        ]  # fmt: skip
        return {"wallets": rows}

    def switches(self) -> dict[str, list[dict[str, Any]]]:
        """Interruptions: 1,000 gasps a day, of which 250 arrive, half at a second point. Limits open two meters, one of
        them on the first day only; they keep 3 and 1.5 kWh from their consumers.
        """
        power, limits = [], []
        for number, (point, *_) in enumerate(self.case_list()):
            for i in range(self.made.days):
                own = {"case": number, "date": START.date() + timedelta(days=i)}
                power.append(
                    own
                    | {"feeder_id": 1, "meters": 1000, "power_failures": 1200, "gasps_sent": 1000, "restorations": 1100,
                       "gasps_arrived": 250 // (1 + self.made.points.index(point)), "breaths_arrived": 990,
                       "dark_h": 2000.0, "joining_h": 220.0, "reads_delayed": 30}
                )  # fmt: skip
                limit = own | {"limit_kw": 1.1, "openings": 4, "open_min": 30.0, "locked": False, "unserved_kwh": 3.0}
                limits.append(limit | {"consumer_id": 1})
                if i == 0:
                    extra = {"consumer_id": 2, "openings": 2, "open_min": 15.0, "locked": True, "unserved_kwh": 1.5}
                    limits.append(limit | extra)
        return {"meter_power": power, "load_limits": limits}

    def meters(self) -> dict[str, list[dict[str, Any]]]:
        """1,000 smart meters of one type, of which 200 fewer come in at each further sweep point; 300 others."""
        day, reads, events, estimates, commands, losses = START.date(), [], [], [], [], []
        for number, (point, _, r) in enumerate(self.case_list()):
            lost = 200 * self.made.points.index(point)
            for i in range(self.made.days):
                counts = {f"read_{h}h": 990 - 200 // h - lost - 10 * i for h in (1, 2, 4, 6, 8, 12, 24)}
                own = {"case": number, "date": day + timedelta(days=i), "feeder_id": 1, "days_fetched": 900}
                own |= {"days_lost": 2, "read_kwh": 1.0}
                reads.append(own | {"device": "qq.qqqq", "meters": 1000, "working": 995} | counts)
                reads.append(own | {"device": "static.qq", "meters": 300, "working": 300} | dict.fromkeys(counts, 0))
            for k in range(4 + 2 * r):
                event = {"case": number, "event_time": START, "consumer_id": k, "code": 0, "event": "failed"}
                events += [event, event | {"code": 302, "event": f"command_{k}_connect"}]
            estimates.append(
                {"case": number, "consumer_id": 1, "period_start": day, "period_end": day, "flag": "missing",
                 "rule": "neighbours", "days_missing": 3, "metered_kwh": 9.0, "billed_kwh": 10.0}
            )  # fmt: skip
            commands.append(
                {"case": number, "campaign": 0, "command": "ping", "consumer_id": 1, "issued": START, "executed": None,
                 "result": "not_reached"}
            )  # fmt: skip
        for point, name in ((p, name) for p in self.made.points for name in self.made.arms):
            arm, worse = self.label(point, name), 1 + self.made.points.index(point)
            for area in ("state", f"district:{self.made.place}"):
                for part, share, inr in (("used", 100.0, None), ("theft", 2.5, 1.0e6), ("unrecorded", 0.1 * worse, 4e4),
                                         ("error", 0.5 * worse, 2e5), ("estimate", -0.2, -8e4)):  # fmt: skip
                    losses.append(
                        {"arm": arm, "area": area, "part": part, "energy_mwh": 5.0 * share, "percent_of_used": share,
                         "value_inr": inr}
                    )  # fmt: skip
        return self.wallets() | self.switches() | {
            "meter_reads": reads, "meter_events": events, "estimates": estimates, "commands": commands,
            "meter_losses": losses,
        }  # fmt: skip

    def payments(self) -> list[dict[str, Any]]:
        """Two months of three categories: hts1 is too few, ds1 pays 90 of 100 and gets its subsidy of 100."""
        own = {"kutir_jyoti": (100.0, 0.0), "ds1": (200.0, 90.0), "hts1": (1000.0, 1000.0)}
        return [
            {"arm": arm, "area": area, "category": category, "month": date(2026, month, 1), "consumers": 100.0,
             "billed_inr": 1e7 * billed, "due_inr": 1e7 * max(billed - 100.0, 0.0), "paid_inr": 1e7 * paid,
             "subsidy_received_inr": 1e9 if billed < 1000.0 else 0.0, "arrears_inr": 1e7 * 10.0 * (month - 5)}
            for arm in self.made.arms
            for area in ("state", f"district:{self.made.place}")
            for category, (billed, paid) in own.items()
            for month in (6, 7)
        ]  # fmt: skip

    def enrolment(self) -> list[dict[str, Any]]:
        """Homes of class 3 that stand for two each, and a shop that does not join."""
        own = {"feeder_id": 1, "pss_id": 1, "district": self.made.place, "reached": 100}
        home = {"category": "ds1", "income_class": 3, "weight": 2.0, "joined": round(100 * self.made.joined)}
        shop = {"category": "nds2", "income_class": 0, "weight": 1.0, "joined": 0}
        last = [number for number, (_, arm, _) in enumerate(self.case_list()) if arm == self.made.arms[-1]]
        return [{"case": number} | own | kind for number in last for kind in (home, shop)]

    def gap(self) -> list[dict[str, Any]]:
        """A unit bought at Rs 5.20, of which 0.8 are billed; payments where the fixture has them."""
        own = (120.0, 96.0, 624_000.0, 30_000.0, 768_000.0, 288_000.0, 720_000.0, 5.2, 6.5, 8.0, 3.0, 7.5, -1.0)
        columns = arrow_schema("gap").names[2:]
        return [
            {"arm": arm, "area": area} | dict(zip(columns, own, strict=True))
            for arm in self.made.arms
            for area in ("state", "discom:NBPDCL")
        ]

    def effects(self) -> list[dict[str, Any]]:
        made, rows = self.made, []
        evening = np.array([17 <= time.hour < 23 for time in self.times])
        for point, name in ((point, name) for point in made.points for name in made.arms[1:]):
            s, arm = self.strength(point, name), self.label(point, name)
            flat = np.array([self.sent[point, made.arms[0], r][evening].max() for r in range(made.replicates)])
            own = np.array([self.sent[point, name, r][evening].max() for r in range(made.replicates)])
            rows += self.effect(arm, "evening_peak", "state", own - flat, flat, "MW", sampling=0.4)
            rows += self.effect(arm, "evening_peak", f"district:{made.place}", (own - flat) * 0.006, flat * 0.006, "MW")
            rows += self.effect(arm, "evening_peak", "dt:worst", (own - flat) * 0.02, flat * 0.0125, "kW")
            spread = np.linspace(0.5, 1.5, made.replicates) if made.replicates > 1 else np.ones(1)
            for outcome, value, reference, unit in (
                ("energy_moved", 0.9, 310.0, "GWh"),
                ("energy_saved", 0.26, 310.0, "GWh"),
                ("technical_loss", -310.0, 43_000.0, "MWh"),
                ("technical_loss_share", -0.02, 14.0, "percentage points"),
                ("voltage_violations", -0.4, 31.0, "percentage points"),
                ("dt_overload_hours", -5200.0, made.overload_hours, "h"),
                ("revenue", -4.1e8, 6.2e9, "INR"),
                ("duty", -1e7, 2e8, "INR"),
                ("subsidy", 9e7, 5.1e9, "INR"),
                ("consumer_payment", -5.1e8, 1.3e9, "INR"),
                ("purchase_cost", -1.2e8, 1.5e9, "INR"),
                *([("gap_per_kwh", 0.02, -1.0, "INR/kWh")] if made.atc else []),
                ("bill_unchanged", 1.2, 212.0, "INR/month"),
                ("bill_response", 0.7, 212.0, "INR/month"),
                ("surplus", -0.9, 212.0, "INR/month"),
            ):
                rows += self.effect(arm, outcome, "state", value * s * spread, np.full_like(spread, reference), unit)
            for area, group in (
                ("discom:NBPDCL", "all"),
                ("state", "homes"),
                ("state", "class/3"),
                ("state", "category/ds1"),
            ):
                changes = 0.8 * s * spread
                rows += self.effect(
                    arm, "bill_response", area, changes, np.full_like(spread, 150.0), "INR/month", group
                )
            rows += self.effect(arm, "revenue", "discom:NBPDCL", -2.1e8 * s * spread, np.full_like(spread, 3e9), "INR")
            for category, klass in HOMES + OTHERS:
                group = f"category/{category}/class/{klass}" if klass else f"category/{category}"
                for outcome, value in (("bill_unchanged", 1.0), ("bill_response", 0.6), ("surplus", -0.7)):
                    size = value * s * (klass - 2 if klass else 5)
                    rows += self.effect(
                        arm, outcome, "state", size * spread, np.full_like(spread, 200.0), "INR/month", group
                    )
        return rows

    def effect(
        self,
        arm: str,
        outcome: str,
        area: str,
        values: Any,
        reference: Any,
        unit: str,
        group: str = "all",
        sampling: float = 0,
    ) -> list[dict[str, Any]]:
        value = float(np.mean(values))
        common = {"arm": arm, "outcome": outcome, "area": area, "group": group, "value": value, "unit": unit}
        common |= {"reference": float(np.mean(reference)), "replicates": self.made.replicates}
        kind, ends = "none", (None, None)
        if self.made.replicates > 18:
            kind, ends = "draws_and_parameters", tuple(np.quantile(values, (0.05, 0.95)).tolist())
        elif self.made.replicates > 1:
            kind, ends = "range", (float(np.min(values)), float(np.max(values)))
        rows = [common | {"low": ends[0], "high": ends[1], "kind": kind}]
        if sampling and self.made.sampling:
            reach = abs(value) * sampling
            sampled = common | {"low": value - reach, "high": value + reach, "kind": "sampling"}
            rows = [row for row in rows if row["kind"] != "none"] + [sampled]
        return rows

    def prices(self) -> list[dict[str, Any]]:
        rows = []
        periods = (("normal", "23:00", "09:00", 1.0), ("solar", "09:00", "17:00", 0.8), ("peak", "17:00", "23:00", 1.2))
        gross = {"kutir_jyoti": 7.42, "ds1": 7.42, "ds2": 7.42, "nds1": 7.79, "nds2": 7.73, "lt_industry": 7.79}
        for point, (index, name) in ((p, item) for p in self.made.points for item in enumerate(self.made.arms)):
            arm = self.label(point, name)
            for category, klass in HOMES + OTHERS:
                home = klass > 0
                subsidy = 4.97 if category in ("kutir_jyoti", "ds1") else 3.3 if home else 0.0
                zero = max(0.0, 1.0 - 0.08 * klass) if home else 0.0
                whole = name != "shaped" or not home
                for period, start, end, factor in periods if index else (("all", "00:00", "24:00", 1.0),):
                    price = gross.get(category, 6.74) * factor
                    at_zero = zero if whole or period != "peak" else zero / 2
                    names = (arm, category, klass, period, start, end, price, subsidy, price - subsidy, at_zero)
                    rows.append(dict(zip(arrow_schema("prices").names, names, strict=True)))
        return rows

    def population(self) -> list[dict[str, Any]]:
        return [
            {
                "feeder_id": -1, "pss_id": -1, "district": self.made.place, "category": category,
                "income_class": klass, "resolved": False, "weight": 200.0, "annual_kwh": 1e3,
                "consumers": round(state_consumers(category) / 200) or 1, "billed_within_free": 0,
            }
            for category, klass in HOMES + OTHERS
        ]  # fmt: skip

    def gains(self) -> list[dict[str, Any]]:
        rows = []
        for point, name in ((point, name) for point in self.made.points for name in self.made.arms[1:]):
            s, arm = self.strength(point, name), self.label(point, name)
            for measure in ("unchanged", "response", "surplus"):
                for category, klass in HOMES + OTHERS:
                    moved = s * (0.05 + 0.07 * klass) if klass else 0.8 * bool(s)
                    middle = s * (klass - 2 if klass else 8.0)
                    width = s * (3 + 5 * klass if klass else 30 if "hts" not in category else 40_000)
                    rows.append(
                        {
                            "arm": arm, "measure": measure, "category": category, "income_class": klass,
                            "consumers": state_consumers(category),
                            "share_more_50": moved * 0.05, "share_more": moved * 0.6, "share_same": 1 - moved,
                            "share_less": moved * 0.4, "share_less_50": moved * 0.04, "p10": middle - width,
                            "p50": middle, "p90": middle + width, "mean_inr": middle * 1.1,
                        }
                    )  # fmt: skip
        return rows

    def bands(self) -> list[dict[str, Any]]:
        rows = [
            ("dt_loading_percent", "median", 45, 70, 57.2, "assumed"),
            ("dt_loading_percent", "share over 100", 5, 15, 11.3, "assumed"),
            ("lv_end_voltage_pu", "5th percentile", 0.88, 0.93, 0.893, "recalled"),
            ("feeder_end_voltage_pu", "5th percentile", 0.90, 0.95, 0.957, "recalled"),
        ]
        return [dict(zip(arrow_schema("bands").names, row, strict=True)) for row in rows]

    def sensitivity(self) -> list[dict[str, Any]]:
        rows = [
            ("evening_peak", arm, parameter, low, high, a, b, confidence)
            for arm in self.made.arms[1:]
            for parameter, low, high, a, b, confidence in (
                ("substitution_urban_home", 0.02, 0.2, -58.0, -340.0, "assumed"),
                ("daily_urban_home", -0.1, 0.0, -210.0, -150.0, "assumed"),
                ("weather.rise_c", 0.0, 3.0, -180.0, -215.0, "recalled"),
            )
        ]
        return [dict(zip(arrow_schema("sensitivity").names, row, strict=True)) for row in rows]

    def calibration(self) -> list[dict[str, Any]]:
        rows = [
            ("C02", "Peak demand met", "June 2025", "MW", 8303, 8428, 8420.0, 8010.0, 8830.0, False, "found"),
            ("C03", "Later 2025 record", "July-Sept 2025", "MW", 8500, 8800, 8420.0, 8010.0, 8830.0, False, "recalled"),
            ("C13", "AT&C loss state", "FY2024-25", "percent", 15.5, 15.5, 14.1, 13.8, 14.4, False, "found"),
            ("C21", "Consumers all", "Mar-Jul 2025", "million", 21.2, 21.6, 21.2, 21.2, 21.2, True, "found"),
            ("C23", "Domestic consumers", "Jul-Aug 2025", "million", 18.66, 18.9, 18.7, 18.7, 18.7, True, "found"),
            ("C24", "Domestic consumers at or under 125 kWh a month", "July 2025", "million", 16.794, 16.794, 14.9, 14.4, 15.4, False, "found"),  # noqa: E501
            ("C02h", "Hour of the peak", "June 2025", "h", 21.75, 22.5, 21.9, 21.9, 21.9, False, "found"),
        ]  # fmt: skip
        return [dict(zip(arrow_schema("calibration").names, row, strict=True)) for row in rows]


class _Station(datapack.Row):
    id: str
    substation: str | None = None
    district: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    voltage_levels_kv: str | None = None
    status: str | None = None


def days_after(days: int) -> date:
    """A day of the made run."""
    return (START + timedelta(days=days)).date()


def read_embedded(html: str, element: str) -> Any:
    """Content of a JSON block of the page."""
    start = html.index(f'id="{element}"')
    start = html.index(">", start) + 1
    return json.loads(html[start : html.index("</script>", start)])
