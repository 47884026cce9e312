"""The radial sweep: cases solved by hand, ratios, statuses, loads that follow voltage."""

from __future__ import annotations

import numpy as np
import pytest

from tests.powerflow_cases import random_tree
from twin.powerflow import radial


def solve(tree, loads, v, ratio=None, classes=None, n_classes=1, **options):
    n, steps = loads.used_kw.shape
    out = radial.radial_out(n, steps, n_classes)
    radial.sweep(
        tree, loads, np.broadcast_to(np.asarray(v, float), steps).copy(), np.ones((n, 1)) if ratio is None else ratio,
        np.zeros(n, np.uint8) if classes is None else classes, radial.radial_options(**options),
        radial.radial_scratch(n), out,
    )  # fmt: skip
    return out


def two_nodes(r=0.2, x=0.0, b=0.0, g=0.0):
    return radial.RadialTree(
        np.array([0, 0], np.int32), np.array([0, r]), np.array([0, x]), np.array([0.0, b]), np.array([0.0, g])
    )


def power(*kw):
    p = np.array([[0.0] * len(kw), kw])
    return radial.constant_power(p, np.zeros_like(p))


def test_half_the_base_current_through_a_fifth():
    """1 pu feeds 0.2 pu of resistance: at 0.5 pu of current the load sits at 0.9, takes 450 kW, the line loses 50."""
    out = solve(two_nodes(), power(450.0), 1.0)
    assert out.status[0] == radial.OK
    assert out.v_pu[:, 0] == pytest.approx([1.0, 0.9], abs=1e-8)
    assert out.i_pu[1, 0] == pytest.approx(0.5, abs=1e-7)
    assert out.p_head_kw[0] == pytest.approx(500.0, abs=1e-4)
    assert out.loss_kw[0, 0] == pytest.approx(50.0, abs=1e-4)
    assert out.load_kw[0] == 450.0
    assert out.q_head_kvar[0] == 0
    assert out.closure[0] < 1e-7


def test_more_power_than_the_line_can_carry_is_a_status():
    """No voltage solves the circuit beyond ``V**2 / 4 R`` = 1250 kW."""
    out = solve(two_nodes(), power(450.0, 1.05 * 1250.0, 450.0, np.nan), 1.0)
    assert out.status.tolist() == [radial.OK, radial.NOT_CONVERGED, radial.OK, radial.NOT_FINITE]
    assert np.isnan(out.v_pu[:, 1]).all()
    assert np.isnan(out.loss_kw[:, 1]).all()
    assert np.isnan(out.p_head_kw[[1, 3]]).all()
    assert out.sweeps[1] == radial.radial_options().most
    assert out.v_pu[1, 0] == out.v_pu[1, 2]


def test_just_below_the_nose_is_solved():
    out = solve(two_nodes(), power(0.99 * 1250.0), 1.0)
    assert out.status[0] == radial.OK
    assert out.v_pu[1, 0] == pytest.approx(0.5 + np.sqrt(0.25 - 0.99 / 4), abs=1e-6)


def test_a_ratio_stands_at_the_parents_side():
    """Unloaded, a tap at 0.95 raises the voltage to 1 / 0.95; current at the head is the load's over the ratio."""
    ratio = np.array([[1.0, 1.0], [0.95, 1.05]])
    out = solve(two_nodes(), power(0.0, 0.0), 1.0, ratio)
    assert out.v_pu[1] == pytest.approx(1 / ratio[1])
    out = solve(two_nodes(r=0.0), power(300.0, 300.0), 1.0, ratio)
    assert out.p_head_kw == pytest.approx([300.0, 300.0])
    assert out.v_pu[1] == pytest.approx(1 / ratio[1])
    np.testing.assert_array_equal(out.v_pu[:, :1], solve(two_nodes(r=0.0), power(300.0), 1.0, ratio[:, :1].copy()).v_pu)


def test_shunts_draw_with_the_voltage_squared():
    out = solve(two_nodes(r=0.0, b=0.02, g=0.01), power(0.0), 1.1)
    assert out.shunt_kw[0, 0] == pytest.approx(10 * 1.21)
    assert out.p_head_kw[0] == pytest.approx(10 * 1.21)
    assert out.q_head_kvar[0] == pytest.approx(-20 * 1.21)


def test_charging_raises_an_unloaded_end():
    """V2 = 1 / (1 - x b)."""
    out = solve(two_nodes(r=0.0, x=0.1, b=0.2), power(0.0), 1.0, tolerance=1e-12)
    assert out.v_pu[1, 0] == pytest.approx(1 / (1 - 0.02), abs=1e-11)


