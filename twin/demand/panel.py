"""Expected demand per kind of consumer, state-wide, from a fixed panel: sizes the grid, predicts, calibrates."""

from __future__ import annotations

import datetime as dt

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories, category_kinds, kinds, read_yaml
from twin.demand.climate import places
from twin.demand.columns import DemandColumns, draw_columns
from twin.demand.draw import day_tables, mean_tile, padded
from twin.demand.weather import DAY_STEPS, GeneratedWeather, Weather

FIRST_PANEL_ID = 1 << 40
"""Panel consumers have ids that no consumer of a grid has."""
_MEMBERS = 1 << 20


def panel_columns(seed: int, panel: int) -> DemandColumns:
    """Traits of ``panel`` consumers of every kind, kind by kind, spread over the districts by their households."""
    where, all_kinds = places(), kinds()
    kind = np.repeat(np.arange(len(all_kinds)), panel)
    member = np.tile(np.arange(panel), len(all_kinds))
    district = np.empty(len(kind), np.int16)
    middle = (np.arange(panel) + 0.5) / panel
    for row in all_kinds:
        urban = where.urban_households
        weight = urban if row.area == "urban" else where.rural_households + (urban if row.area == "any" else 0.0)
        district[row.kind * panel : (row.kind + 1) * panel] = np.searchsorted(np.cumsum(weight) / weight.sum(), middle)
    ids = FIRST_PANEL_ID + kind.astype(np.int64) * _MEMBERS + member
    return draw_columns(seed, ids, kind.astype(np.uint8), district)


def kind_mean_kw(
    seed: int, date: dt.date, weather: Weather, panel: int = 256, columns: DemandColumns | None = None
) -> NDArray[np.float64]:
    """Expected power per consumer of each kind on one date, averaged over the state.

    Parameters
    ----------
    seed : int
        The scenario's seed (traits of the panel).
    date : datetime.date
    weather : Weather
        For instance ``GeneratedWeather(replicate_seed(seed, 0))``.
    panel : int
        Consumers per kind.
    columns : DemandColumns, optional
        A panel made before by `panel_columns` with the same ``panel``.

    Returns
    -------
    array, shape (n_kinds, 96)
        At 230 V. [kW]
    """
    columns = panel_columns(seed, panel) if columns is None else columns
    n = len(columns.key)
    kw = np.empty((n, padded(DAY_STEPS)), np.float32)
    mean_tile(columns, 0, n, day_tables(0, weather, date), kw)
    return kw[:, :DAY_STEPS].reshape(n // panel, panel, DAY_STEPS).mean(axis=1, dtype=np.float64)


def kind_counts() -> NDArray[np.float64]:
    """Consumers of each kind at full scale, shape (n_kinds,)."""
    index = {kind.name: kind.kind for kind in kinds()}
    size = {category.category: category.consumers_million * 1e6 for category in categories()}
    out = np.zeros(len(index))
    for row in category_kinds():
        out[index[row.kind]] += row.share * size[row.category]
    return out


def design_kind_kw(seed: int, panel: int = 512) -> NDArray[np.float64]:
    """`kind_mean_kw` of the day for which a grid is sized: the highest of 30 mean-field June evenings.

    Weather of the pack's reference replicate (``panel.yaml``), so that the size of a grid does not hang on one seed's
    weather. Shape (n_kinds, 96). [kW]
    """
    spec = read_yaml("demand/panel")["design"]
    weather = GeneratedWeather(spec["weather_seed"])
    columns, counts = panel_columns(seed, panel), kind_counts()
    days = [kind_mean_kw(seed, date, weather, panel, columns) for date in june_days(spec["year"])]
    evening = slice(*(int(h * DAY_STEPS / 24) for h in spec["evening_h"]))
    peaks = [float((counts @ day)[evening].max()) for day in days]
    return days[int(np.argmax(peaks))]


def june_days(year: int) -> list[dt.date]:
    """The 30 days of June of a year."""
    return [dt.date(year, 6, day) for day in range(1, 31)]


def typical_days(year: int) -> list[tuple[dt.date, int]]:
    """Twelve days that stand for a year: the Wednesday nearest the middle of each month, and the days it stands for."""
    out = []
    for month in range(1, 13):
        first = dt.date(year, month, 1)
        n_days = ((first + dt.timedelta(days=32)).replace(day=1) - first).days
        middle = first.replace(day=15)
        out.append((middle + dt.timedelta(days=(2 - middle.weekday() + 3) % 7 - 3), n_days))
    return out
