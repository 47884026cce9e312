"""What the energy that the state takes in costs, hour by hour.

A contracted amount is paid at its average cost whatever happens; the rest is bought at the exchange, and what is left
over is sold there. An added or shifted MWh is therefore priced at the exchange price of its hour, never at the average.
The value of capacity at the peak is a figure of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from twin.datapack import read_yaml, validated
from twin.economics.tariffs import Number, UncertainNumber, numbers_of
from twin.hours import holds, minutes_of
from twin.units import KW_PER_MW, MINUTES_PER_DAY

_BANDS = ("morning", "day", "evening", "night")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_text_keys(value: Any) -> Any:
    return {str(key): part for key, part in value.items()} if isinstance(value, dict) else value


class Contracted(_Part):
    """Energy bought under contracts: cost, and how much of the mean intake it is."""

    inr_per_kwh: Number
    share_of_mean: Number
    mean_mw: Number


class ExchangeDay(_Part):
    """Day-ahead prices of one day: its mean and the means of four bands. [INR/kWh]"""

    mean: Number
    morning: Number | None
    day: Number | None
    evening: Number | None
    night: Number | None

    @model_validator(mode="after")
    def _at_most_one_gap(self) -> ExchangeDay:
        if sum(getattr(self, band) is None for band in _BANDS) > 1:
            raise ValueError("only one band can be worked out from the mean")
        return self


class Season(_Part):
    """Months that share a shape (the average of normalised days) and a level over the year."""

    months: Annotated[tuple[int, ...], BeforeValidator(_as_tuple)]
    days: Annotated[tuple[str, ...], BeforeValidator(lambda value: tuple(str(name) for name in value))]
    level: Number


class Exchange(_Part):
    """Prices at the exchange by season and band of the day."""

    year_inr_per_kwh: Number
    cap_inr_per_kwh: Number
    bands: Mapping[str, str]
    days: Annotated[Mapping[str, ExchangeDay], BeforeValidator(_as_text_keys)]
    seasons: Mapping[str, Season]

    @model_validator(mode="after")
    def _complete(self) -> Exchange:
        if tuple(self.bands) != _BANDS:
            raise ValueError(f"bands must be {', '.join(_BANDS)}")
        if sum(end - start for start, end in map(minutes_of, self.bands.values())) != MINUTES_PER_DAY:
            raise ValueError("bands must fill the day")
        if sorted(month for season in self.seasons.values() for month in season.months) != list(range(1, 13)):
            raise ValueError("seasons must hold every month once")
        if unknown := {day for season in self.seasons.values() for day in season.days} - self.days.keys():
            raise ValueError(f"no such day: {', '.join(sorted(unknown))}")
        return self


class Capacity(_Part):
    """Value of a kW less at the yearly peak. [INR/kW and year]"""

    inr_per_kw_year: Number


class Purchase(_Part):
    """All that ``twin/data/purchase.yaml`` says. Frozen."""

    contracted: Contracted
    exchange: Exchange
    capacity: Capacity

    @property
    def contracted_mw(self) -> float:
        """Contracted power of the whole state, at all hours. [MW]"""
        return self.contracted.share_of_mean.value * self.contracted.mean_mw.value


@lru_cache(maxsize=1)
def load_purchase() -> Purchase:
    """The purchase data of the pack.

    Raises
    ------
    DataPackError
        With everything that is wrong in the file.
    """
    return validated(Purchase, read_yaml("purchase"), "twin/data/purchase.yaml")


def assumed_purchase_numbers(purchase: Purchase) -> list[UncertainNumber]:
    """Every number of the purchase data that is not `found`: (name, value, confidence, source)."""
    found: Iterator[tuple[tuple[Any, ...], Number]] = numbers_of(purchase)
    return [
        UncertainNumber("purchase." + ".".join(map(str, path)), part.value, part.confidence, part.source)
        for path, part in found
        if part.confidence != "found"
    ]


def band_shape(exchange: Exchange, day: ExchangeDay) -> NDArray[np.float64]:
    """Price of the four bands over the day's mean, of which one missing band follows; hour-weighted mean 1."""
    hours = np.array([(end - start) / 60 for start, end in map(minutes_of, exchange.bands.values())])
    parts = [getattr(day, band) for band in _BANDS]
    price = np.array([np.nan if part is None else part.value for part in parts])
    known = ~np.isnan(price)
    rest = day.mean.value * hours.sum() - float(np.sum(price[known] * hours[known]))
    price[~known] = rest / hours[~known]
    return price * hours.sum() / float(np.sum(price * hours))


def month_shape(purchase: Purchase, on: date) -> NDArray[np.float64]:
    """Day-ahead price of each band over the day's mean in the season of a day; hour-weighted mean 1. Shape (4,)."""
    exchange = purchase.exchange
    season = next(part for part in exchange.seasons.values() if on.month in part.months)
    return np.asarray(np.mean([band_shape(exchange, exchange.days[name]) for name in season.days], axis=0))


def exchange_price(purchase: Purchase, on: date, steps: int) -> NDArray[np.float64]:
    """Exchange price of each step of a day, shape (steps,). [INR/kWh]

    ``year mean * level of the season * mean over the season's days of (band / day mean)``, no higher than the cap. A
    step that two bands share goes to the one that holds its start.
    """
    exchange = purchase.exchange
    season = next(part for part in exchange.seasons.values() if on.month in part.months)
    shape = month_shape(purchase, on)
    level = exchange.year_inr_per_kwh.value * season.level.value
    minutes = [step * MINUTES_PER_DAY // steps for step in range(steps)]
    windows = list(exchange.bands.values())
    band = [next(k for k, hours in enumerate(windows) if holds(hours, minute)) for minute in minutes]
    return np.minimum(level * shape, exchange.cap_inr_per_kwh.value)[band]


def purchase_inr(
    sent_mw: NDArray[np.float64], on: date, purchase: Purchase, contracted_mw: float | None = None
) -> NDArray[np.float64]:
    """Cost of the energy taken in, for each step of a day.

    ``(contracted * average cost + (sent - contracted) * exchange price) * hours of a step``

    Parameters
    ----------
    sent_mw : array, shape (..., steps)
        Power taken in at the state's boundary, so that all losses below are in it. [MW]
    on : date
        The day.
    purchase : Purchase
        From `load_purchase`.
    contracted_mw : float, optional
        Contracted power; by default that of the whole state. It must be the same for all arms that are compared. [MW]

    Returns
    -------
    cost_inr : array, shape (..., steps)
        Falls below zero where more is sold than bought. [INR]

    Notes
    -----
    Contracted power is flat and firm: no unit is backed down, and all of the surplus finds a buyer at the exchange
    price, which does not react to Bihar (both assumed).
    """
    steps = sent_mw.shape[-1]
    fixed = purchase.contracted_mw if contracted_mw is None else contracted_mw
    kwh_per_mw = KW_PER_MW * 24 / steps
    price = exchange_price(purchase, on, steps)
    return (fixed * purchase.contracted.inr_per_kwh.value + (sent_mw - fixed) * price) * kwh_per_mw