def test_losses_and_shunts_by_class():
    tree = radial.RadialTree(
        np.array([0, 0, 1], np.int32), np.array([0, 0.1, 0.2]), np.zeros(3), np.zeros(3), np.array([0, 0.01, 0.02])
    )
    p = np.array([[0.0], [100.0], [200.0]])
    out = solve(tree, radial.constant_power(p, p * 0), 1.0, classes=np.array([0, 2, 1], np.uint8), n_classes=3)
    current = out.i_pu[:, 0]
    assert out.loss_kw[:, 0] == pytest.approx([0, 1000 * 0.2 * current[2] ** 2, 1000 * 0.1 * current[1] ** 2])
    assert out.shunt_kw[:, 0] == pytest.approx([0, 20 * out.v_pu[2, 0] ** 2, 10 * out.v_pu[1, 0] ** 2])


def test_loads_follow_voltage_by_their_law():
    n, steps = 6, 11
    rng = np.random.default_rng(0)
    tree = random_tree(rng, n, scale=20)
    loads = radial.NodeLoads(
        used_kw=rng.uniform(0, 200, (n, steps)), loss_kw=rng.uniform(0, 20, (n, steps)),
        q_kvar=rng.uniform(0, 90, (n, steps)), v0_pu=rng.uniform(0.9, 1.0, (n, steps)),
        n_used=rng.uniform(0, 2, (n, steps)), n_loss=rng.uniform(-2, 2, (n, steps)),
        n_q=rng.uniform(0, 3, (n, steps)), s=rng.uniform(0, 1, (n, steps)),
    )  # fmt: skip
    out = solve(tree, loads, 1.02, tolerance=1e-12)
    assert (out.status == radial.OK).all()
    x = out.v_pu / loads.v0_pu - 1
    used = loads.used_kw * (1 + loads.n_used * x + loads.s * x**2)
    loss = loads.loss_kw * (1 + x) ** loads.n_loss
    q = loads.q_kvar * (1 + loads.n_q * x + loads.s * x**2)
    np.testing.assert_allclose(out.load_kw, (used + loss).sum(axis=0), rtol=1e-5)
    v = out.v_re_pu + 1j * out.v_im_pu
    drawn = np.conj((used + loss + 1j * q) / 1000 / v) + (tree.g_pu + 1j * tree.b_pu)[:, None] * v
    branch = drawn.copy()
    for i in range(n - 1, 0, -1):
        branch[tree.parent[i]] += branch[i]
    drop = (tree.r_pu + 1j * tree.x_pu)[1:, None] * branch[1:]
    np.testing.assert_allclose(v[tree.parent[1:]] - v[1:], drop, atol=1e-6)
    both = radial.equivalent_kw(100.0, 10.0, 1.2, -1.5, 0.3, 0.02)
    assert both == pytest.approx((100 * (1 + 1.2 * 0.02 + 0.3 * 0.02**2), 10 * 1.02**-1.5), rel=1e-6)


def test_damping_solves_what_the_plain_sweep_cannot():
    """A constant impedance below the line's: the plain sweep multiplies its error by 0.45 / 0.3."""
    n = 2
    loads = radial.node_loads(n, 1)
    loads.used_kw[1, 0], loads.n_used[1, 0], loads.s[1, 0] = 3000.0, 2.0, 1.0
    tree = two_nodes(r=0.45)
    out = solve(tree, loads, 1.0)
    assert out.status[0] == radial.OK
    assert out.v_pu[1, 0] == pytest.approx(1 / (1 + 0.45 * 3), abs=1e-7)
    assert out.sweeps[0] > radial.radial_options().plain


def test_angles_are_in_degrees():
    out = solve(two_nodes(r=0.0, x=0.2), power(500.0), 1.0)
    assert radial.va_degree(out)[1, 0] == pytest.approx(-np.degrees(np.arcsin(0.2 * 0.5 / out.v_pu[1, 0])), abs=1e-6)


def test_a_larger_room_than_the_tree_is_left_alone():
    p = np.array([[0.0] * 3, [100.0] * 3])
    out = radial.radial_out(5, 3, 2)
    out.v_pu[2:] = 7.0
    radial.sweep(
        two_nodes(), radial.constant_power(p, p), np.ones(3), np.ones((2, 1)), np.zeros(2, np.uint8),
        radial.radial_options(), radial.radial_scratch(9), out,
    )  # fmt: skip
    assert (out.v_pu[2:] == 7.0).all()
    assert (out.status == radial.OK).all()
