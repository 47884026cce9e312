"""The block factors against dense elimination, and the order against its rule."""

import numpy as np
import pytest

from twin.powerflow.upper_factor import BLOCK, W, block_of, elimination_order, factor_and_solve, n_blocks, pattern_of


def ring(n):
    return np.arange(n), (np.arange(n) + 1) % n


@pytest.mark.parametrize("n", [3, 8, 40])
def test_a_ring_with_chords_is_solved_as_densely(n):
    rng = np.random.default_rng(n)
    rows, cols = ring(n)
    rows, cols = np.concatenate([rows, [0, 1]]), np.concatenate([cols, [n // 2, n - 1]])
    pattern, place = pattern_of(rows, cols, last=0, n=n)
    assert place[0] == n - 1
    blocks = np.zeros((n_blocks(pattern), 2, 2, W))
    dense = np.zeros((W, n, 2, n, 2))
    pairs = {(a, b) for a, b in zip(rows.tolist(), cols.tolist(), strict=True)} | {(b, b) for b in range(n)}
    for a, b in pairs | {(b, a) for a, b in pairs}:
        i, j = int(place[a]), int(place[b])
        entry = rng.normal(size=(2, 2, W)) + (8.0 * np.eye(2)[:, :, None] if i == j else 0.0)
        blocks[block_of(pattern, i, j)] = entry
        dense[:, i, :, j] = entry.transpose(2, 0, 1)
    right = rng.normal(size=(n, 2, W))
    x = right.ravel().copy()
    flat = blocks.ravel().copy()
    assert flat.size == n_blocks(pattern) * BLOCK
    factor_and_solve(pattern, flat, x)
    for lane in range(W):
        expected = np.linalg.solve(dense[lane].reshape(2 * n, 2 * n), right[:, :, lane].ravel())
        np.testing.assert_allclose(x.reshape(n, 2, W)[:, :, lane].ravel(), expected, rtol=1e-11, atol=1e-12)


def test_the_bus_with_fewest_neighbours_goes_first():
    star = [{1, 2, 3}, {0}, {0}, {0}]
    assert elimination_order(star, last=3) == [1, 2, 0, 3]
