"""What the radial sweep promises on trees and loads that nobody chose."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.powerflow_cases import random_tree
from twin.powerflow import radial

SETTINGS = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
NODES = st.integers(2, 50)


def random_loads(rng: np.random.Generator, n: int, steps: int, node_kw: float) -> radial.NodeLoads:
    """Loads as DTs hand them up: used, loss, elasticities about voltages near 0.97."""

    def between(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, steps))

    return radial.NodeLoads(
        used_kw=between(0, node_kw), loss_kw=between(0, 0.06 * node_kw), q_kvar=between(-0.1, 0.5) * node_kw,
        v0_pu=between(0.93, 1.02), n_used=between(0, 2), n_loss=between(-2, 2), n_q=between(0, 3), s=between(0, 1),
    )  # fmt: skip


def pick(loads: radial.NodeLoads, columns: np.ndarray) -> radial.NodeLoads:
    return radial.NodeLoads(*(np.ascontiguousarray(column[:, columns]) for column in loads))


def solve(
    tree: radial.RadialTree, loads: radial.NodeLoads, v: np.ndarray, ratio: np.ndarray | None = None
) -> radial.RadialOut:
    n, steps = loads.used_kw.shape
    out = radial.radial_out(n, steps, 2)
    radial.sweep(
        tree, loads, v, np.ones((n, 1)) if ratio is None else ratio, (np.arange(n) % 2).astype(np.uint8),
        radial.radial_options(), radial.radial_scratch(n), out,
    )  # fmt: skip
    return out


def assert_same(a: radial.RadialOut, b: radial.RadialOut, of_a: np.ndarray, of_b: np.ndarray) -> None:
    """The very same bits in the steps ``of_a`` and ``of_b``."""
    for name in radial.RadialOut._fields:
        np.testing.assert_array_equal(getattr(a, name)[..., of_a], getattr(b, name)[..., of_b], err_msg=name)


@SETTINGS
@given(seed=SEEDS, n=NODES, node_kw=st.floats(1, 80), turns=st.floats(0.9, 1.1))
def test_sent_is_loads_plus_losses(seed: int, n: int, node_kw: float, turns: float) -> None:
    rng = np.random.default_rng(seed)
    tree, loads = random_tree(rng, n), random_loads(rng, n, 19, node_kw)
    ratio = np.ones((n, 1))
    ratio[n // 2] = turns
    out = solve(tree, loads, rng.uniform(0.95, 1.05, 19), ratio)
    assert (out.status == radial.OK).all()
    assert out.closure.max() < 1e-6
    assert (out.loss_kw >= 0).all()
    assert (out.shunt_kw >= 0).all()
    parts = out.load_kw + out.loss_kw.sum(axis=0) + out.shunt_kw.sum(axis=0)
    np.testing.assert_allclose(out.p_head_kw, parts, rtol=1e-6)


@SETTINGS
@given(seed=SEEDS, n=NODES, bad=st.sampled_from([np.nan, np.inf, 1e9, 1e30]), step=st.integers(0, 18))
def test_a_bad_state_changes_no_bit_of_its_neighbours(seed: int, n: int, bad: float, step: int) -> None:
    rng = np.random.default_rng(seed)
    tree, loads, v = random_tree(rng, n), random_loads(rng, n, 19, 40), rng.uniform(0.95, 1.05, 19)
    good = solve(tree, loads, v)
    loads.used_kw[n - 1, step], loads.n_used[n - 1, step], loads.s[n - 1, step] = bad, 0, 0
    out = solve(tree, loads, v)
    others = np.delete(np.arange(19), step)
    assert_same(good, out, others, others)
    assert out.status[step] != radial.OK
    assert np.isnan(out.v_pu[:, step]).all()


@SETTINGS
@given(seed=SEEDS, n=NODES, node_kw=st.floats(1, 120), step=st.integers(0, 18), order=st.permutations(range(19)))
def test_any_order_and_one_step_alone_give_the_same_bits(
    seed: int, n: int, node_kw: float, step: int, order: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    tree, loads, v = random_tree(rng, n), random_loads(rng, n, 19, node_kw), rng.uniform(0.95, 1.05, 19)
    ratio = rng.uniform(0.95, 1.05, (n, 19))
    out = solve(tree, loads, v, ratio)
    columns = np.array(order)
    moved = solve(tree, pick(loads, columns), v[columns], np.ascontiguousarray(ratio[:, columns]))
    assert_same(out, moved, columns, np.arange(19))
    one = np.array([step])
    assert_same(out, solve(tree, pick(loads, one), v[one], np.ascontiguousarray(ratio[:, one])), one, np.array([0]))


@SETTINGS
@given(seed=SEEDS, n=NODES)
def test_the_base_of_power_is_a_matter_of_words(seed: int, n: int) -> None:
    """Twice the loads and shunts on half the impedance: the same voltages, twice the losses, to the last bit."""
    rng = np.random.default_rng(seed)
    tree, loads, v = random_tree(rng, n), random_loads(rng, n, 9, 40), rng.uniform(0.95, 1.05, 9)
    out = solve(tree, loads, v)
    twice = loads._replace(used_kw=2 * loads.used_kw, loss_kw=2 * loads.loss_kw, q_kvar=2 * loads.q_kvar)
    half = tree._replace(r_pu=tree.r_pu / 2, x_pu=tree.x_pu / 2, b_pu=2 * tree.b_pu, g_pu=2 * tree.g_pu)
    other = solve(half, twice, v)
    np.testing.assert_array_equal(out.v_pu, other.v_pu)
    np.testing.assert_array_equal(2 * out.loss_kw, other.loss_kw)
    np.testing.assert_array_equal(2 * out.p_head_kw, other.p_head_kw)
