"""Makes the example of a user's own network: two village transformers, a mapping of their loads, and read profiles.

Run it from anywhere: ``python scenarios/data/make_village.py [FOLDER]``. It writes ``village.json`` (pandapower),
``village_loads.csv`` (which load is how many consumers of what category) and ``village_profiles.parquet`` (kW of each
load by hour, as a utility would read them at its poles). Everything is made up; the same files come out every time.
"""

from __future__ import annotations

import csv
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandapower as pp
import pyarrow as pa
import pyarrow.parquet as pq

FIRST, DAYS = datetime(2026, 6, 6), 6
LOADS = [
    # load, transformer, metres from it, consumers by category
    ("lane 1", 0, 120, {"ds1": 14}),
    ("lane 2", 0, 260, {"ds1": 18, "nds1": 2}),
    ("lane 3", 0, 380, {"ds1": 9, "kutir_jyoti": 11}),
    ("flour mill", 1, 60, {"lt_industry": 1}),
    ("lane 4", 1, 210, {"ds1": 22}),
    ("bazaar", 1, 150, {"nds1": 12}),
]
KW_PER_CONSUMER = {"ds1": 0.55, "kutir_jyoti": 0.18, "nds1": 0.7, "lt_industry": 9.0}
"""Evening or working-hours peak of one consumer in the made-up readings."""


def network() -> pp.pandapowerNet:
    """An 11 kV source, two kilometres of line, two transformers and six low-voltage lines with a load each."""
    net = pp.create_empty_network(name="village")
    source, middle, end = (pp.create_bus(net, 11.0, name=name) for name in ("substation", "village", "mill"))
    pp.create_ext_grid(net, source, vm_pu=1.0)
    for start, stop, km in ((source, middle, 6.0), (middle, end, 1.5)):
        pp.create_line_from_parameters(net, start, stop, km, 0.9116, 0.365, 10.0, 0.19, name="ACSR Weasel")
    low = []
    for high, kva, no_load_kw, load_kw in ((middle, 63.0, 0.2, 1.1), (end, 63.0, 0.2, 1.1)):
        low.append(pp.create_bus(net, 0.433))
        pp.create_transformer_from_parameters(
            net, high, low[-1], kva / 1e3, 11.0, 0.433, vkr_percent=100 * load_kw / kva, vk_percent=4.5,
            pfe_kw=no_load_kw, i0_percent=1.5, shift_degree=330.0,
        )  # fmt: skip
    for name, transformer, metres, consumers in LOADS:
        bus = pp.create_bus(net, 0.433)
        pp.create_line_from_parameters(net, low[transformer], bus, metres / 1e3, 0.64, 0.1, 0.0, 0.13, name=name)
        kw = sum(KW_PER_CONSUMER[category] * n for category, n in consumers.items())
        pp.create_load(net, bus, kw / 1e3, 0.3 * kw / 1e3, name=name)
    return net


def profiles() -> pa.Table:
    """Hourly kW of every load: homes high in the evening, shops and the mill by day, with some noise."""
    rng = np.random.default_rng(20260606)
    hours = np.arange(24)
    evening = 0.35 + 0.65 * np.exp(-0.5 * ((hours - 20.5) / 2.2) ** 2) + 0.15 * np.exp(-0.5 * ((hours - 7) / 1.5) ** 2)
    working = 0.1 + 0.9 / (1 + np.exp(-(hours - 9.0))) / (1 + np.exp(hours - 18.5))
    shape = {"ds1": evening, "kutir_jyoti": evening, "nds1": working, "lt_industry": working}
    times, loads, kw = [], [], []
    for load, (_, _, _, consumers) in enumerate(LOADS):
        day = sum(KW_PER_CONSUMER[category] * n * shape[category] for category, n in consumers.items())
        for number in range(DAYS):
            times += [FIRST + timedelta(days=number, hours=int(hour)) for hour in hours]
            loads += [load] * len(hours)
            kw += np.round(day * rng.lognormal(0.0, 0.12, len(hours)), 3).tolist()
    return pa.table({"interval_start": pa.array(times, pa.timestamp("us")), "load": loads, "kw": kw})


def main(folder: Path) -> None:
    """Write the three files."""
    net = network()
    net.std_types = {name: {} for name in net.std_types}  # the lines have their own parameters: a smaller file
    pp.to_json(net, str(folder / "village.json"))
    with (folder / "village_loads.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["load", "consumers", "category", "sanctioned_kw"])
        for load, (_, _, _, consumers) in enumerate(LOADS):
            for category, n in consumers.items():
                writer.writerow([load, n, category, 11 if category == "lt_industry" else ""])
    pq.write_table(profiles(), folder / "village_profiles.parquet", compression="zstd")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
