"""Loading of the synthetic grid against an Indian utility's: DT loading, end voltages, yearly technical loss.

Builds the auxiliary sample (36 feeders), solves it in mean field on the highest June evening and on twelve typical
days, iterating LV and 11 kV until their voltages agree, and prints the distributions beside the bands they must meet.
Feeders and DTs of a stratum carry the weight of all they stand for. PSS 11 kV buses are held at 1.004 pu,
where their regulators leave them at the peak.

    python benchmarks/loading_bands.py [--seed N] [--per-class 8 4 3 3] [--no-year]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numba as nb
import numpy as np

from twin.datapack import read_yaml
from twin.demand.columns import draw_columns_and_zip
from twin.demand.draw import day_tables, draw_tile, mean_tile
from twin.demand.panel import design_kind_kw, june_days, kind_counts, kind_mean_kw, panel_columns, typical_days
from twin.demand.weather import GeneratedWeather
from twin.grid.feeder import build_feeder
from twin.grid.state import build_state
from twin.grid.strata import choose, rank_in_stratum, stratum_name
from twin.powerflow.lanes import aligned, padded
from twin.powerflow.lv import LANES, lv_options, lv_scratch, solve_tile, tile_out
from twin.powerflow.lv_equivalents import settle, settled, tile_loads, tree_shunts
from twin.powerflow.radial import node_loads, radial_options, radial_out, radial_scratch, sweep

STEPS, HOURS, ROUNDS, PSS_PU = 96, 0.25, 4, 1.004
BANDS = {
    "DT loading, median": (0.45, 0.70),
    "DTs above 100 %": (0.05, 0.15),
    "LV end voltage, 5th percentile (pu of 433 V)": (0.88, 0.93),
    "11 kV feeder end, 5th percentile (pu)": (0.90, 0.95),
    "yearly technical loss at 11 kV and below": (0.09, 0.13),
}


@nb.njit(error_model="numpy")
def solve_tiles(lv, kw, zips, v_dt, zone, options, scratch, tiles, kwh):
    for k in range(len(v_dt)):
        solve_tile(lv, k, kw, zips, v_dt[k], zone, 0.25, options, scratch, tiles, kwh)


@nb.njit(error_model="numpy")
def settle_all(lv, tiles, v_dt, final):
    for k in range(len(v_dt)):
        settle(lv, k, tiles, v_dt[k], final)


@dataclass
class Day:
    """What one feeder did on one day; arrays by DT and step, or by step."""

    sent_kw: np.ndarray
    used_kw: np.ndarray
    loss_11kv_kw: np.ndarray
    loss_dt_kw: np.ndarray
    loss_lv_kw: np.ndarray
    dt_kva: np.ndarray
    v_end_pu: np.ndarray
    v_11kv_pu: np.ndarray


def solve_day(static, day, seed, tile=mean_tile):
    """Solve a feeder for one day in exact mode; ``tile`` draws its demand, or takes the expectation."""
    n = len(static.kind)
    columns, zips = draw_columns_and_zip(
        seed, static.consumer_id, static.kind, np.full(n, static.district, np.int16), np.full(n, static.feeder)
    )
    kw = aligned((n, padded(STEPS, LANES)), np.float32)
    tile(columns, 0, n, day, kw)
    lv, n_dt, n_nodes = static.lv, len(static.dt_id), len(static.line_km)
    g, b = tree_shunts(lv, static.node_of_dt, n_nodes)
    tree = static.tree._replace(g_pu=static.tree.g_pu + g, b_pu=static.tree.b_pu + b)
    tiles, loads, flow = tile_out(n_dt, STEPS), node_loads(n_nodes, STEPS), radial_out(n_nodes, STEPS, 1)
    final, scratch = settled(n_dt, STEPS), lv_scratch(lv)
    zone, kwh = np.zeros(STEPS, np.uint8), np.zeros((n, 1))
    v_dt, ratio, cls = np.full((n_dt, STEPS), 0.97), np.ones((n_nodes, 1)), np.zeros(n_nodes, np.uint8)
    for _ in range(ROUNDS):
        solve_tiles(lv, kw, zips, v_dt, zone, lv_options(), scratch, tiles, kwh)
        tile_loads(tiles, static.node_of_dt, loads)
        sweep(tree, loads, np.full(STEPS, PSS_PU), ratio, cls, radial_options(), radial_scratch(n_nodes), flow)
        v_dt = np.ascontiguousarray(flow.v_pu[static.node_of_dt])
    settle_all(lv, tiles, v_dt, final)
    if tiles.status.any() or flow.status.any():
        failed = int((tiles.status != 0).sum()), int((flow.status != 0).sum())
        print(f"feeder {static.feeder}: {failed[0]} tile states and {failed[1]} line states failed")
    return Day(
        sent_kw=flow.p_head_kw.copy(),
        used_kw=final.used_kw.sum(axis=0),
        loss_11kv_kw=flow.loss_kw.sum(axis=0),
        loss_dt_kw=final.loss_dt_kw.sum(axis=0),
        loss_lv_kw=final.loss_lv_kw.sum(axis=0),
        dt_kva=np.hypot(tiles.sent_kw, tiles.sent_kvar),
        v_end_pu=tiles.v_end_pu.copy(),
        v_11kv_pu=flow.v_pu.copy(),
    )


def quantile(values, weights, q):
    order = np.argsort(values)
    share = np.cumsum(weights[order]) - weights[order] / 2
    return float(np.interp(q, share / weights.sum(), values[order]))


def highest_june_day(seed):
    """The date that the grid is sized for, as `design_kind_kw` picks it."""
    spec = read_yaml("demand/panel")["design"]
    weather, counts = GeneratedWeather(spec["weather_seed"]), kind_counts()
    columns = panel_columns(seed, 256)
    peak = [float((counts @ kind_mean_kw(seed, d, weather, 256, columns))[68:].max()) for d in june_days(spec["year"])]
    return june_days(spec["year"])[int(np.argmax(peak))], weather, spec["year"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--per-class", type=int, nargs=4, default=None)
    parser.add_argument("--no-year", action="store_true")
    parser.add_argument("--drawn", action="store_true", help="the year with drawn demand instead of its expectation")
    asked = parser.parse_args()
    seed = asked.seed
    design = design_kind_kw(seed)
    start = time.perf_counter()
    state = build_state(seed, design)
    print(f"state: {time.perf_counter() - start:.2f} s  {state.counts()}")
    if asked.per_class:
        rank = rank_in_stratum(state.feeders.stratum, seed)
        rows = np.flatnonzero(rank < np.array(asked.per_class * 2)[state.feeders.stratum])
    else:
        rows = np.flatnonzero(choose(state, [], seed).sampled)
    build_feeder(state, int(rows[0]), design, seed)
    start = time.process_time()
    built = [build_feeder(state, int(row), design, seed) for row in rows]
    spent, n = time.process_time() - start, sum(len(f.kind) for f in built)
    print(f"build: {1e3 * spent / len(rows):.2f} ms per feeder, {1e6 * spent / n:.2f} ms per 1,000 consumers")

    date, weather, year = highest_june_day(seed)
    day = day_tables(0, weather, date)
    days = [solve_day(f, day, seed) for f in built]
    stratum = state.feeders.stratum[rows]
    feeders_in = np.bincount(state.feeders.stratum, minlength=8)
    dts_in = np.bincount(state.feeders.stratum, weights=state.feeders.n_dts, minlength=8)
    kwh_weight = np.bincount(state.feeders.stratum, weights=state.feeders.n_consumers, minlength=8)
    kwh_weight = (kwh_weight / np.bincount(stratum, weights=state.feeders.n_consumers[rows], minlength=8))[stratum]
    load = sum(w * d.sent_kw for w, d in zip(kwh_weight, days, strict=True))
    peak = 68 + int(load[68:].argmax())  # from 17:00
    clock = f"{peak // 4:02d}:{15 * (peak % 4):02d}"
    print(f"{date}: peak of the sample at {clock}, {load[peak] / 1e3:.0f} MW sent into 11 kV")

    parts = np.array([[d.sent_kw[peak], d.loss_11kv_kw[peak], d.loss_dt_kw[peak], d.loss_lv_kw[peak]] for d in days])
    for c in range(4):
        m = stratum % 4 == c
        whole = kwh_weight[m] @ parts[m]
        print(f"  class {c} at peak: losses 11 kV, DT, LV {np.round(whole[1:] / whole[0], 4)}")

    per_dt, values = [], {}
    for f, d, s in zip(built, days, stratum, strict=True):
        if s % 4 != 3:
            share = dts_in[s] / sum(len(g.dt_id) for g, t in zip(built, stratum, strict=True) if t == s)
            ones = np.ones(len(f.dt_id))
            per_dt.append(np.stack([d.dt_kva[:, peak] / f.rating_kva, d.v_end_pu[:, peak], share * ones, s * ones]))
    loading, v_end, weight, of = np.concatenate(per_dt, axis=1)
    kept = stratum % 4 != 3
    end = np.array([d.v_11kv_pu[:, peak].min() for d in days])
    end_weight = (feeders_in / np.maximum(np.bincount(stratum, minlength=8), 1))[stratum]
    values["DT loading, median"] = quantile(loading, weight, 0.5)
    values["DTs above 100 %"] = float(weight[loading > 1.0].sum() / weight.sum())
    values["LV end voltage, 5th percentile (pu of 433 V)"] = quantile(v_end, weight, 0.05)
    values["11 kV feeder end, 5th percentile (pu)"] = quantile(end[kept], end_weight[kept], 0.05)
    for s in range(8):
        if s % 4 == 3:
            continue
        m, e = of == s, stratum == s
        five, half, most = np.quantile(loading[m], [0.05, 0.5, 0.95])
        low, middle = np.quantile(v_end[m], [0.05, 0.5])
        print(
            f"  {stratum_name(s):22s} DT loading {five:.2f} {half:.2f} {most:.2f} (p5 p50 p95),"
            f" above 1: {np.mean(loading[m] > 1):.3f}; LV end {low:.3f} {middle:.3f} (p5 p50);"
            f" 11 kV end {end[e].min():.3f} {np.median(end[e]):.3f} (lowest, p50)"
        )
    if not asked.no_year:
        total = np.zeros(5)
        by_class = np.zeros((4, 5))
        for when, n_days in typical_days(year):
            tables = day_tables(0, weather, when)
            for f, w, s in zip(built, kwh_weight, stratum, strict=True):
                d = solve_day(f, tables, seed, draw_tile if asked.drawn else mean_tile)
                parts = [d.sent_kw, d.used_kw, d.loss_11kv_kw, d.loss_dt_kw, d.loss_lv_kw]
                row = w * n_days * HOURS * np.array([part.sum() for part in parts])
                total += row
                by_class[s % 4] += row
        sent, used, l11, ldt, llv = total
        values["yearly technical loss at 11 kV and below"] = (l11 + ldt + llv) / sent
        gap = abs(1 - (used + l11 + ldt + llv) / sent)
        shares = f"11 kV {l11 / sent:.4f}, DT {ldt / sent:.4f}, LV {llv / sent:.4f}"
        print(f"  year: sent {sent / 1e9:.2f} TWh, losses {shares}; closure {gap:.1e}")
        for c in range(4):
            print(f"    class {c}: sent {by_class[c, 0] / 1e9:.2f} TWh, losses {by_class[c, 2:] / by_class[c, 0]}")
    for name, value in values.items():
        low, high = BANDS[name]
        print(f"{name:48s} {value:.4f}  band {low:g} to {high:g}  {'inside' if low <= value <= high else 'OUTSIDE'}")


if __name__ == "__main__":
    main()
