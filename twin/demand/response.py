"""Price response: substitution between the periods of a day, and saving against the day's price level.

One model for all consumers. Energy moved (substitution) and energy saved (daily elasticity) are separate numbers.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.datapack import behaviour_parameters, kinds, read_yaml, uncertain_parameters
from twin.demand.columns import DemandColumns, has_ac
from twin.streams import Stream, uniforms

_NO_RESPONSE = "none"


@nb.njit(error_model="numpy")
def _moved_share(kwh: NDArray[np.float64], factor: NDArray[np.float64], total: float) -> float:
    moved = 0.0
    for z in range(len(kwh)):
        moved += kwh[z] * abs(factor[z] - 1.0)
    return 0.5 * moved / total


@nb.njit(error_model="numpy")
def _substitute(
    kwh: NDArray[np.float64], ratio: NDArray[np.float64], sigma: float, max_shift: float, out: NDArray[np.float64]
) -> None:
    """Factors of substitution alone: ``r^-sigma`` scaled to the same energy, drawn back to the largest shift."""
    total, weighted = 0.0, 0.0
    for z in range(len(kwh)):
        out[z] = ratio[z] ** -sigma
        total += kwh[z]
        weighted += kwh[z] * out[z]
    scale = total / weighted
    for z in range(len(kwh)):
        out[z] *= scale
    share = _moved_share(kwh, out, total)
    if share > max_shift:
        for z in range(len(kwh)):
            out[z] = 1.0 + (out[z] - 1.0) * (max_shift / share)


@nb.njit(cache=True, error_model="numpy")
def ces_factors(
    zone_kwh: NDArray[np.float64],
    price_base: NDArray[np.float64],
    price_arm: NDArray[np.float64],
    price_row: NDArray[np.int64],
    sigma: NDArray[np.float64],
    daily: NDArray[np.float64],
    max_shift: float,
    floor: float,
    out: NDArray[np.float64],
) -> None:
    """What every consumer makes of new prices: factors on the use of each tariff zone of a day.

    With r_z = arm price / base price of zone z and q_z the use at base prices::

        substitution  s_z = r_z^-sigma * sum(q) / sum(q r^-sigma)        (energy moved, none lost)
        saving        d   = R^daily,  R = sum(price_arm q) / sum(price_base q)
        factor_z      = s_z d

    where half of sum(q |s - 1|) is at most ``max_shift`` of the day's energy: beyond it all s_z - 1 shrink alike.

    Parameters
    ----------
    zone_kwh : array, shape (n, n_zones)
        Use at base prices. [kWh]
    price_base, price_arm : array, shape (m, n_zones)
        Marginal price per zone; below ``floor`` they are taken as ``floor``. [INR/kWh]
    price_row : array of int, shape (n,)
        Row of the price tables for each consumer.
    sigma, daily : array, shape (n,)
        Elasticity of substitution (>= 0) and daily own-price elasticity (<= 0). [-]
    max_shift : float
        Largest share of a day's energy that is moved. [-]
    floor : float
        Lowest price that enters a ratio. [INR/kWh]
    out : array, shape (n, n_zones)
        Written: factors; exactly 1.0 where prices are equal or nothing is used.

    Notes
    -----
    Constant elasticity of substitution between periods as in the California statewide pricing pilot (Charles River
    Associates 2005, recalled); the index R is Laspeyres', at unshifted use.
    """
    n_zones = zone_kwh.shape[1]
    ratio = np.empty(n_zones)
    for i in range(zone_kwh.shape[0]):
        row = price_row[i]
        paid_base, paid_arm, same = 0.0, 0.0, True
        for z in range(n_zones):
            base, arm = max(price_base[row, z], floor), max(price_arm[row, z], floor)
            ratio[z] = arm / base
            paid_base += base * zone_kwh[i, z]
            paid_arm += arm * zone_kwh[i, z]
            same = same and ratio[z] == ratio[0]
        out[i, :] = 1.0
        if paid_base <= 0.0:
            continue
        if not same and sigma[i] != 0.0:
            _substitute(zone_kwh[i], ratio, sigma[i], max_shift, out[i])
        index = ratio[0] if same else paid_arm / paid_base
        saving = index ** daily[i]
        for z in range(n_zones):
            out[i, z] *= saving


@nb.njit(error_model="numpy")
def probability_over(mtd_kwh: float, expected_rest_kwh: float, free_kwh: float, cv: float) -> float:
    """Probability that a month's total passes the free units.

    The rest of the month is lognormal about its expectation: ``P(mtd + rest X > free)``, mean of X 1, coefficient of
    variation ``cv``.

    Parameters
    ----------
    mtd_kwh, expected_rest_kwh, free_kwh : float
        Used since the month's first day, expected until its end, free in the month. [kWh]
    cv : float
        Forecast error. [-]
    """
    if mtd_kwh >= free_kwh:
        return 1.0
    if expected_rest_kwh <= 0.0:
        return 0.0
    needed = (free_kwh - mtd_kwh) / expected_rest_kwh
    if cv <= 0.0:
        return 1.0 if needed < 1.0 else 0.0
    sd = math.sqrt(math.log(1.0 + cv * cv))
    return 0.5 * math.erfc((math.log(needed) + 0.5 * sd * sd) / (sd * math.sqrt(2.0)))


@nb.njit(cache=True, error_model="numpy")
def probabilities_over(
    mtd_kwh: NDArray[np.float64],
    expected_rest_kwh: NDArray[np.float64],
    free_kwh: NDArray[np.float64],
    cv: float,
    out: NDArray[np.float64],
) -> None:
    """`probability_over` for n consumers, written to ``out``."""
    for i in range(len(out)):
        out[i] = probability_over(mtd_kwh[i], expected_rest_kwh[i], free_kwh[i], cv)


def parameter_bounds(
    overrides: Mapping[str, float | tuple[float, float]] | None = None, also: Collection[str] = ()
) -> dict[str, tuple[float, float]]:
    """Bounds of every uncertain parameter: its prior's, or ``overrides`` (a value, or low and high, by name).

    ``also`` names the parameters of `twin.datapack.behaviour_parameters` that are asked for; others are left out.

    Raises
    ------
    ValueError
        For a name that is no parameter; a scenario with one is refused when it is read.
    """
    bounds = {name: (prior.low, prior.high) for name, prior in uncertain_parameters().items()}
    bounds |= {name: (prior.low, prior.high) for name, prior in behaviour_parameters().items() if name in also}
    for name, value in (overrides or {}).items():
        if name not in bounds:
            raise ValueError(f"no such parameter: {name}")
        low, high = value if isinstance(value, (tuple, list)) else (value, value)
        bounds[name] = (float(low), float(high))
    return bounds


def draw_parameters(
    replicate_seed: int,
    overrides: Mapping[str, float | tuple[float, float]] | None = None,
    also: Collection[str] = (),
) -> dict[str, float]:
    """One draw of every uncertain parameter of behaviour, shared by all arms of a replicate.

    Parameters
    ----------
    replicate_seed : int
    overrides : dict, optional
        A value, or other bounds (low, high), by parameter name; a scenario has been checked for wrong ones.
    also : names, optional
        See `parameter_bounds`. Draws are keyed by name: asking for more changes no other.
    """
    bounds = parameter_bounds(overrides, also)
    entities = np.array([zlib.crc32(name.encode()) for name in bounds], np.int64)
    drawn = uniforms(replicate_seed, Stream.PARAMETER, entities)
    return {name: low + float(u) * (high - low) for (name, (low, high)), u in zip(bounds.items(), drawn, strict=True)}


def behaviour_groups(columns: DemandColumns) -> NDArray[np.int8]:
    """Group of behaviour of each consumer: position in priors.yaml's ``groups``, -1 for none. Shape (n,)."""
    spec = read_yaml("priors")
    names: list[str] = spec["groups"]
    by_kind = np.full(len(kinds()), -1, np.int8)
    for kind in kinds():
        name = f"{kind.area}_home" if kind.group == "home" else spec["group_of_kind_group"][kind.group]
        if name != _NO_RESPONSE:
            by_kind[kind.kind] = names.index(name)
    groups = by_kind[columns.kind]
    groups[has_ac(columns)] = names.index("ac_home")
    return groups


def consumer_elasticities(
    columns: DemandColumns, parameters: dict[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each consumer's elasticity of substitution and daily own-price elasticity, shape (n,) each.

    ``parameters`` as from `draw_parameters`; consumers without a group (street light, traction) have zeros.
    """
    names: list[str] = read_yaml("priors")["groups"]
    groups = behaviour_groups(columns)
    substitution = np.array([parameters[f"substitution_{name}"] for name in names] + [0.0])
    daily = np.array([parameters[f"daily_{name}"] for name in names] + [0.0])
    return substitution[groups], daily[groups]
