"""Table ``bands``: is the synthetic network loaded like an Indian utility's? Values beside the bands of
``twin/data/bands.csv``.

Pure functions of arrays: the engine and `twin grid` compute the network's state in the mean field and ask here.
Weights say how many feeders (or consumers) of the state each entry stands for.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.gains import weighted_quantiles
from twin.analysis.tables import build
from twin.datapack import Row, read_rows

FloatArray = NDArray[np.float64]
Values = dict[tuple[str, str], float]
"""The twin's value by (quantity, statistic)."""
FIFTH = 0.05
RATING_PERCENT = 100.0


class Band(Row):
    """One expected band of the data pack."""

    quantity: str
    statistic: str
    low: float
    high: float
    confidence: str


def dt_loading_bands(loading_percent: FloatArray, weight: FloatArray) -> Values:
    """Median loading of DTs, and the share of them loaded above the rating.

    Parameters
    ----------
    loading_percent : float64[n_dts]
        Peak apparent power over rating on the band's evening, DTs outside agricultural feeders. [percent]
    weight : float64[n_dts]
        State DTs that each stands for, above 0.
    """
    median = weighted_quantiles(loading_percent, weight, np.array([0.5]))[0]
    over = np.sum(weight * (loading_percent > RATING_PERCENT)) / np.sum(weight)
    name = "dt_loading_percent"
    return {(name, "median"): float(median), (name, "share over 100"): 100.0 * float(over)}


def lv_end_bands(v_end_pu: FloatArray, weight: FloatArray) -> Values:
    """Fifth percentile of the lowest voltage at LV ends, float64[n], on base 433 V. [pu]"""
    return {("lv_end_voltage_pu", "5th percentile"): _fifth(v_end_pu, weight)}


def feeder_end_bands(v_end_pu: FloatArray, weight: FloatArray) -> Values:
    """Fifth percentile of the lowest 11 kV voltage of feeders, float64[n]. [pu]"""
    return {("feeder_end_voltage_pu", "5th percentile"): _fifth(v_end_pu, weight)}


def technical_loss_bands(loss_kwh: FloatArray, sent_kwh: FloatArray, weight: FloatArray) -> Values:
    """Yearly loss at 11 kV and below over the energy sent into it, from feeders' sums over typical days,
    float64[n_feeders]. [percent]
    """
    share = float(np.sum(weight * loss_kwh) / np.sum(weight * sent_kwh))
    return {("technical_loss_percent", "year at 11 kV and below"): 100.0 * share}


def _fifth(values: FloatArray, weight: FloatArray) -> float:
    return float(weighted_quantiles(values, weight, np.array([FIFTH]))[0])


def band_table(values: Mapping[tuple[str, str], float]) -> pa.Table:
    """Table ``bands`` from the twin's values; bands without a value are left out.

    Raises
    ------
    KeyError
        If a value has no band in the data pack (a defect of the caller).
    """
    bands = {(row.quantity, row.statistic): row for row in read_rows("bands", Band)}
    rows = [{**bands[key].model_dump(), "value": float(value)} for key, value in values.items()]
    order = {key: place for place, key in enumerate(bands)}
    return build("bands", sorted(rows, key=lambda row: order[row["quantity"], row["statistic"]]))


def inside(row: Mapping[str, float]) -> bool:
    """Does a row of ``bands`` lie in its band, ends included?"""
    return bool(row["low"] <= row["value"] <= row["high"])
