"""The synthesis settings and tables as flat arrays, in the form that the compiled builders of a feeder take."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.datapack import kinds
from twin.errors import DataPackError, Problem
from twin.grid.population import kind_mix
from twin.grid.settings import synthesis
from twin.grid.tables import Conductor, conductor_code, conductors, distribution_transformer
from twin.units import LV_BASE_KVA, LV_BASE_V

KV_11 = 11.0
LV_BASE_OHM = LV_BASE_V**2 / (1000.0 * LV_BASE_KVA)
"""Impedance base at LV. [ohm]"""
BASE_OHM_11KV = KV_11**2
"""Impedance base at 11 kV on 1 MVA. [ohm]"""
_MUTUAL_OHM_KM = 2.0 * math.pi * 50.0 * 2e-4
"""omega mu0 / (2 pi) at 50 Hz: reactance per unit of the logarithm of a distance ratio. [ohm/km]"""
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Entries of a symmetric 3x3 matrix in the order of `LvTiles.z_pu`."""


class ConsumerRules(NamedTuple):
    """Kinds, sanctioned loads and services."""

    mix: NDArray[np.float64]
    """Share of kind within category. [n_categories, n_kinds]"""
    sanctioned: NDArray[np.float64]
    """Median kW, log sd, least, most, step, three-phase from this kW. [n_kinds, 6]"""
    farm: NDArray[np.bool_]
    """Kinds planned by their sanctioned load and roster, not by an expected profile. [n_kinds]"""
    farm_kw: float
    """Planned kW of such a consumer over its sanctioned kW."""
    feeder_concentration: float
    dt_concentration: float
    dt_size_log_sd: float
    random_phase_share: float
    service_m: NDArray[np.float64]
    """Shortest and longest service. [2]"""
    service: NDArray[np.float64]
    """Up to this sanctioned kW, and per-unit r, x per metre of the whole loop. [2 (single, three), n_sizes, 3]"""


class LvRuleArrays(NamedTuple):
    """DTs and LV lines; rows by feeder class where the first axis is 4."""

    ratings_kva: NDArray[np.float64]
    iron_kw: NDArray[np.float64]
    """By stock (0 new, 1 old) and rating. [2, n_ratings]"""
    magnetising_kvar: NDArray[np.float64]
    dt_r_pu: NDArray[np.float64]
    dt_x_pu: NDArray[np.float64]
    utilisation: NDArray[np.float64]
    """Median and log sd. [2]"""
    dt_power_factor: float
    old_stock_share: float
    poles_scale: NDArray[np.float64]
    poles_exponent: float
    most_poles: int
    span_m: NDArray[np.float64]
    span_spread: float
    poles_per_circuit: NDArray[np.float64]
    spur_share: float
    choices: NDArray[np.int16]
    """Conductor codes, lightest first, padded with the heaviest. [4, n_choices]"""
    drop_limit: NDArray[np.float64]
    drop_log_sd: float
    ampacity_share: float
    tan_phi: float
    r_ohm_km: NDArray[np.float64]
    """Of all conductors. [n_conductors]"""
    x_ohm_km: NDArray[np.float64]
    ampacity_a: NDArray[np.float64]
    z_pu_km: NDArray[np.float64]
    """Neutral-reduced matrix, (re, im) of aa, ab, ac, bb, bc, cc. [n_conductors, 12]"""


class TreeRules(NamedTuple):
    """The 11 kV tree; rows by feeder class where the first axis is 4."""

    least_km: NDArray[np.float64]
    most_km: NDArray[np.float64]
    typical_dts: NDArray[np.float64]
    trunk_share: NDArray[np.float64]
    spur_most: NDArray[np.float64]
    head_weight: NDArray[np.float64]
    trunk_weight: float
    trunk_choices: NDArray[np.int16]
    spur_conductor: NDArray[np.int16]
    drop_limit: NDArray[np.float64]
    drop_log_sd: float
    drop_most: float
    ampacity_share: float
    loss_allowance: float
    tan_phi: NDArray[np.float64]
    r_ohm_km: NDArray[np.float64]
    x_ohm_km: NDArray[np.float64]
    b_us_km: NDArray[np.float64]
    ampacity_a: NDArray[np.float64]


