"""The border loop on a grid and shards solved by hand: it settles, holds taps after the first round, and stops."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from twin.simulation import settling as module
from twin.simulation.border import BORDER_TOLERANCE_PU, EXACT_LIMIT_PU, MOST_ROUNDS, WIDE_LIMIT_PU, Layout
from twin.simulation.fleets import work_together
from twin.simulation.messages import N_Q, AcceptAnswer, ArmAnswer, Q
from twin.simulation.settling import Border

STEPS = 24
SOURCE_PU, DROP_PU = 1.02, 0.02


class Fleet:
    """One shard with one PSS whose load is 100 kW times the voltage squared."""

    n_shards = 1

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.limits: list[float] = []
        self.accepted: list[int] = []
        self.open: set[int] = set()
        self.held: list[int] = []

    def submit(self, method, args):
        if method == "accept":
            self.accepted.append(args[0][1])
            self.open.discard(args[0][1])
            return [AcceptAnswer([], {}, {})]
        (question,) = args[0]
        self.asked.append(question.arms[0])
        self.open.add(question.arms[0])
        self.held.append(len(self.open))
        self.limits.append(question.limit_pu)
        pss = np.zeros((N_Q, 1, STEPS))
        pss[Q.P, 0] = 100.0 * question.v_pss_pu[0, 0] ** 2
        pss[Q.SLOPE_P, 0] = 2.0 * pss[Q.P, 0]
        zeros = np.zeros((1, STEPS))
        return [[ArmAnswer(pss, np.zeros((N_Q, 0, STEPS)), zeros, zeros, zeros[:0], zeros[:0], 1)]]

    def gather(self, handle, what):
        return handle


@dataclass
class Answer:
    v_pss_pu: np.ndarray
    positions_by_step: str = "taps"
    state: str = "voltages"
    controls_unsettled: int = 0


class Above:
    """A source behind a drop: v = 1.02 - 0.02 p / 100 kW, plus what ``unrest`` adds each round."""

    def __init__(self, unrest: float = 0.0) -> None:
        self.unrest, self.rounds, self.held = unrest, 0, []

    def solve(self, p, q, n_p, n_q, v0, ehv_mw, ehv_mvar, *, p33_kw, q33_kvar, hold, start, tolerance_pu):
        self.rounds += 1
        self.held.append(hold is not None)
        v = v0
        for _ in range(50):
            v = SOURCE_PU - DROP_PU * p / 100.0 * (v / v0) ** n_p
        v = v + self.unrest * (-1) ** self.rounds
        return Answer(v)


def border(above):
    layout = Layout(1, [np.array([0])], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0, np.zeros(0, np.int64),
                    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((1, 8)))  # fmt: skip
    return Border(Fleet(), above, layout, np.zeros(0, np.int64))


def settle(border, arms, *, exact):
    point = SimpleNamespace(arms=arms, exact_border=exact)
    settled = []

    def keep():
        settled.append((yield from border.settle(point, 0, np.ones((len(arms), 1, STEPS)))))

    work_together([(border.fleet, keep())])
    return settled[0]


def test_the_border_settles_at_the_hand_solution():
    above = Above()
    twin = border(above)
    settled = settle(twin, ("flat", "tod"), exact=False)
    # v = 1.02 - 0.02 v**2, so v = (-1 + sqrt(1 + 4 * 0.02 * 1.02)) / (2 * 0.02)
    exact = (-1.0 + np.sqrt(1.0 + 4.0 * DROP_PU * SOURCE_PU)) / (2.0 * DROP_PU)
    assert settled.v_pss_pu == pytest.approx(np.full((2, 1, STEPS), exact), abs=BORDER_TOLERANCE_PU)
    assert settled.moved_pu <= BORDER_TOLERANCE_PU
    assert settled.rounds <= 3
    assert twin.fleet.asked[:2] == [0, 1]
    assert above.held[:2] == [False, False]
    assert all(above.held[2:]), "taps stay after the first round"
    assert sorted(twin.fleet.accepted) == [0, 1]


def test_shards_hold_at_most_two_arms_at_once():
    twin = border(Above())
    settle(twin, tuple("abcde"), exact=False)
    assert sorted(twin.fleet.accepted) == [0, 1, 2, 3, 4]
    assert max(twin.fleet.held) == module.ARMS_IN_FLIGHT


def test_an_exact_border_solves_low_voltage_again_after_the_first_round():
    twin = border(Above())
    settled = settle(twin, ("flat",), exact=True)
    assert twin.fleet.limits[0] == WIDE_LIMIT_PU
    assert set(twin.fleet.limits[1:]) == {EXACT_LIMIT_PU}
    assert settled.moved_pu <= BORDER_TOLERANCE_PU


def test_a_border_that_never_settles_stops_and_says_so():
    twin = border(Above(unrest=0.01))
    settled = settle(twin, ("flat",), exact=False)
    assert settled.rounds == MOST_ROUNDS
    assert settled.moved_pu > BORDER_TOLERANCE_PU
    assert module.FREE_ROUNDS == 1
