"""Bounds of statistical tests: wide enough that a right model fails one in a million times, whatever its seed."""

from __future__ import annotations

import numpy as np

SIGMAS = 4.9
"""Two-sided normal quantile of 1e-6."""
IDS = np.arange(1000, 201_000, dtype=np.int64)


def near_mean(sample: np.ndarray, mean: float, sd: float) -> bool:
    """Is the mean of independent draws where it should be?"""
    return abs(float(np.mean(sample, dtype=np.float64)) - mean) <= SIGMAS * sd / np.sqrt(len(sample))


def near_share(hits: float, n: int, share: float) -> bool:
    """Is a count of independent draws where it should be? One more for the count being whole."""
    return abs(hits - n * share) <= SIGMAS * np.sqrt(n * share * (1 - share)) + 1


def below_dkw(sample: np.ndarray, cdf: np.ndarray) -> bool:
    """Does the empirical law of a sorted sample lie inside the Dvoretzky-Kiefer-Wolfowitz band of 1e-6?"""
    n = len(sample)
    gap = np.abs(np.arange(1, n + 1) / n - cdf).max()
    return bool(gap <= np.sqrt(np.log(2 / 1e-6) / (2 * n)) + 1 / n)
