"""Random trees: against an independent dense Newton, and what must hold of any power flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandapower as pp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.timeseries_cases import column
from twin.powerflow.branch_model import Branches, admittance, merged, two_ports
from twin.powerflow.branch_sweep import SOLVED, SweepOptions, W, ZipShares, sweep, sweep_scratch
from twin.powerflow.branch_tree import plant
from twin.timeseries import run_timeseries

ComplexArray = NDArray[np.complex128]
NEAR_NOSE = 0.7
"""Lowest voltage at which states are still compared closely. [pu]"""


@dataclass(frozen=True)
class Tree:
    """A random tree of general branches below source 0, with one column of loads per step."""

    branches: Branches
    y_bus: ComplexArray
    load: ComplexArray
    zips: ZipShares
    v_source: complex


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """From light to beyond the nose, feeding back and capacitive too; lines, and transformers with taps and shifts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, steps = draw(st.integers(2, 24)), draw(st.sampled_from([1, 7, 8, 9]))
    span, scale = draw(st.integers(1, 30)), draw(st.sampled_from([0.01, 0.1, 0.3, 1.0]))
    upper = np.array([rng.integers(max(0, i - span), i) for i in range(1, n)])
    lower = np.arange(1, n)
    turned = rng.random(n - 1) < 0.5
    z = rng.uniform(1e-3, 2e-2, n - 1) + 1j * rng.uniform(1e-3, 3e-2, n - 1)
    z *= np.where(rng.random(n - 1) < 0.2, 1e-5, 1.0)  # very short lines among them
    transformer = rng.random(n - 1) < 0.3
    shift = np.where(transformer, np.deg2rad(rng.choice([0.0, 30.0, 150.0], n - 1)), 0.0)
    ratio = np.where(transformer, rng.uniform(0.95, 1.05, n - 1), 1.0) * np.exp(1j * shift)
    charging = 1j * rng.uniform(0, 1e-2, n - 1)
    unsymmetric = np.where(rng.random(n - 1) < 0.2, rng.uniform(0.8, 1.2, n - 1), 1.0)
    branches = Branches(
        np.where(turned, lower, upper), np.where(turned, upper, lower), 1 / z, unsymmetric / z, charging / 2,
        charging / 2 + 1e-4, ratio,
    )  # fmt: skip
    power = scale * rng.uniform(-0.3, 1.0, (n, steps)) * np.exp(1j * rng.uniform(-1.0, 1.0, (n, steps)))
    shares = rng.dirichlet(np.ones(3), (2, n)) if draw(st.booleans()) else np.tile([1.0, 0.0, 0.0], (2, n, 1))
    zips = ZipShares(*(np.ascontiguousarray(shares[pq, :, kind]) for pq in range(2) for kind in range(3)))
    y_bus = np.where(rng.random(n) < 0.2, 0.01 + 0.05j * rng.uniform(-1, 1, n), 0)
    return Tree(branches, y_bus, power, zips, 1.02 * np.exp(0.1j))


