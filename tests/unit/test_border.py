"""The border sums whatever the shards: unresolved feeders carry their stratum's mean."""

from dataclasses import replace

import numpy as np
import pytest

from tests.upper_cases import small_block, small_grid
from twin.simulation.border import Layout, StateLoad, compose, solve_above, stratum_means
from twin.simulation.messages import N_Q, ArmAnswer, Q

FLAT = np.ones((3, 2))


def layout(owned, sampled):
    unresolved = np.zeros((3, 8))
    unresolved[2, 1] = 50.0
    return Layout(
        n_pss=3,
        owned_pss=[np.array(rows, np.int32) for rows in owned],
        sampled_feeders=[np.array(rows, np.int64) for rows in sampled],
        owned_ehv=[np.array([i], np.int64) for i in range(len(owned))],
        n_ehv=len(owned),
        sampled_order=np.array([4, 9]),
        sampled_stratum=np.array([1, 1]),
        sampled_pss=np.array([0, 1]),
        sampled_consumers=np.array([10, 30]),
        unresolved_consumers=unresolved,
    )


def answer(n_pss, feeders, steps=2):
    sampled = np.zeros((N_Q, len(feeders), steps))
    for i, kw in enumerate(feeders):
        sampled[Q.P, i] = kw
        sampled[Q.SLOPE_P, i] = 2.0 * kw
        sampled[Q.UNSERVED, i] = 0.3 * kw
    zeros = np.zeros((n_pss, steps))
    return ArmAnswer(np.ones((N_Q, n_pss, steps)), sampled, zeros, zeros, np.ones((1, steps)), np.ones((1, steps)), 1)


def test_unresolved_consumers_carry_the_ratio_estimate():
    load = compose(layout([[0, 1, 2]], [[4, 9]]), [answer(3, [8.0, 32.0])], FLAT)
    assert load.stratum_mean[Q.P, 1].tolist() == [1.0, 1.0]  # (8 + 32) / (10 + 30)
    assert load.pss[Q.P, :, 0].tolist() == [1.0, 1.0, 51.0]


def test_two_shards_give_the_bits_of_one():
    one = compose(layout([[0, 1, 2]], [[4, 9]]), [answer(3, [0.1, 0.7])], FLAT)
    two = compose(layout([[0, 1], [2]], [[9], [4]]), [answer(2, [0.7]), answer(1, [0.1])], FLAT)
    assert one.pss.tobytes() == two.pss.tobytes()


def test_a_carried_profile_answers_the_voltage_of_its_pss():
    v = np.array([[1.0, 1.0], [1.0, 1.0], [1.01, 1.0]])
    load = compose(layout([[0, 1, 2]], [[4, 9]]), [answer(3, [8.0, 32.0])], v)
    assert load.pss[Q.P, 2].tolist() == pytest.approx([1.0 + 50.0 * 1.01**2, 51.0])
    assert load.pss[Q.UNSERVED, 2].tolist() == pytest.approx([1.0 + 50.0 * 0.3, 1.0 + 50.0 * 0.3]), "at nominal voltage"


def test_an_empty_stratum_is_zero():
    means = stratum_means(np.ones((N_Q, 1, 2)), np.array([3]), np.array([2]))
    assert means[Q.P, 3, 0] == pytest.approx(0.5)
    assert not means[:, 0].any()


def test_devices_that_did_not_settle_stay_counted_while_the_border_holds_them():
    grid = small_grid()[2]
    grid.controls = replace(grid.controls, max_rounds=1)
    rise = np.linspace(2000.0, 14000.0, 13)
    inputs = small_block([rise, 0.5 * rise])
    pss = np.zeros((N_Q, *inputs.p_kw.shape))
    pss[Q.P], pss[Q.QVAR] = inputs.p_kw, inputs.q_kvar
    nothing = np.zeros_like(inputs.p_kw)
    load = StateLoad(pss, nothing, nothing, np.zeros((0, 13)), np.zeros((0, 13)), nothing, None)
    free = solve_above(grid, load, inputs.v0_pu, None, hold=False)
    held = solve_above(grid, load, inputs.v0_pu, free, hold=True)
    assert free.controls_unsettled > 0
    assert held.controls_unsettled == free.controls_unsettled
