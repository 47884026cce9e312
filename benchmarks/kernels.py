"""Cost of the power-flow kernels on one core: nanoseconds per consumer-step at LV, microseconds per state at 11 kV.

    python -m benchmarks.kernels

The reference tile: 85 consumers, 22 poles on three branches, AB cable 3x50, services of 10 to 35 m, a 200 kVA DT; ZIP
loads of 0.35 / 0.25 / 0.40. Everything that a tile hands up is in the figure: sums, elasticities, registers.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numba as nb
import numpy as np

from tests.powerflow_cases import LvCase, lv_case, random_tree
from twin.powerflow import lv, radial

CONSUMERS, POLES, BRANCHES, N_DT, STEPS, ROUNDS = 85, 22, 3, 12, 96, 50
LOADS_KW = {"light": 60.0, "peak": 170.0, "overloaded": 250.0}
NODES, REPEATS = 60, 4


@nb.njit(error_model="numpy")
def solve_tiles(tiles, kw, zips, v, zones, options, scratch, out, kwh):
    for k in range(len(v)):
        lv.solve_tile(tiles, k, kw, zips, v[k], zones, 0.25, options, scratch, out, kwh)


@nb.njit(error_model="numpy")
def sweep_often(tree, loads, v, ratio, classes, options, scratch, out):
    for _ in range(REPEATS):
        radial.sweep(tree, loads, v, ratio, classes, options, scratch, out)


def best_seconds(run: Callable[[], object]) -> float:
    """The quickest of some rounds, the first (which compiles) left out."""
    run()
    best = np.inf
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begun)
    return best


def tile_ns(case: LvCase) -> tuple[float, lv.TileOut]:
    out, scratch, options = lv.tile_out(N_DT, STEPS), lv.lv_scratch(case.lv), lv.lv_options()
    zones, kwh = (np.arange(STEPS) // 24).astype(np.uint8), np.zeros((len(case.kw), 4))
    v = np.ones((N_DT, STEPS))
    seconds = best_seconds(lambda: solve_tiles(case.lv, case.kw, case.zips, v, zones, options, scratch, out, kwh))
    return 1e9 * seconds / (N_DT * CONSUMERS * STEPS), out


def feeder_us(node_kw: float) -> tuple[float, radial.RadialOut]:
    rng = np.random.default_rng(1)
    n = NODES + 1
    loads = radial.node_loads(n, STEPS)
    for column, low, high in (
        (loads.used_kw, 0.2 * node_kw, node_kw), (loads.loss_kw, 0.0, 0.05 * node_kw),
        (loads.q_kvar, 0.0, 0.5 * node_kw), (loads.v0_pu, 0.94, 0.99), (loads.n_used, 0.6, 1.4),
        (loads.n_loss, -1.0, 1.0), (loads.n_q, 0.5, 2.0), (loads.s, 0.2, 0.5),
    ):  # fmt: skip
        column[1:] = rng.uniform(low, high, (NODES, STEPS))
    tree, out, scratch = random_tree(rng, n), radial.radial_out(n, STEPS, 1), radial.radial_scratch(n)
    v, ratio, classes, options = np.full(STEPS, 1.02), np.ones((n, 1)), np.zeros(n, np.uint8), radial.radial_options()
    seconds = best_seconds(lambda: sweep_often(tree, loads, v, ratio, classes, options, scratch, out))
    return 1e6 * seconds / (STEPS * REPEATS), out


def main() -> None:
    for name, dt_kw in LOADS_KW.items():
        case = lv_case(
            np.random.default_rng(1), consumers=CONSUMERS, poles=POLES, branches=BRANCHES, dt_kw=dt_kw, steps=STEPS,
            n_dt=N_DT, three_phase_frac=0.05, rating_kva=200,
        )  # fmt: skip
        ns, out = tile_ns(case)
        print(
            f"LV tile, {name:10s} {dt_kw:5.0f} kW: {ns:5.1f} ns per consumer-step; lowest voltage median "
            f"{np.median(out.v_min_pu):.3f} pu, passes {out.passes.mean():.1f} (most {out.passes.max()}), "
            f"closure {lv.tile_closure(out).max():.0e}, failed {np.count_nonzero(out.status)}"
        )
    for node_kw in (20.0, 60.0):
        us, flow = feeder_us(node_kw)
        print(
            f"11 kV feeder of {NODES} nodes, {node_kw:.0f} kW each at most: {us:.2f} us per state; lowest voltage "
            f"{flow.v_pu.min():.3f} pu, sweeps {flow.sweeps.mean():.1f}, closure {flow.closure.max():.0e}, "
            f"failed {np.count_nonzero(flow.status)}"
        )


if __name__ == "__main__":
    main()
