"""The radial sweep against `pandapower.runpp`, and the published base case of the 33-bus feeder.

Tolerance: both converge to 1e-10 (MVA there, pu here), which leaves 1e-9 pu of voltage and 1e-8 of losses.
"""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandapower.networks
import pytest

from tests.powerflow_cases import random_tree
from twin.powerflow import radial
from twin.powerflow.impedance import charging_pu, line_pu

KV, F_HZ = 11.0, 50.0


def solve(
    tree: radial.RadialTree, p_kw: np.ndarray, q_kvar: np.ndarray, v: float, ratio: np.ndarray, classes: np.ndarray
) -> radial.RadialOut:
    n, steps = p_kw.shape
    out = radial.radial_out(n, steps, int(classes.max()) + 1)
    radial.sweep(
        tree, radial.constant_power(p_kw, q_kvar), np.full(steps, v), ratio, classes, radial.radial_options(1e-11),
        radial.radial_scratch(n), out,
    )  # fmt: skip
    return out


@pytest.mark.parametrize("seed", range(5))
def test_random_feeders_with_charging_and_shunts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, steps = int(rng.integers(5, 60)), 3
    lengths, b_us = rng.uniform(0.2, 1.5, n), rng.uniform(2, 120, n)
    tree = random_tree(rng, n)
    b_line, g_iron, b_magnetising = charging_pu(b_us * lengths, KV), rng.uniform(0, 1e-3, n), rng.uniform(0, 4e-3, n)
    b_line[0], g_iron[0], b_magnetising[0] = 0, 0, 0
    b_pu = b_line / 2 - b_magnetising
    np.add.at(b_pu, tree.parent[1:], b_line[1:] / 2)
    r, x = line_pu(0.67 * lengths, 0.36 * lengths, KV)
    tree = tree._replace(r_pu=r, x_pu=x, b_pu=b_pu, g_pu=g_iron)
    p, q = rng.uniform(0, 60, (n, steps)), rng.uniform(-10, 30, (n, steps))
    p[0] = q[0] = 0
    out = solve(tree, p, q, 1.02, np.ones((n, 1)), np.zeros(n, np.uint8))

    net = pp.create_empty_network(f_hz=F_HZ)
    pp.create_buses(net, n, KV)
    pp.create_ext_grid(net, 0, vm_pu=1.02)
    for i in range(1, n):
        pp.create_line_from_parameters(
            net, tree.parent[i], i, lengths[i], 0.67, 0.36, b_us[i] * 1e3 / (2 * np.pi * F_HZ), 1.0
        )
        pp.create_load(net, i, 0.0, 0.0)
        pp.create_shunt(net, i, q_mvar=b_magnetising[i], p_mw=g_iron[i])
    for t in range(steps):
        net.load["p_mw"], net.load["q_mvar"] = p[1:, t] / 1000, q[1:, t] / 1000
        pp.runpp(net, tolerance_mva=1e-10, numba=False)
        np.testing.assert_allclose(out.v_pu[:, t], net.res_bus.vm_pu, atol=1e-9, rtol=0)
        np.testing.assert_allclose(radial.va_degree(out)[:, t], net.res_bus.va_degree, atol=1e-7, rtol=0)
        assert out.loss_kw[0, t] == pytest.approx(1000 * net.res_line.pl_mw.sum(), rel=1e-7)
        assert out.shunt_kw[0, t] == pytest.approx(1000 * net.res_shunt.p_mw.sum(), rel=1e-8)
        assert out.p_head_kw[t] == pytest.approx(1000 * net.res_ext_grid.p_mw[0], rel=1e-8)
        assert out.q_head_kvar[t] == pytest.approx(1000 * net.res_ext_grid.q_mvar[0], rel=1e-7, abs=1e-5)
    assert out.closure.max() < 1e-9


