"""The study in expected demand: is the network loaded like an Indian utility's, and what is the season's peak?

Expected demand needs no draws: twelve typical days stand for a year, and June is looked at through all its evenings.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.bands import band_table, dt_loading_bands, feeder_end_bands, lv_end_bands, technical_loss_bands
from twin.datapack import read_yaml
from twin.demand.panel import june_days, kind_counts, kind_mean_kw, panel_columns, typical_days
from twin.demand.weather import GeneratedWeather, NormalWeather, Weather
from twin.grid.state import StateGrid
from twin.grid.strata import Selection
from twin.simulation.manifest import Manifest
from twin.simulation.mean_field import ask, settle_mean_day
from twin.simulation.messages import MeanFieldAnswer, Only
from twin.simulation.prepare import Prepared
from twin.simulation.shard_tables import feeder_weights
from twin.units import KW_PER_MW

AGRICULTURAL = 3
PANEL = 256


@dataclass(frozen=True)
class PeakDay:
    """The highest of June's expected evenings."""

    date: dt.date
    meters_mw: float
    """At consumers' meters."""
    hour: float
    weather: Weather


@dataclass(frozen=True)
class Loading:
    """How feeders and DTs are loaded on a day of expected demand; arrays over the run's feeders and DTs."""

    feeder: NDArray[np.int64]
    feeder_end_pu: NDArray[np.float64]
    loss_kwh: NDArray[np.float64]
    sent_kwh: NDArray[np.float64]
    dt_feeder: NDArray[np.int64]
    dt_loading_percent: NDArray[np.float64]
    lv_end_pu: NDArray[np.float64]
    v_pss_pu: NDArray[np.float64]
    upper: Any
    rounds: int


def peak_day(seed: int, year: int) -> PeakDay:
    """The highest of the 30 expected June evenings of the whole population, in the pack's reference weather."""
    spec = read_yaml("demand/panel")["design"]
    weather = GeneratedWeather(spec["weather_seed"])
    columns, counts = panel_columns(seed, PANEL), kind_counts()
    best = PeakDay(dt.date(year, 6, 1), 0.0, 0.0, weather)
    for date in june_days(year):
        total_mw = counts @ kind_mean_kw(seed, date, weather, PANEL, columns) / KW_PER_MW
        step = int(total_mw.argmax())
        if total_mw[step] > best.meters_mw:
            best = PeakDay(date, float(total_mw[step]), step * 24.0 / len(total_mw), weather)
    return best


def settle_day(prepared: Prepared, date: dt.date, weather: Weather) -> Loading:
    """Settle a day of expected demand with the grid above, hour by hour."""
    day = settle_mean_day(prepared.backend, prepared.layout, prepared.upper, date, weather)
    return _gather(day.answers, day.v_pss_pu, day.upper, day.rounds)


def losses_of_day(prepared: Prepared, date: dt.date, v_pss_pu: NDArray[np.float64], only: Only) -> Loading:
    """Losses of some feeders on a day of expected demand in normal weather, at given PSS voltages."""
    answers = ask(prepared.backend, prepared.layout, date, NormalWeather(), v_pss_pu, first=True, only=only)
    return _gather(answers, v_pss_pu, None, 1)


def _gather(answers: list[MeanFieldAnswer], v: NDArray[np.float64], upper: Any, rounds: int) -> Loading:
    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(answer, name) for answer in answers])

    return Loading(
        feeder=joined("feeder"),
        feeder_end_pu=joined("feeder_end_pu"),
        loss_kwh=joined("loss_kwh"),
        sent_kwh=joined("sent_kwh"),
        dt_feeder=joined("dt_feeder"),
        dt_loading_percent=joined("dt_loading_percent"),
        lv_end_pu=joined("lv_end_pu"),
        v_pss_pu=v,
        upper=upper,
        rounds=rounds,
    )


def loading_values(state: StateGrid, weights: NDArray[np.float64], day: Loading) -> dict[tuple[str, str], float]:
    """Loadings of DTs and feeders outside agricultural ones, as the bands are stated. ``weights``: by feeder."""
    is_farm = state.feeders.feeder_class == AGRICULTURAL
    dts = ~is_farm[day.dt_feeder]
    feeders = ~is_farm[day.feeder]
    dt_weight = weights[day.dt_feeder[dts]]
    return {
        **dt_loading_bands(day.dt_loading_percent[dts], dt_weight),
        **lv_end_bands(day.lv_end_pu[dts], dt_weight),
        **feeder_end_bands(day.feeder_end_pu[feeders], weights[day.feeder[feeders]]),
    }


def yearly_sample(state: StateGrid, selection: Selection) -> tuple[Only, NDArray[np.bool_], NDArray[np.float64]]:
    """Feeders that a year's loss is studied on: the sample, or where every feeder is resolved the scouts, as many.

    Gives what to ask for, which feeders that is, and the state's consumers that a consumer of each stands for.
    """
    if selection.sampled.any():
        return "sampled", selection.sampled, feeder_weights(state, selection)
    chosen, stratum = selection.scouts, state.feeders.stratum
    held = np.bincount(
        stratum[chosen], weights=state.feeders.n_consumers[chosen], minlength=len(selection.sampled_consumers)
    )
    nobody = np.zeros_like(selection.resolved)
    sample = replace(selection, resolved=nobody, sampled=chosen, sampled_consumers=held.astype(np.int64))
    return "scouts", chosen, feeder_weights(state, sample)


def year_loss_values(prepared: Prepared, year: int, v_pss_pu: NDArray[np.float64]) -> dict[tuple[str, str], float]:
    """Technical loss of a year at 11 kV and below, from twelve typical days on a sample of feeders."""
    only, is_chosen, weights = yearly_sample(prepared.state, prepared.selection)
    days = [(losses_of_day(prepared, date, v_pss_pu, only), n_days) for date, n_days in typical_days(year)]
    feeder = days[0][0].feeder
    loss = np.sum([day.loss_kwh * n_days for day, n_days in days], axis=0)
    sent = np.sum([day.sent_kwh * n_days for day, n_days in days], axis=0)
    chosen = is_chosen[feeder]
    return technical_loss_bands(loss[chosen], sent[chosen], weights[feeder[chosen]])


def mean_field_study(prepared: Prepared, manifest: Manifest) -> tuple[dict[str, float], pa.Table]:
    """Estimates for the calibration, and the table of bands."""
    year = prepared.points[0].dates[0].year
    peak = peak_day(prepared.scenario.seed, year)
    day = settle_day(prepared, peak.date, peak.weather)
    weights = feeder_weights(prepared.state, prepared.selection)
    values = loading_values(prepared.state, weights, day)
    values |= year_loss_values(prepared, year, day.v_pss_pu)
    loss_share = manifest.network.get("loss_share_at_peak", 0.0)
    manifest.network["mean_field_peak"] = {
        "date": str(peak.date), "hour": peak.hour, "meters_mw": peak.meters_mw, "loss_share": loss_share,
        "solved_mw": float(np.nanmax(day.upper.sent_mw)), "rounds": day.rounds,
    }  # fmt: skip
    return {"peak_mw": peak.meters_mw / (1.0 - loss_share)}, band_table(values)
