"""Bundles of lanes do what numpy does, lane by lane, and keep a NaN visible."""

from __future__ import annotations

import numba as nb
import numpy as np
import pytest
from numba.core.errors import TypingError

from twin.powerflow import lanes
from twin.powerflow.lanes import (
    absolute,
    aligned,
    any_above,
    fma,
    fnma,
    maximum,
    minimum,
    padded,
    sqrt,
    sum64,
    vector,
    where_above,
)

four = vector(4, np.float64)
load, store, splat = four.load, four.store, four.splat
eight = vector(8, np.float32)
load32, store32, spread32 = eight.load, eight.store, eight.spread


@nb.njit
def arithmetic(a, b, out):
    x, y = load(a, 0), load(b, 0)
    store(out, 0, x + y * 2 - 1.5 / x)
    store(out, 4, fma(x, y, splat(3)))
    store(out, 8, sqrt(absolute(x)) - y)
    store(out, 12, where_above(x, y, x, 0.0))
    store(out, 16, maximum(x, y))
    store(out, 20, minimum(x, 1.0))


def test_operators_and_functions_are_those_of_numpy():
    a, b, out = np.array([1.0, -2.5, 3.0, 0.5]), np.array([4.0, -1.0, 2.0, 0.25]), np.zeros(24)
    arithmetic(a, b, out)
    expected = [
        a + b * 2 - 1.5 / a, a * b + 3, np.sqrt(np.abs(a)) - b,
        np.where(a > b, a, 0), np.maximum(a, b), np.minimum(a, 1),
    ]  # fmt: skip
    np.testing.assert_array_equal(out.reshape(6, 4), expected)


def test_a_nan_passes_through_extremes_and_counts_as_above():
    nan, out = np.nan, np.zeros(24)
    arithmetic(np.array([nan, 1.0, nan, 2.0]), np.array([1.0, nan, nan, 1.0]), out)
    rows = out.reshape(6, 4)
    np.testing.assert_array_equal(np.isnan(rows[4]), [True, True, True, False])
    assert np.isnan(rows[3, 0])
    assert rows[3, 1] == 1.0
    np.testing.assert_array_equal(np.isnan(rows[5]), [True, False, True, False])


@nb.njit
def doubled(a, out):
    for i in range(0, a.size, 8):
        store32(out, i, load32(a, i) + load32(a, i))


def test_flat_indices_run_through_rows_of_a_matrix():
    a = np.arange(32, dtype=np.float32).reshape(2, 16)
    out = np.zeros_like(a)
    doubled(a, out)
    np.testing.assert_array_equal(out, 2 * a)


@nb.njit
def spread_and_added(a, i, out):
    store32(out, 0, fnma(spread32(a, i), load32(a, 8), load32(a, 0)))
    return sum64(load32(a, 8)), any_above(load32(a, 0), 6.5), any_above(load32(a, 0), 7.0)


def test_one_element_in_every_lane_and_sums_over_lanes():
    a, out = np.arange(16, dtype=np.float32), np.zeros(8, np.float32)
    total, some, none = spread_and_added(a, 3, out)
    np.testing.assert_array_equal(out, a[:8] - 3 * a[8:])
    assert (total, some, none) == (a[8:].sum(), True, False)


def test_sums_over_lanes_are_float64_and_a_nan_is_not_above():
    a = np.array([1.0, np.nan] * 4 + [1e8, 1.0] * 4, np.float32)
    total, some, _ = spread_and_added(a, 0, np.zeros(8, np.float32))
    assert total == 4e8 + 4
    assert not some


@pytest.mark.parametrize("wrong", [np.zeros(8), np.zeros((8, 2), np.float32).T, np.zeros(16, np.float32)[::2]])
def test_a_wrong_dtype_or_layout_is_a_typing_error(wrong):
    with pytest.raises(TypingError, match="C-contiguous array of float32"):
        doubled(wrong, np.zeros(8, np.float32))


def test_aligned_arrays_start_a_cache_line():
    for shape in (1, 7, (3, 16)):
        for dtype in (np.float32, np.float64):
            array = aligned(shape, dtype)
            assert array.ctypes.data % lanes.CACHE_LINE_BYTES == 0
            assert array.flags.c_contiguous
            assert array.shape == (shape if isinstance(shape, tuple) else (shape,))
            assert not array.any()


def test_padded_rounds_up():
    assert [padded(steps, 16) for steps in (1, 16, 24, 96)] == [16, 16, 32, 96]