@pytest.mark.parametrize("tap", [-4, 0, 3])
def test_transformers_with_taps_and_magnetising(tap: int) -> None:
    """33 kV line, 10 MVA 33/11 transformer with tap and magnetising branch, 11 kV line."""
    net = pp.create_empty_network(f_hz=F_HZ)
    for kv in (33, 33, 11, 11):
        pp.create_bus(net, kv)
    pp.create_ext_grid(net, 0, vm_pu=1.01)
    pp.create_line_from_parameters(net, 0, 1, 12.0, 0.225, 0.335, 10.0, 1.0)
    pp.create_transformer_from_parameters(
        net, 1, 2, 10.0, 33.0, 11.0, vkr_percent=1.03, vk_percent=8.35, pfe_kw=12.0, i0_percent=0.6, shift_degree=0,
        tap_side="hv", tap_neutral=0, tap_min=-8, tap_max=8, tap_step_percent=1.25, tap_step_degree=0, tap_pos=tap,
        tap_changer_type="Ratio",
    )  # fmt: skip
    pp.create_line_from_parameters(net, 2, 3, 4.0, 0.666, 0.36, 10.0, 1.0)
    pp.create_load(net, 2, 4.0, 1.5)
    pp.create_load(net, 3, 2.0, 0.9)
    pp.runpp(net, tolerance_mva=1e-10, trafo_model="pi", numba=False)

    ratio = np.array([[1.0], [1.0], [1 + 0.0125 * tap], [1.0]])
    nf = 1e-9 * 2 * np.pi * F_HZ * 1e6  # nF to microsiemens
    line33, line11 = charging_pu(10.0 * 12 * nf, 33), charging_pu(10.0 * 4 * nf, 11)
    g = 0.012
    b = -float(np.sqrt((0.006 * 10) ** 2 - g**2))
    r33, x33 = line_pu(0.225 * 12, 0.335 * 12, 33)
    r11, x11 = line_pu(0.666 * 4, 0.36 * 4, 11)
    tap2 = ratio[2, 0] ** 2
    tree = radial.RadialTree(
        parent=np.array([0, 0, 1, 2], np.int32),
        r_pu=np.array([0, r33, 0.0103 / 10, r11]),
        x_pu=np.array([0, x33, np.sqrt(0.0835**2 - 0.0103**2) / 10, x11]),
        b_pu=np.array([line33 / 2, line33 / 2 + b / 2 / tap2, b / 2 + line11 / 2, line11 / 2]),
        g_pu=np.array([0, g / 2 / tap2, g / 2, 0]),
    )
    p, q = np.array([[0], [0], [4000.0], [2000.0]]), np.array([[0], [0], [1500.0], [900.0]])
    by_step = np.repeat(ratio, 2, axis=1)
    for turns, columns in ((ratio, 1), (by_step, 2)):
        out = solve(
            tree, np.repeat(p, columns, 1), np.repeat(q, columns, 1), 1.01, turns, np.array([0, 0, 1, 2], np.uint8)
        )
        for t in range(columns):
            np.testing.assert_allclose(out.v_pu[:, t], net.res_bus.vm_pu, atol=1e-9, rtol=0)
            np.testing.assert_allclose(radial.va_degree(out)[:, t], net.res_bus.va_degree, atol=1e-7, rtol=0)
            assert out.loss_kw[[0, 2], t].sum() == pytest.approx(1000 * net.res_line.pl_mw.sum(), rel=1e-7)
            copper_and_iron = out.loss_kw[1, t] + out.shunt_kw[:, t].sum()
            assert copper_and_iron == pytest.approx(1000 * net.res_trafo.pl_mw[0], rel=1e-7)
            assert out.p_head_kw[t] == pytest.approx(1000 * net.res_ext_grid.p_mw[0], rel=1e-9)
            assert out.q_head_kvar[t] == pytest.approx(1000 * net.res_ext_grid.q_mvar[0], rel=1e-9)


def test_the_33_bus_feeder_of_baran_and_wu() -> None:
    """Losses 202.677 kW, lowest voltage 0.91309 pu: M. Baran, F. Wu, IEEE Trans. Power Delivery 4 (1989) 1401."""
    net = pandapower.networks.case33bw()
    lines = net.line[net.line.in_service]
    parent, order = {0: 0}, [0]
    for bus in order:
        for a, b in zip(lines.from_bus, lines.to_bus, strict=True):
            other = b if a == bus else a if b == bus else None
            if other is not None and other not in parent:
                parent[other] = bus
                order.append(other)
    row = {bus: i for i, bus in enumerate(order)}
    n = len(order)
    r, x, p, q = np.zeros(n), np.zeros(n), np.zeros((n, 1)), np.zeros((n, 1))
    for line in lines.itertuples():
        child = line.to_bus if parent[line.to_bus] == line.from_bus else line.from_bus
        r[row[child]], x[row[child]] = line_pu(
            line.r_ohm_per_km * line.length_km, line.x_ohm_per_km * line.length_km, net.bus.vn_kv[0]
        )
    for load in net.load.itertuples():
        p[row[load.bus], 0], q[row[load.bus], 0] = 1000 * load.p_mw, 1000 * load.q_mvar
    parents = np.array([row[parent[bus]] for bus in order], np.int32)
    tree = radial.RadialTree(parents, r, x, np.zeros(n), np.zeros(n))
    out = solve(tree, p, q, 1.0, np.ones((n, 1)), np.zeros(n, np.uint8))
    assert out.loss_kw[0, 0] == pytest.approx(202.677, abs=5e-4)
    assert out.v_pu.min() == pytest.approx(0.91309, abs=5e-6)
