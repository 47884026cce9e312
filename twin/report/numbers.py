"""Numbers as a reader meets them: digits no finer than the interval allows, lakh and crore, real minus signs.

Every number printed in prose, tiles and charts of the report passes through here; CSV files hold full precision. Its
words (lakh, to, Rs) are the catalogue's: English, unless a page is being written in another language (`spoken`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import NamedTuple

from twin.report.catalogue import Catalogue

MINUS = "\u2212"
NBSP = "\u00a0"
LAKH = 1e5
CRORE = 1e7
MILLION = 1e6
BILLION = 1e9
PROSE_FIGURES = 3

_SPEAKS: ContextVar[Catalogue | None] = ContextVar("catalogue of the page being written", default=None)


@contextmanager
def spoken(catalogue: Catalogue) -> Iterator[None]:
    """Numbers formatted inside use this catalogue's words. One page has one language, a hundred places have numbers."""
    token = _SPEAKS.set(catalogue)
    try:
        yield
    finally:
        _SPEAKS.reset(token)


@lru_cache(maxsize=1)
def _english() -> Catalogue:
    return Catalogue()


def _word(key: str, **values: str) -> str:
    return (_SPEAKS.get() or _english()).text(f"number.{key}", **values)


class Amount(NamedTuple):
    """A quantity in Indian form and, from one lakh up, in Western form (empty below)."""

    indian: str
    western: str

    def both(self) -> str:
        """``1.64 crore (16.4 million)``, or the plain number below one lakh."""
        return _word("both", indian=self.indian, western=self.western) if self.western else self.indian


def decimals_for_width(half_width: float) -> int:
    """Decimals at which an interval of this half-width is printed; negative means tens, hundreds.

    The half-width keeps one significant figure, two if it starts with 1.
    """
    if not half_width > 0 or not math.isfinite(half_width):
        raise ValueError(f"half-width must be positive and finite, got {half_width}")
    mantissa, exponent = f"{half_width:.9e}".split("e")
    return (1 if mantissa.startswith("1") else 0) - int(exponent)


def decimals_for_figures(value: float, figures: int = PROSE_FIGURES) -> int:
    """Decimals at which ``value`` keeps ``figures`` significant figures."""
    if value == 0 or not math.isfinite(value):
        return 0
    exponent = int(f"{value:.{figures - 1}e}".split("e")[1])
    return figures - 1 - exponent


def decimals_for(value: float, low: float | None, high: float | None) -> int:
    """Decimals of a value with its interval, or without one (two figures); never above three figures of the value.

    One more decimal where the nearer end would read as zero without being zero: an interval that leaves zero out must
    be seen to.
    """
    most = decimals_for_figures(max(abs(value), abs(low or 0.0), abs(high or 0.0)))
    if low is None or high is None:
        return decimals_for_figures(value, 2)
    half_width = (high - low) / 2
    if half_width <= 0:
        return most
    decimals = decimals_for_width(half_width)
    if low * high > 0 and round(min(abs(low), abs(high)), decimals) == 0:
        decimals += 1
    return min(most, decimals)


def number(value: float, decimals: int = 0, signed: bool = False) -> str:
    """Grouped digits: thousands below one lakh, Indian groups (12,34,567) from there; U+2212 as minus."""
    rounded = round(value, decimals)
    text = f"{abs(rounded):.{max(decimals, 0)}f}"
    whole, _, fraction = text.partition(".")
    grouped = _group_indian(whole) + (f".{fraction}" if fraction else "")
    if rounded == 0:
        return grouped
    return (MINUS if rounded < 0 else "+" if signed else "") + grouped


def _group_indian(digits: str) -> str:
    head, tail = digits[:-3], digits[-3:]
    pairs: list[str] = []
    while head:
        pairs.insert(0, head[-2:])
        head = head[:-2]
    return ",".join([*pairs, tail])


def with_unit(text: str, unit: str) -> str:
    """Number and unit, never parted at a line end."""
    return f"{text}{NBSP}{unit}" if unit else text


def span(low: float, high: float, decimals: int, unit: str = "", signed: bool = False) -> str:
    """A range ``low to high`` in the order of sign, the unit once."""
    first, last = sorted((low, high))
    return with_unit(_word("span", low=number(first, decimals, signed), high=number(last, decimals, signed)), unit)


def percent(value: float, low: float | None = None, high: float | None = None, signed: bool = False) -> str:
    """A percentage, with the digits its interval allows."""
    return with_unit(number(value, decimals_for(value, low, high), signed), "%")


def share(fraction: float) -> str:
    """A share of 0 to 1 as per cent: whole, or one decimal under 10. Never rounds to 0 or 100 unless it is."""
    value = fraction * 100
    if 0 < value < 0.1:
        return _word("under", value=f"0.1{NBSP}%")
    if 99.5 <= value < 100:
        return _word("over", value=f"99{NBSP}%")
    return with_unit(number(value, 1 if 0 < value < 9.95 else 0), "%")


def count(value: float) -> Amount:
    """A count: three figures in crore or lakh with the Western form, whole digits below one lakh."""
    if abs(value) < LAKH:
        return Amount(number(value), "")
    if abs(value) >= CRORE:
        return Amount(_scaled(value, CRORE, _word("crore")), _scaled(value, MILLION, _word("million")))
    western = _scaled(value, MILLION, _word("million")) if abs(value) >= MILLION else f"{round(value, -3):,.0f}"
    return Amount(_scaled(value, LAKH, _word("lakh")), western)


def quantity(value: float, unit: str) -> str:
    """A whole amount with its unit: lakh and crore words from one lakh up, digits below; three figures below 1."""
    if 0 < abs(value) < 1:
        return with_unit(number(value, decimals_for_figures(value)), unit)
    return with_unit(count(value).indian, unit)


def _scaled(value: float, unit: float, word: str) -> str:
    scaled = value / unit
    return with_unit(number(scaled, min(max(decimals_for_figures(scaled), 0), 2)), word)


def rupees(inr: float, half_width: float | None = None, signed: bool = False) -> Amount:
    """Money: crore, lakh or plain rupees, with the digits ``half_width`` allows (two figures without one)."""
    size = abs(inr)
    decimals = _money_decimals(inr, half_width)
    sign = MINUS if round(inr, decimals) < 0 else "+" if signed and round(inr, decimals) > 0 else ""
    sign += f"{_word('rupees')}{NBSP}"
    if size < LAKH:
        return Amount(sign + number(size, max(min(decimals, 2), 0 if size >= 100 else 2)), "")
    unit, name = (CRORE, "crore") if size >= CRORE else (LAKH, "lakh")
    indian = _money(size, decimals, unit, _word(name))
    if size >= BILLION:
        western = _money(size, decimals, BILLION, _word("billion"))
    elif size >= MILLION:
        western = _money(size, decimals, MILLION, _word("million"))
    else:
        western = f"{round(size, min(decimals, 0)):,.0f}"
    return Amount(sign + indian, sign + western)


def _money_decimals(inr: float, half_width: float | None) -> int:
    if half_width is not None and half_width > 0:
        return min(decimals_for_width(half_width), decimals_for_figures(inr))
    return decimals_for_figures(inr, 2)


def _money(size: float, decimals: int, unit: float, word: str) -> str:
    places = decimals + round(math.log10(unit))
    return with_unit(number(size / unit, places), word)


def scientific(value: float) -> str:
    """``3.1e-7``: the style of the ledger, where powers of ten are the message."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
