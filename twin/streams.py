"""Counter-based random numbers: every draw is a pure function of (seed, stream, entity, index).

No generator has a state, so any process can redraw any number, in any order, on any number of shards, and adding an
entity, an arm or a reading changes no other draw. All streams of the twin are named in `Stream`.

The mixer is splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014) for keys, and
the 32-bit finaliser ``lowbias32`` (Wellons, Prospecting for hash functions, 2018) for draws in inner loops.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation

watch_compilation()


class Stream(IntEnum):
    """Names of all random streams. Values are part of the results: never renumber, only append."""

    REPLICATE = 1
    # grid and population: keyed by the scenario's seed alone
    BLOCK_PLACE = 10
    PSS_PLACE = 11
    FEEDER_MIX = 12
    FEEDER_SAMPLE = 13
    FEEDER_TREE = 14
    DT_MIX = 15
    DT_RATING = 16
    LV_TREE = 17
    CONSUMER_KIND = 18
    CONSUMER_PLACE = 19
    CONSUMER_LOAD = 20
    METER = 21
    HT_CONSUMER = 22
    FEEDER_ROSTER = 23
    # consumers' lasting traits: keyed by the scenario's seed alone
    TRAIT = 30
    # demand: keyed by replicate
    WEATHER = 40
    DEMAND_DAY = 41
    DEMAND_CHANNEL = 42
    DEMAND_EVENT = 43
    FARM = 44
    # behaviour: keyed by replicate
    PARAMETER = 60
    ENROLMENT = 61
    PILOT = 62
    RESPONSE = 63
    # checks
    VERIFICATION = 80
    READINGS = 81
    # meters as devices: keyed by replicate
    METER_TYPE = 90
    METER_METROLOGY = 91
    METER_CLOCK = 92
    METER_SYNC = 93
    METER_LINK = 94
    METER_READ = 95
    METER_FAILURE = 96
    METER_REPAIR = 97
    METER_FRAILTY = 98
    METER_THEFT = 99
    METER_RELAY = 100
    METER_GASP = 101
    METER_FIRMWARE = 102
    METER_AGE = 103
    GATEWAY = 104
    METER_MAPPING = 105
    METER_JOIN = 106
    METER_BREATH = 107
    METER_CHECK = 108
    METER_SWITCH = 109
    # interruptions of supply: keyed by replicate
    OUTAGE_FEEDER = 110
    OUTAGE_TRIP = 111
    OUTAGE_PLANNED = 112
    OUTAGE_RELIEF = 113
    OUTAGE_SUBSTATION = 114
    OUTAGE_FAULT = 115
    OUTAGE_BURNOUT = 116
    # prepaid wallets: keyed by replicate
    WALLET_START = 120
    RECHARGE = 121
    DISCONNECTION = 122
    PREPAID = 123
    # payment of bills: keyed by replicate
    PAYMENT = 130


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11, _S32 = (np.uint64(k) for k in (30, 27, 31, 11, 32))
_TO_UNIT = 2.0**-53


@nb.njit(inline="always", error_model="numpy")
def splitmix64(x: int) -> int:
    """One splitmix64 step of a uint64: a bijection with full avalanche."""
    z = np.uint64(x) + _GOLDEN
    z = (z ^ (z >> _S30)) * _MIX_A
    z = (z ^ (z >> _S27)) * _MIX_B
    return z ^ (z >> _S31)  # type: ignore[return-value]


@nb.njit(inline="always", error_model="numpy")
def key64(seed: int, stream: int, entity: int) -> int:
    """The uint64 key of one entity in one stream."""
    return splitmix64(splitmix64(splitmix64(np.uint64(seed)) ^ np.uint64(stream)) ^ np.uint64(entity))


@nb.njit(inline="always", error_model="numpy")
def uniform(key: int, index: int) -> float:
    """Uniform in the open interval (0, 1): draw number ``index`` of a key from `key64`."""
    return (float(splitmix64(np.uint64(key) ^ (np.uint64(index) * _GOLDEN)) >> _S11) + 0.5) * _TO_UNIT


@nb.njit(inline="always", error_model="numpy")
def mix32(x: int) -> int:
    """Finaliser ``lowbias32`` of a uint32, for inner loops: 32-bit multiplies vectorise on AVX2, 64-bit do not."""
    z = np.uint32(x)
    z = np.uint32(z ^ (z >> np.uint32(16))) * np.uint32(0x7FEB352D)
    z = np.uint32(z)
    z = np.uint32(z ^ (z >> np.uint32(15))) * np.uint32(0x846CA68B)
    z = np.uint32(z)
    return np.uint32(z ^ (z >> np.uint32(16)))  # type: ignore[return-value]


@nb.njit(error_model="numpy")
def inverse_normal(p: float) -> float:
    """Standard normal quantile of p in (0, 1); relative error below 1.2e-9.

    Rational approximation of P. J. Acklam (An algorithm for computing the inverse normal cumulative distribution
    function, 2003).
    """
    if p < 0.02425:
        q = math.sqrt(-2.0 * math.log(p))
        return _tail(q)
    if p > 1.0 - 0.02425:
        q = math.sqrt(-2.0 * math.log(1.0 - p))
        return -_tail(q)
    q = p - 0.5
    r = q * q
    top = -3.969683028665376e01 * r + 2.209460984245205e02
    top = ((top * r - 2.759285104469687e02) * r + 1.383577518672690e02) * r
    top = ((top - 3.066479806614716e01) * r + 2.506628277459239e00) * q
    low = -5.447609879822406e01 * r + 1.615858368580409e02
    low = ((low * r - 1.556989798598866e02) * r + 6.680131188771972e01) * r
    return top / ((low - 1.328068155288572e01) * r + 1.0)


@nb.njit(inline="always", error_model="numpy")
def _tail(q: float) -> float:
    top = ((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838e00) * q
    top = ((top - 2.549732539343734e00) * q + 4.374664141464968e00) * q + 2.938163982698783e00
    low = ((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996e00) * q
    return top / ((low + 3.754408661907416e00) * q + 1.0)


@nb.njit(inline="always", error_model="numpy")
def normal(key: int, index: int) -> float:
    """Standard normal: draw number ``index`` of a key."""
    return inverse_normal(uniform(key, index))


@nb.njit(error_model="numpy")
def gamma(key: int, shape: float) -> float:
    """Gamma(shape, 1) of a key of its own (G. Marsaglia, W. W. Tsang, ACM TOMS 26(3), 2000; boosted below shape 1)."""
    boost = 1.0
    d = shape
    if shape < 1.0:
        boost = uniform(key, 0) ** (1.0 / shape)
        d = shape + 1.0
    d -= 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    index = 1
    while True:
        x = normal(key, index)
        u = uniform(key, index + 1)
        index += 2
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost * d * v


@nb.njit(cache=True, error_model="numpy")
def _uniforms(seed: int, stream: int, entities: NDArray[np.int64], index: int, out: NDArray[np.float64]) -> None:
    for i in range(len(entities)):
        out[i] = uniform(key64(seed, stream, entities[i]), index)


def uniforms(seed: int, stream: Stream, entities: NDArray[np.int64], index: int = 0) -> NDArray[np.float64]:
    """Uniform (0, 1) draws, one per entity id; same bits as `uniform`. Shape (n,)."""
    out = np.empty(len(entities))
    _uniforms(np.uint64(seed), int(stream), np.ascontiguousarray(entities, np.int64), index, out)
    return out


@nb.njit(cache=True, error_model="numpy")
def _normals(seed: int, stream: int, entities: NDArray[np.int64], index: int, out: NDArray[np.float64]) -> None:
    for i in range(len(entities)):
        out[i] = normal(key64(seed, stream, entities[i]), index)


def normals(seed: int, stream: Stream, entities: NDArray[np.int64], index: int = 0) -> NDArray[np.float64]:
    """Standard normal draws, one per entity id. Shape (n,)."""
    out = np.empty(len(entities))
    _normals(np.uint64(seed), int(stream), np.ascontiguousarray(entities, np.int64), index, out)
    return out


def replicate_seed(seed: int, replicate: int) -> int:
    """The seed of a replicate's own streams (demand, weather, meters, behaviour, parameters)."""
    return int(key64(np.uint64(seed), int(Stream.REPLICATE), replicate))
