"""Cost of drawing demand, in nanoseconds per consumer-step on one core.

python benchmarks/demand.py
"""

from __future__ import annotations

import datetime as dt
import time

import numpy as np

from twin.datapack import kinds
from twin.demand.columns import draw_columns, draw_columns_and_zip
from twin.demand.draw import day_tables, draw_tile, mean_tile, padded
from twin.demand.panel import kind_counts
from twin.demand.weather import DAY_STEPS, GeneratedWeather

N, TILE, ROUNDS = 20_000, 85, 7


def main() -> None:
    rng = np.random.default_rng(1)
    share = kind_counts()[: len(kinds())]
    kind = rng.choice(len(share), N, p=share / share.sum()).astype(np.uint8)
    ids = np.arange(N)
    district = np.full(N, 27, np.int16)
    draw_columns(1, ids, kind, district)
    begun = time.perf_counter()
    columns, _ = draw_columns_and_zip(1, ids, kind, district)
    size = sum(field.nbytes for field in columns) / N
    print(f"traits: {(time.perf_counter() - begun) / N * 1e9:.0f} ns per consumer, {size:.0f} bytes")
    weather = GeneratedWeather(1)
    kw = np.empty((TILE, padded(DAY_STEPS)), np.float32)
    for month in (1, 6, 11):
        day = day_tables(1, weather, dt.date(2026, month, 10), districts=np.array([27]))
        for name, tile in (("draw", draw_tile), ("mean", mean_tile)):
            best = np.inf
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                for start in range(0, N, TILE):
                    tile(columns, start, min(start + TILE, N), day, kw)
                best = min(best, time.perf_counter() - begun)
            print(f"month {month:2d} {name}_tile: {best / N / DAY_STEPS * 1e9:.1f} ns per consumer-step")
    begun = time.perf_counter()
    for k in range(10):
        day_tables(1, weather, dt.date(2026, 6, 11) + dt.timedelta(days=k))
    took_ms = (time.perf_counter() - begun) * 100
    print(f"day tables of all districts: {took_ms:.0f} ms, {day.table.nbytes / 1e3:.0f} kB a district")


if __name__ == "__main__":
    main()
