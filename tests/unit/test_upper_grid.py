"""`UpperGrid` on a small hand-made grid: hand solution, load law, ledger, statuses, same bits."""

import pickle

import numpy as np
import pytest

from tests.upper_cases import small_block, small_grid
from twin.powerflow.upper import BAD_INPUT, STATUS
from twin.powerflow.upper_sweep import SWEEP_DIVERGED, continued_power


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


@pytest.mark.parametrize("n", [0.0, 1.0, 1.7, 3.0])
def test_the_power_continues_from_its_last_value(n):
    assert continued_power(1.05**n, 1e-3, n) == pytest.approx((1.05 * 1.001) ** n, rel=1e-11)


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


def test_a_step_without_solution_is_a_status_and_leaves_its_neighbours_alone(grid):
    alone = small_block([[8000.0, 6000.0], [5000.0, 3000.0]]).solved_by(grid)
    beside = small_block([[8000.0, 5e6, 6000.0], [5000.0, 0.0, 3000.0]]).solved_by(grid)
    assert beside.status[[0, 2]].tolist() == [0, 0]
    assert beside.status[1] != 0
    assert STATUS[int(beside.status[1])].startswith("no solution")
    assert np.isnan(beside.loss_33kv_mw[1])
    assert beside.v_pss_pu[0, 1] == 1.0  # as handed in
    np.testing.assert_allclose(beside.v_pss_pu[:, 0], alone.v_pss_pu[:, 0], atol=1e-9)


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
