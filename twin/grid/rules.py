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
from twin.powerflow.impedance import LV_BASE_OHM, dt_impedance_pu, segment_matrix, service_pu
from twin.units import LV_BASE_V, WH_PER_KWH

KV_11 = 11.0
BASE_OHM_11KV = KV_11**2
"""Impedance base at 11 kV on 1 MVA. [ohm]"""


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
    bare_share: float
    """Share of poles, nearest to the DT, without services."""
    service_m: NDArray[np.float64]
    """Shortest and longest service. [2]"""
    service: NDArray[np.float64]
    """Up to this sanctioned kW, and per-unit r, x per metre of the whole loop. [2 (single, three), n_sizes, 3]"""
    joint_pu: NDArray[np.float64]
    """Resistance of the joints in that loop. [2 (single, three)]"""


class LvRuleArrays(NamedTuple):
    """DTs and LV lines; rows by feeder class where the first axis is 4."""

    ratings_kva: NDArray[np.float64]
    iron_kw: NDArray[np.float64]
    """By stock (0 new, 1 old) and rating. [2, n_ratings]"""
    meter_kw: float
    """Own use of a consumer's meter, ahead of its register; counted with the DT's no-load loss."""
    magnetising_kvar: NDArray[np.float64]
    dt_r_pu: NDArray[np.float64]
    dt_x_pu: NDArray[np.float64]
    utilisation: NDArray[np.float64]
    """Median and log sd. [2]"""
    load_when_sized: float
    old_stock_share: float
    poles_scale: NDArray[np.float64]
    poles_exponent: float
    most_poles: int
    span_m: NDArray[np.float64]
    span_spread: float
    spur_share: float
    choices: NDArray[np.int16]
    """Conductor codes, lightest first, padded with the heaviest. [4, n_choices]"""
    drop_limit: NDArray[np.float64]
    drop_log_sd: float
    consumer_spread: float
    least_drop: float
    least_shrink: float
    tan_phi: float
    kw_ohm_pu: float
    """Drop of one kW of a phase over one ohm. [pu]"""
    most_kw: NDArray[np.float64]
    """Planned power of a phase, of all conductors. [n_conductors]"""
    r_ohm_km: NDArray[np.float64]
    """Of all conductors. [n_conductors]"""
    x_ohm_km: NDArray[np.float64]
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
    place_noise: float
    short_share: float
    drop_limit: NDArray[np.float64]
    drop_log_sd: float
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
        bare_share=rule.lv.bare_share,
        service_m=np.array([rule.lv.service_least_m, rule.lv.service_most_m]),
        service=np.stack([_services(rule.lv.service_single, False), _services(rule.lv.service_three, True)]),
        joint_pu=np.array([2.0 * rule.lv.joint_single_ohm, rule.lv.joint_three_ohm]) / LV_BASE_OHM,
    )


def sanctioned_table() -> NDArray[np.float64]:
    """Rows of `ConsumerRules.sanctioned` by kind; NaN for kinds that only HT consumers have. [n_kinds, 6]"""
    table = synthesis().sanctioned_kw
    unknown = set(table) - {row.name for row in kinds()}
    if unknown:
        raise DataPackError(
            [
                Problem("twin/data/synthesis.yaml", f"sanctioned_kw.{n}", "no such kind", "see kinds.csv")
                for n in sorted(unknown)
            ]
        )
    return np.array([table.get(row.name, (math.nan,) * 6) for row in kinds()])


def _services(ladder: tuple[tuple[str, float], ...], three_phase: bool) -> NDArray[np.float64]:
    """Per-unit service ladder; padded to four sizes with the largest. Columns: up to this kW, r and x per metre."""
    rows = []
    for name, most_kw in ladder:
        row = conductors()[conductor_code(name)]
        per_km = service_pu(row.r_working_ohm_km, row.x_ohm_km, 1000.0, three_phase)[0]
        rows.append([most_kw, *(per_km.astype(np.float64) / 1000.0)])
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
    ampacity_a = np.array([row.ampacity_a for row in conductors()])
    worn = np.array([[1.0], [dt.old_iron_factor]])
    iron = worn * np.array([[row.no_load_w / 1000.0 for row in stock] for stock in rows])
    copper_w = [[row.load_loss_w for row in stock] for stock in rows]
    dt_r_pu, dt_x_pu = dt_impedance_pu(kva, [[row.z_pct for row in stock] for stock in rows], copper_w)
    return LvRuleArrays(
        ratings_kva=kva,
        iron_kw=iron,
        meter_kw=dt.meter_w / WH_PER_KWH,
        magnetising_kvar=np.sqrt((dt.magnetising_share * kva) ** 2 - iron**2),
        dt_r_pu=dt_r_pu,
        dt_x_pu=dt_x_pu,
        utilisation=np.array([dt.utilisation_median, dt.utilisation_log_sd]),
        load_when_sized=dt.load_when_sized,
        old_stock_share=dt.old_stock_share,
        poles_scale=np.array(lv.poles_scale),
        poles_exponent=lv.poles_exponent,
        most_poles=lv.most_poles,
        span_m=np.array(lv.span_m),
        span_spread=lv.span_spread,
        spur_share=lv.spur_share,
        choices=_padded(lv.choices),
        drop_limit=np.array(lv.drop_limit),
        drop_log_sd=lv.drop_log_sd,
        consumer_spread=lv.consumer_spread,
        least_drop=lv.least_drop,
        least_shrink=lv.least_shrink,
        tan_phi=tan_phi(lv.power_factor),
        kw_ohm_pu=1.0 / LV_BASE_OHM,
        most_kw=lv.ampacity_share * lv.power_factor * ampacity_a * LV_BASE_V / 1000.0,
        r_ohm_km=np.array([row.r_working_ohm_km for row in conductors()]),
        x_ohm_km=np.array([row.x_ohm_km for row in conductors()]),
        z_pu_km=np.array([_segment(row) for row in conductors()]),
    )


def lv_spacing_m(row: Conductor) -> NDArray[np.float64] | None:
    """Distances between conductors a, b, c, n of an LV line, shape (4, 4); None for a bundled cable.

    Bare conductors hang in a column, neutral lowest.
    """
    if not row.bare:
        return None
    height = synthesis().lv.bare_spacing_m * np.array([3.0, 2.0, 1.0, 0.0])
    return np.abs(height[:, None] - height[None, :])


def _segment(row: Conductor) -> NDArray[np.float64]:
    """Neutral-reduced matrix of a kilometre of four-wire line."""
    rule = synthesis().lv
    return segment_matrix(
        row.r_working_ohm_km,
        row.x_ohm_km,
        1.0,
        r_neutral_ohm_km=rule.neutral_ratio * row.r_working_ohm_km,
        x_neutral_ohm_km=row.x_ohm_km,
        spacing_m=lv_spacing_m(row),
        x_spacing_m=rule.bare_reference_m,
        frequency_hz=rule.frequency_hz,
    )[0].astype(np.float64)


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
        place_noise=rule.place_noise,
        short_share=rule.short_share,
        drop_limit=np.array(rule.drop_limit),
        drop_log_sd=rule.drop_log_sd,
        ampacity_share=rule.ampacity_share,
        loss_allowance=rule.loss_allowance,
        tan_phi=tan,
        r_ohm_km=np.array([row.r_working_ohm_km for row in conductors()]),
        x_ohm_km=np.array([row.x_ohm_km for row in conductors()]),
        b_us_km=np.array([row.b_us_km or 0.0 for row in conductors()]),
        ampacity_a=np.array([row.ampacity_a for row in conductors()]),
    )