def tan_phi(power_factor: float) -> float:
    """Reactive over active power at a lagging power factor."""
    return math.sqrt(1.0 - power_factor**2) / power_factor


@lru_cache(maxsize=1)
def consumer_rules() -> ConsumerRules:
    """Settings of the consumers below a feeder."""
    rule = synthesis()
    return ConsumerRules(
        mix=kind_mix(),
        sanctioned=sanctioned_table(),
        farm=np.array([row.group == "farm" for row in kinds()]),
        farm_kw=rule.feeder.farm_coincidence * rule.feeder.farm_input,
        feeder_concentration=rule.mix.feeder_concentration,
        dt_concentration=rule.mix.dt_concentration,
        dt_size_log_sd=rule.mix.dt_size_log_sd,
        random_phase_share=rule.lv.random_phase_share,
        service_m=np.array([rule.lv.service_least_m, rule.lv.service_most_m]),
        service=np.stack([_services(rule.lv.service_single, 2.0), _services(rule.lv.service_three, 1.0)]),
    )


def sanctioned_table() -> NDArray[np.float64]:
    """Rows of `ConsumerRules.sanctioned` by kind; NaN for kinds that only HT consumers have. [n_kinds, 6]"""
    table = synthesis().sanctioned_kw
    unknown = set(table) - {row.name for row in kinds()}
    if unknown:
        raise DataPackError(
            [Problem("twin/data/synthesis.yaml", f"sanctioned_kw.{n}", "no such kind", "see kinds.csv") for n in sorted(unknown)]
        )
    return np.array([table.get(row.name, (math.nan,) * 6) for row in kinds()])


def mean_sanctioned_kw() -> NDArray[np.float64]:
    """Expected sanctioned load of every LV kind, by quadrature over its law; NaN for HT kinds. [n_kinds] [kW]"""
    median, log_sd, least, most, step, _ = sanctioned_table().T[:, :, None]
    p = (np.arange(999) + 0.5) / 999.0
    z = np.sqrt(2.0) * _erfinv(2.0 * p - 1.0)
    return round_up(median * np.exp(log_sd * z), least, most, step).mean(axis=1)


def _erfinv(y: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import erfinv

    return erfinv(y)


def round_up(kw: NDArray[np.float64], least, most, step) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]
    """Sanctioned loads come in steps: up to the next one, within the kind's limits."""
    return np.clip(np.ceil(kw / step - 1e-9) * step, least, most)


def _services(ladder: tuple[tuple[str, float], ...], loop: float) -> NDArray[np.float64]:
    """Per-unit service ladder; padded to four sizes with the largest. ``loop``: conductors the current flows through."""
    rows = []
    for name, most_kw in ladder:
        row = conductors()[conductor_code(name)]
        scale = loop / 1000.0 / LV_BASE_OHM
        rows.append([most_kw, row.r_working_ohm_km * scale, row.x_ohm_km * scale])
    return np.array(rows + rows[-1:] * (4 - len(rows)))


def _padded(lists: tuple[tuple[str, ...], ...]) -> NDArray[np.int16]:
    longest = max(map(len, lists))
    codes = [[conductor_code(name) for name in names] for names in lists]
    return np.array([row + row[-1:] * (longest - len(row)) for row in codes], np.int16)