def swept(tree: Tree, tolerance: float = 1e-10) -> tuple[ComplexArray, NDArray[np.bool_]]:
    """Voltages (n, steps) by the sweep, and which steps all trees solved."""
    n, steps = tree.load.shape
    single = merged(tree.branches)
    assert single is not None
    head = np.flatnonzero((single.f_bus == 0) | (single.t_bus == 0))
    source = np.zeros(n, dtype=np.complex128)
    source[0] = tree.v_source
    forest, sound = plant(single, tree.y_bus, source, head, np.zeros(len(head), dtype=np.int64))
    assert sound.all()
    wide = -(-steps // W) * W
    p, q, v_re, v_im = (np.zeros((n, wide)) for _ in range(4))
    p[:, :steps], q[:, :steps] = tree.load.real, tree.load.imag
    v_re[0], v_im[0] = tree.v_source.real, tree.v_source.imag
    status = np.zeros((len(head), wide), dtype=np.uint8)
    with_zip = np.full(len(head), bool((tree.zips.p_power != 1).any()))
    options = SweepOptions(tolerance=tolerance)
    sweep(forest, p, q, tree.zips, with_zip, options, sweep_scratch(forest), v_re, v_im, status)
    return (v_re + 1j * v_im)[:, :steps], (status == SOLVED).all(axis=0)[:steps]


def drawn(tree: Tree, v: ComplexArray) -> ComplexArray:
    """Power of the loads at voltages v (n, steps)."""
    m, z = np.abs(v), [share[:, None] for share in tree.zips]
    p = tree.load.real * (z[0] + z[1] * m + z[2] * m**2)
    return p + 1j * tree.load.imag * (z[3] + z[4] * m + z[5] * m**2)


def dense_newton(tree: Tree, step: int) -> ComplexArray | None:
    """Rectangular Newton with a numeric Jacobian, its load raised in five parts: independent of the sweep."""
    y = admittance(tree.branches, tree.y_bus).toarray()
    v = np.full(len(y), tree.v_source)
    v[1:] = np.linalg.solve(y[1:, 1:], -y[1:, 0] * tree.v_source)
    load = tree.load[:, step : step + 1]

    def mismatch(u: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        w = np.concatenate([[tree.v_source], u[: len(y) - 1] + 1j * u[len(y) - 1 :]])
        part = Tree(tree.branches, tree.y_bus, load * share, tree.zips, tree.v_source)
        s = np.conj(y @ w)[1:] + drawn(part, w[:, None])[1:, 0] / w[1:]
        return np.concatenate([s.real, s.imag])

    u = np.concatenate([v[1:].real, v[1:].imag])
    for share in np.linspace(0.2, 1.0, 5):
        for _ in range(30):
            f = mismatch(u, share)
            jacobian = np.stack([(mismatch(u + 1e-7 * e, share) - f) / 1e-7 for e in np.eye(len(u))], axis=1)
            change = np.linalg.solve(jacobian, -f)
            u = u + change
            if np.abs(change).max() < 1e-11:
                break
        else:
            return None
    return np.concatenate([[tree.v_source], u[: len(y) - 1] + 1j * u[len(y) - 1 :]])


@given(trees())
@settings(max_examples=40)
def test_against_a_dense_newton(tree: Tree) -> None:
    v, solved = swept(tree)
    step = tree.load.shape[1] - 1
    reference = dense_newton(tree, step)
    if reference is not None and np.abs(reference).min() > NEAR_NOSE:
        assert solved[step]
        np.testing.assert_allclose(v[:, step], reference, rtol=0, atol=2e-9)


@given(trees())
@settings(max_examples=60)
def test_solved_states_obey_kirchhoff_and_lose_what_is_not_used(tree: Tree) -> None:
    v, solved = swept(tree)
    v, load = v[:, solved], drawn(tree, v)[:, solved]
    y = admittance(tree.branches, tree.y_bus)
    sent = v * np.conj(y @ v)
    strength = np.abs(y.diagonal()).max()
    atol = 1e-9 + 1e-8 * np.abs(load).max(initial=0) + 1e-15 * strength
    np.testing.assert_allclose(sent[1:], -load[1:], rtol=0, atol=atol)
    ports, f, t = two_ports(tree.branches), tree.branches.f_bus, tree.branches.t_bus
    i_f = ports.ff[:, None] * v[f] + ports.ft[:, None] * v[t]
    i_t = ports.tf[:, None] * v[f] + ports.tt[:, None] * v[t]
    in_branches = v[f] * np.conj(i_f) + v[t] * np.conj(i_t)
    in_shunts = np.abs(v) ** 2 * np.conj(tree.y_bus)[:, None]
    lost = in_branches.sum(axis=0) + in_shunts.sum(axis=0)
    np.testing.assert_allclose(sent.sum(axis=0), lost, rtol=1e-9, atol=1e-13 * strength)


@given(trees(), st.integers(0, 2**32))
@settings(max_examples=40)
def test_renumbering_buses_changes_nothing(tree: Tree, seed: int) -> None:
    v, solved = swept(tree)
    n = len(tree.y_bus)
    new = np.concatenate([[0], 1 + np.random.default_rng(seed).permutation(n - 1)])
    old = np.argsort(new)
    shuffled = Tree(
        tree.branches._replace(f_bus=new[tree.branches.f_bus], t_bus=new[tree.branches.t_bus]),
        tree.y_bus[old], tree.load[old], ZipShares(*(share[old] for share in tree.zips)), tree.v_source,
    )  # fmt: skip
    again, solved_again = swept(shuffled)
    np.testing.assert_array_equal(solved, solved_again)
    np.testing.assert_allclose(again[new][:, solved], v[:, solved], rtol=0, atol=1e-12)


@given(trees(), st.sampled_from([np.nan, np.inf, 1e6]))
@settings(max_examples=30)
def test_a_hopeless_state_changes_no_bit_of_the_others(tree: Tree, value: float) -> None:
    v, solved = swept(tree)
    hurt = tree.load.copy()
    hurt[-1, 0] = value
    again, solved_again = swept(Tree(tree.branches, tree.y_bus, hurt, tree.zips, tree.v_source))
    np.testing.assert_array_equal(again[:, 1:], v[:, 1:])
    np.testing.assert_array_equal(solved_again[1:], solved[1:])


@given(st.integers(2, 12), st.integers(0, 2**32))
@settings(max_examples=4)
def test_results_of_a_random_feeder_balance(n: int, seed: int) -> None:
    """Losses of the tables are what the source sends less what the loads use."""
    rng = np.random.default_rng(seed)
    net = pp.create_empty_network()
    buses = pp.create_buses(net, n, 11.0)
    pp.create_ext_grid(net, buses[0], vm_pu=1.02)
    for i in range(1, n):
        ends = int(buses[rng.integers(0, i)]), int(buses[i])
        length_km = float(rng.uniform(0.1, 1.0))
        pp.create_line_from_parameters(net, *ends, length_km, 0.3, 0.35, 10.0, 0.3)
    pp.create_loads(net, buses[1:], rng.uniform(-0.1, 0.3, n - 1), rng.uniform(-0.05, 0.1, n - 1))
    result = run_timeseries(net)
    sent = 0.0
    p_from, loss = (column(result.res_line, name, 1)[0] for name in ("p_from_mw", "pl_mw"))
    sent = p_from[net.line.from_bus.to_numpy() == buses[0]].sum()
    np.testing.assert_allclose(sent - net.load.p_mw.sum(), loss.sum(), rtol=0, atol=1e-8)
