"""Numbers as the report prints them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.report import numbers

MINUS, NBSP = numbers.MINUS, numbers.NBSP


@pytest.mark.parametrize(
    ("half_width", "decimals"),
    [(1.5, 1), (0.15, 2), (2.4, 0), (0.3, 1), (31.0, -1), (12.0, 0), (160.0, -1), (9.6e-4, 4)],
)
def test_half_width_keeps_one_figure_or_two_if_it_starts_with_one(half_width: float, decimals: int) -> None:
    assert numbers.decimals_for_width(half_width) == decimals


@pytest.mark.parametrize("half_width", [0.0, -1.0, float("nan"), float("inf")])
def test_half_width_must_be_positive(half_width: float) -> None:
    with pytest.raises(ValueError, match="half-width"):
        numbers.decimals_for_width(half_width)


def test_value_has_the_place_of_its_interval() -> None:
    decimals = numbers.decimals_for(-2.41, -3.93, -0.94)
    assert numbers.number(-2.41, decimals) == f"{MINUS}2.4"
    assert numbers.span(-3.93, -0.94, decimals, "%") == f"{MINUS}3.9 to {MINUS}0.9{NBSP}%"


def test_interval_that_leaves_zero_out_is_seen_to() -> None:
    decimals = numbers.decimals_for(-2.3, -4.6, -0.4)
    assert numbers.span(-4.6, -0.4, decimals) == f"{MINUS}4.6 to {MINUS}0.4"


def test_prose_never_has_more_than_three_figures() -> None:
    assert numbers.decimals_for(12345.0, 12344.0, 12346.0) == -2


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (8305.2, 0, "8,305"),
        (99999, 0, "99,999"),
        (123456, 0, "1,23,456"),
        (1234567.891, 2, "12,34,567.89"),
        (-0.04, 1, "0.0"),
        (-1234.5, 1, f"{MINUS}1,234.5"),
        (193.0, -1, "190"),
        (0.966, 2, "0.97"),
    ],
)
def test_grouping_sign_and_zero(value: float, decimals: int, text: str) -> None:
    assert numbers.number(value, decimals) == text


def test_sign_is_written_when_asked_and_never_for_zero() -> None:
    assert numbers.number(9.0, 0, signed=True) == "+9"
    assert numbers.number(0.0, 1, signed=True) == "0.0"


@pytest.mark.parametrize(
    ("value", "indian", "western"),
    [
        (8305, "8,305", ""),
        (250_726, f"2.51{NBSP}lakh", "251,000"),
        (1_640_000, f"16.4{NBSP}lakh", f"1.64{NBSP}million"),
        (16_400_000, f"1.64{NBSP}crore", f"16.4{NBSP}million"),
        (212_000_000, f"21.2{NBSP}crore", f"212{NBSP}million"),
    ],
)
def test_lakh_and_crore_carry_their_western_form(value: float, indian: str, western: str) -> None:
    assert numbers.count(value) == numbers.Amount(indian, western)
    assert numbers.count(value).both() == (f"{indian} ({western})" if western else indian)


@pytest.mark.parametrize(
    ("inr", "half_width", "indian", "western"),
    [
        (-4.1e8, 1.2e8, f"{MINUS}Rs{NBSP}41{NBSP}crore", f"{MINUS}Rs{NBSP}410{NBSP}million"),
        (9e7, 2e7, f"+Rs{NBSP}9{NBSP}crore", f"+Rs{NBSP}90{NBSP}million"),
        (3.797e10, 4e7, f"+Rs{NBSP}3,800{NBSP}crore", f"+Rs{NBSP}38.0{NBSP}billion"),
        (4.12e5, None, f"+Rs{NBSP}4.1{NBSP}lakh", f"+Rs{NBSP}410,000"),
        (-212.5, None, f"{MINUS}Rs{NBSP}212", ""),
        (0.97, 0.01, f"+Rs{NBSP}0.97", ""),
    ],
)
def test_rupees(inr: float, half_width: float | None, indian: str, western: str) -> None:
    assert numbers.rupees(inr, half_width, signed=True) == numbers.Amount(indian, western)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.884, "88"), (0.0412, "4.1"), (1.0, "100"), (0.0, "0"), (0.0004, f"under{NBSP}0.1"), (0.9991, f"over{NBSP}99")],
)
def test_shares_are_whole_or_one_decimal_and_never_lie_at_the_ends(share: float, text: str) -> None:
    assert numbers.share(share) == f"{text}{NBSP}%"


def test_ledger_style() -> None:
    assert numbers.scientific(3.14e-7) == f"3.1e{MINUS}7"
    assert numbers.scientific(0.0) == "0"


@given(st.floats(-1e12, 1e12, allow_nan=False), st.integers(-3, 4))
def test_number_reads_back_to_the_rounded_value(value: float, decimals: int) -> None:
    text = numbers.number(value, decimals).replace(",", "").replace(MINUS, "-")
    assert float(text) == pytest.approx(round(value, decimals), abs=10.0 ** -max(decimals, 0) * 0.51)
