"""Elementary functions and small algebra with the same bits on every processor.

numpy and BLAS choose their code by the processor at run time, and the choices differ in the last bit; the digest of a
run must not. These go through the C library, one element at a time, in a fixed order.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray


@nb.vectorize(["float64(float64)"], cache=True)
def exp(x: float) -> float:
    """Elementwise exponential."""
    return math.exp(x)


@nb.vectorize(["float64(float64)"], cache=True)
def log(x: float) -> float:
    """Elementwise natural logarithm."""
    return math.log(x)


@nb.vectorize(["float64(float64)"], cache=True)
def sin(x: float) -> float:
    """Elementwise sine. [rad]"""
    return math.sin(x)


@nb.vectorize(["float64(float64)"], cache=True)
def cos(x: float) -> float:
    """Elementwise cosine. [rad]"""
    return math.cos(x)


@nb.vectorize(["float64(float64)"], cache=True)
def arcsin(x: float) -> float:
    """Elementwise inverse sine. [rad]"""
    return math.asin(x)


@nb.vectorize(["float64(float64)"], cache=True)
def arccos(x: float) -> float:
    """Elementwise inverse cosine. [rad]"""
    return math.acos(x)


@nb.njit(cache=True, error_model="numpy")
def cholesky(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower factor L of a positive definite matrix, ``L L' = a``, row by row."""
    n = a.shape[0]
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= out[i, k] * out[j, k]
            out[i, j] = math.sqrt(total) if i == j else total / out[j, j]
    return out


@nb.njit(cache=True, error_model="numpy")
def product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix product summed in order of the inner index."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                out[i, j] += a[i, k] * b[k, j]
    return out
