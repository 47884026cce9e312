"""Messages in line at a gateway: the mean wait of M/D/1, and lines that do not touch each other."""

import numpy as np
import pytest

from twin.meters.queue import mean_wait, waits

BATCHES, EACH = 400, 2000
"""Means of batches are near enough to independent for a standard error."""


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_random_messages_wait_the_mean_of_m_d_1(share):
    rng, service = np.random.default_rng(12), 0.1
    at = np.cumsum(rng.exponential(service / share, (BATCHES, EACH)), axis=1)
    server = np.repeat(np.arange(BATCHES), EACH)
    got = waits(server, at.ravel(), np.full(at.size, service)).reshape(BATCHES, EACH)[:, EACH // 4 :].mean(axis=1)
    assert abs(got.mean() - mean_wait(share, service)) < 4.9 * got.std(ddof=1) / np.sqrt(BATCHES)
    assert mean_wait(0.5, 0.1) == pytest.approx(0.05), "half of a service time at half load"


def test_all_at_once_stand_one_behind_the_other():
    assert waits(np.zeros(5, np.int64), np.zeros(5), np.full(5, 0.5)).tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_lines_are_apart_and_who_never_comes_is_in_nobody_s_way():
    server, at = np.array([7, 3, 7, 3, 7, 3]), np.array([0.0, 0.2, 0.1, np.inf, 5.0, 0.0])
    got = waits(server, at, np.full(6, 1.0))
    assert got == pytest.approx([0.0, 0.8, 0.9, 0.0, 0.0, 0.0])
    order = np.array([5, 2, 0, 4, 1, 3])
    assert np.array_equal(waits(server[order], at[order], np.full(6, 1.0)), got[order]), "rows in any order"
    alone = np.flatnonzero(server == 7)
    assert np.array_equal(waits(server[alone], at[alone], np.full(3, 1.0)), got[alone]), "however shards cut"
