"""`UpperGrid` on a small hand-made grid: hand solution, load law, ledger, statuses, same bits."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from tests.upper_cases import small_block, small_grid
from twin.grid.transmission_check import check_against_pandapower
from twin.powerflow.upper import STATUS
from twin.powerflow.upper_ehv import BAD_INPUT
from twin.powerflow.upper_trees import CONTROLS_UNSETTLED, SWEEP_DIVERGED


@pytest.fixture(scope="module")
def grid():
    return small_grid()[2]


def test_one_pss_by_hand(grid):
    """The 33 kV side of a loaded PSS from its own 11 kV voltage: ``v_33 = a (v + z i)``, one line more to the GSS.

    At 33 kV Wolf has 0.225 + 0.335j ohm/km; two 10 MVA units have 8.35 % with X/R 8. Iron, magnetising and charging are
    left out of the hand solution: 0.3 Mvar in all, about 1e-3 pu.
    """
    result = small_block([[8000.0], [0.0]]).solved_by(grid)
    v, tap = result.v_pss_pu[0, 0], result.positions_by_step.pss_tap[0, 0]
    i = np.conj((8.0 + 2.4j) / 20.0) / v  # pu of 20 MVA
    x = 0.0835 / np.hypot(1, 1 / 8)
    v_33 = (1 + 0.0125 * tap) * (v + (x / 8 + 1j * x) * i)
    z_line = 8.0 * (0.225 + 0.335j) / (33.0**2 / 20.0)
    head = v_33 + z_line * i / (1 + 0.0125 * tap)
    assert abs(head) == pytest.approx(result.gss_vm_pu[0, 0], abs=1.5e-3)
    loss_kw = 1e3 * 20 * abs(i) ** 2 * (x / 8 + z_line.real / (1 + 0.0125 * tap) ** 2)
    iron_kw = 4 * 10 * 1.2
    assert 1e3 * result.loss_33kv_mw[0] == pytest.approx(loss_kw + iron_kw, rel=0.03)


def test_loads_follow_their_law(grid):
    inputs = small_block([[8000.0], [5000.0]], exponent=1.3)
    result = inputs.solved_by(grid)
    load_mw = (inputs.p_kw * result.v_pss_pu**1.3).sum() / 1e3
    assert result.load_mw[0] == pytest.approx(load_mw, rel=1e-9)
    assert load_mw != pytest.approx(13.0, abs=0.05)


def test_sent_is_load_and_losses(grid):
    result = small_block([[8000.0, 3000.0], [5000.0, 1000.0]], exponent=1.0).solved_by(grid)
    assert np.abs(result.closure).max() < 1e-8
    parts = result.load_mw + result.loss_33kv_mw + result.loss_ehv_mw
    np.testing.assert_allclose(result.sent_mw, parts, rtol=1e-8)
    np.testing.assert_allclose(result.gss_p_mw[0], result.load_mw + result.loss_33kv_mw, rtol=1e-9)


def test_plants_follow_the_load_and_the_tie_takes_the_rest(grid):
    result = small_block([[8000.0], [5000.0]]).solved_by(grid)
    assert result.generator_mw[1, 0] == pytest.approx(0.55 * 20.0)
    assert result.tie_mw[0] == pytest.approx(result.sent_mw[0] - 0.55 * 20.0)


FIELDS = ("v_pss_pu", "sent_mw", "loss_ehv_mw", "gss_q_mvar", "vm_ehv_pu", "gss_loading_percent")


def assert_same_bits(a, b, steps_a, steps_b):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name)[..., steps_a], getattr(b, name)[..., steps_b])
    for one, other in zip(a.positions_by_step, b.positions_by_step, strict=True):
        np.testing.assert_array_equal(one[:, steps_a], other[:, steps_b])


@pytest.mark.parametrize("collapse", [[5e6, 0.0], [0.0, 1.5e5], [np.nan, 1000.0]])
def test_a_step_without_solution_is_a_status_and_changes_no_bit_of_the_others(grid, collapse):
    """At 132 kV, in a tree, or no number: the block equals the block without that step, taps and all."""
    p = np.array([[9000.0, 12000.0, 3000.0, 7000.0, 2000.0], [5000.0, 6000.0, 2000.0, 3500.0, 1000.0]])
    alone = small_block(p.tolist(), exponent=0.7).solved_by(grid)
    for at in (0, 2, 5):
        beside = small_block(np.insert(p, at, collapse, axis=1).tolist(), exponent=0.7).solved_by(grid)
        others = [k for k in range(6) if k != at]
        assert beside.status[others].tolist() == [0] * 5
        assert beside.status[at] in (1, 3, BAD_INPUT)
        assert_same_bits(beside, alone, others, list(range(5)))


def test_collapse_at_132_kv_has_a_cause_and_no_numbers(grid):
    result = small_block([[8000.0, 5e6], [5000.0, 0.0]]).solved_by(grid)
    assert STATUS[int(result.status[1])].startswith("no solution at 132 kV")
    assert np.isnan(result.loss_33kv_mw[1])
    assert result.v_pss_pu[0, 1] == 1.0  # as handed in


def test_a_tree_without_solution_is_named():
    """150 MW is more than any voltage can bring down 13 km of 33 kV line."""
    grid = small_grid(length_km=1.0)[2]
    result = small_block([[0.0], [1.5e5]]).solved_by(grid)
    assert result.status.tolist() == [3]
    assert result.gss_status[0, 0] == SWEEP_DIVERGED
    assert np.isnan(result.loss_33kv_mw[0])
    assert result.v_pss_pu[:, 0].tolist() == [1.0, 1.0]
    assert np.isfinite(result.sent_mw[0])  # the grid above goes on with the load as stated


def test_an_input_that_is_no_number_is_a_status_of_its_step(grid):
    inputs = small_block([[8000.0, np.nan], [5000.0, 3000.0]])
    result = inputs.solved_by(grid)
    assert result.status.tolist() == [0, BAD_INPUT]
    assert np.isfinite(result.v_pss_pu).all()


def test_the_only_slack_beyond_its_limit_is_a_status():
    grid = small_grid(plant_mvar=1.0, tie_mvar=0.5)[2]
    result = small_block([[9000.0], [6000.0]]).solved_by(grid)
    assert result.status.tolist() == [2]


def test_the_same_inputs_give_the_same_bits_whatever_came_before(grid):
    inputs = small_block([[8000.0, 6000.0], [5000.0, 3000.0]], exponent=1.1)
    once = inputs.solved_by(small_grid()[2])
    small_block([[1000.0], [500.0]]).solved_by(grid)
    again = inputs.solved_by(grid)
    shipped = inputs.solved_by(pickle.loads(pickle.dumps(grid)))
    for other in (again, shipped):
        for name in ("v_pss_pu", "sent_mw", "loss_ehv_mw", "gss_q_mvar"):
            np.testing.assert_array_equal(getattr(once, name), getattr(other, name))


def test_the_slow_way_finds_the_same(grid, monkeypatch):
    """A step that the joint iteration does not settle goes to lightsim2grid above a sweep of the trees."""
    inputs = small_block([[8000.0, 6000.0], [5000.0, 3000.0]], exponent=1.1)
    quick = inputs.solved_by(grid)
    monkeypatch.setattr(type(grid), "jointly", property(lambda _: False))
    slow = inputs.solved_by(grid)
    assert (slow.status == 0).all()
    np.testing.assert_allclose(slow.v_pss_pu, quick.v_pss_pu, atol=2e-7)
    np.testing.assert_allclose(slow.sent_mw, quick.sent_mw, atol=1e-4)
    np.testing.assert_array_equal(slow.generators_at_limit, quick.generators_at_limit)


def test_a_warm_start_ends_where_a_cold_one_does(grid):
    inputs = small_block([[8000.0, 6000.0], [5000.0, 3000.0]], exponent=1.1)
    cold = inputs.solved_by(grid)
    warm = grid.solve(**vars(inputs), hold=cold.positions_by_step, start=cold.state)
    np.testing.assert_allclose(warm.v_pss_pu, cold.v_pss_pu, atol=1e-9)
    assert (warm.state.ehv.iterations <= 2).all()


def test_reactors_hold_a_light_grid_down_and_are_pandapowers():
    """At 1.5 MW on 250 km of 132 kV line the far end rises, and the bank pulls it back; at 35 MW it is not needed."""
    net, pss, grid = small_grid(length_km=250.0, plant_mvar=0.0, reactor_steps=3)
    inputs = small_block([[1000.0, 19000.0], [500.0, 16000.0]])
    result = inputs.solved_by(grid)
    assert (result.status == 0).all()
    on = result.positions_by_step.reactor[0]
    assert on[0] > on[1]
    assert result.vm132_max[0] <= 1.045 + 0.002
    assert check_against_pandapower(net, pss, grid, inputs, result, [0, 1]) < 1e-6
    without = small_grid(length_km=250.0, plant_mvar=0.0)[2]
    assert inputs.solved_by(without).vm132_max[0] > 1.05


def test_operations_are_counted_by_substation(grid):
    rise = np.linspace(2000.0, 14000.0, 13)
    result = small_block([rise, 0.5 * rise]).solved_by(grid)
    moved = result.operations
    assert moved.pss_tap[0] == np.abs(np.diff(result.positions_by_step.pss_tap.astype(int), axis=1)).sum() > 0
    on = result.positions_by_step.capacitor[0]
    assert moved.capacitor[0] == on[-1] - on[0] > 0
    assert moved.pss_tap_most[0] <= moved.pss_tap[0]


def test_rounds_that_run_out_are_reported_and_leave_a_solution():
    grid = small_grid()[2]
    grid.controls = replace(grid.controls, max_rounds=1)
    rise = np.linspace(2000.0, 14000.0, 13)
    result = small_block([rise, 0.5 * rise]).solved_by(grid)
    assert result.controls_unsettled == (result.gss_status == CONTROLS_UNSETTLED).sum() > 0
    assert (result.status == 0).all()
    assert np.abs(result.closure).max() < 1e-8
    held = grid.solve(**vars(small_block([rise, 0.5 * rise])), hold=result.positions_by_step)
    np.testing.assert_allclose(held.v_pss_pu, result.v_pss_pu, atol=1e-9)