@lru_cache(maxsize=1)
def lv_rules() -> LvRuleArrays:
    """Settings of DTs and LV lines."""
    dt, lv = synthesis().dt, synthesis().lv
    kva = np.array(dt.ratings_kva)
    rows = [[distribution_transformer(rating, old) for rating in kva] for old in (False, True)]
    iron = np.array([[row.suggested_no_load_w / 1000.0 for row in stock] for stock in rows])
    copper = np.array([[row.suggested_load_loss_w / 1000.0 for row in stock] for stock in rows])
    z = np.array([[row.z_pct / 100.0 for row in stock] for stock in rows])
    to_base = 3.0 * LV_BASE_KVA / kva
    return LvRuleArrays(
        ratings_kva=kva,
        iron_kw=iron,
        magnetising_kvar=np.sqrt((dt.magnetising_share * kva) ** 2 - iron**2),
        dt_r_pu=copper / kva * to_base,
        dt_x_pu=np.sqrt(z**2 - (copper / kva) ** 2) * to_base,
        utilisation=np.array([dt.utilisation_median, dt.utilisation_log_sd]),
        dt_power_factor=dt.power_factor,
        old_stock_share=dt.old_stock_share,
        poles_scale=np.array(lv.poles_scale),
        poles_exponent=lv.poles_exponent,
        most_poles=lv.most_poles,
        span_m=np.array(lv.span_m),
        span_spread=lv.span_spread,
        poles_per_circuit=np.array(lv.poles_per_circuit),
        spur_share=lv.spur_share,
        choices=_padded(lv.choices),
        drop_limit=np.array(lv.drop_limit),
        drop_log_sd=lv.drop_log_sd,
        ampacity_share=lv.ampacity_share,
        tan_phi=tan_phi(lv.power_factor),
        r_ohm_km=np.array([row.r_working_ohm_km for row in conductors()]),
        x_ohm_km=np.array([row.x_ohm_km for row in conductors()]),
        ampacity_a=np.array([row.ampacity_a for row in conductors()]),
        z_pu_km=np.array([_neutral_reduced(row) for row in conductors()]) / LV_BASE_OHM,
    )


def _neutral_reduced(row: Conductor) -> NDArray[np.float64]:
    """Matrix of a four-wire line per km for phase-to-neutral voltages: ``Z'pq = Zpq - Zpn - Znq + Znn``. [ohm/km]

    The neutral is earthed at the DT only, so this is exact. Bare conductors hang below each other, neutral lowest:
    ``X'pq = k ln(Dpn Dnq / (Dpq GMR))`` with ``Dpp = GMR``. In a bundle (AB cable) all mutual terms are alike, which
    leaves ``z + zn`` on the diagonal and ``zn`` off it.
    """
    rule = synthesis().lv
    r, r_n = row.r_working_ohm_km, rule.neutral_ratio * row.r_working_ohm_km
    out = np.empty(12)
    gmr = rule.bare_reference_m / math.exp(row.x_ohm_km / _MUTUAL_OHM_KM)
    to_neutral = [rule.bare_spacing_m * n for n in (3, 2, 1)]
    for k, (p, q) in enumerate(_PAIRS):
        out[2 * k] = r_n + (r if p == q else 0.0)
        if row.bare:
            apart = gmr if p == q else rule.bare_spacing_m * abs(p - q)
            out[2 * k + 1] = _MUTUAL_OHM_KM * math.log(to_neutral[p] * to_neutral[q] / (apart * gmr))
        else:
            out[2 * k + 1] = row.x_ohm_km * (2.0 if p == q else 1.0)
    return out


@lru_cache(maxsize=1)
def tree_rules() -> TreeRules:
    """Settings of the 11 kV tree."""
    rule = synthesis().feeder
    tan = np.full(4, tan_phi(rule.power_factor))
    tan[3] = tan_phi(rule.farm_power_factor)
    return TreeRules(
        least_km=np.array(rule.least_km),
        most_km=np.array(rule.most_km),
        typical_dts=np.array(rule.typical_dts),
        trunk_share=np.array(rule.trunk_share),
        spur_most=np.array(rule.spur_most),
        head_weight=np.array(rule.head_weight),
        trunk_weight=rule.trunk_weight,
        trunk_choices=_padded(rule.trunk_choices),
        spur_conductor=np.array([conductor_code(name) for name in rule.spur_conductor], np.int16),
        drop_limit=np.array(rule.drop_limit),
        drop_log_sd=rule.drop_log_sd,
        drop_most=rule.drop_most,
        ampacity_share=rule.ampacity_share,
        loss_allowance=rule.loss_allowance,
        tan_phi=tan,
        r_ohm_km=np.array([row.r_working_ohm_km for row in conductors()]),
        x_ohm_km=np.array([row.x_ohm_km for row in conductors()]),
        b_us_km=np.array([row.b_us_km or 0.0 for row in conductors()]),
        ampacity_a=np.array([row.ampacity_a for row in conductors()]),
    )
