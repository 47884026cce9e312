"""Who pays a bill: fully, late, in part or not; drawn for each consumer and month from ``collection.yaml``.

A late bill is paid with the next month's. What was late before the run began is drawn as the month before, at the
first month's bill, so that a short run collects as a long one does. Bills that are never paid stay arrears; whether a
consumer pays in one month says nothing of the next (assumed). A draw is a function of replicate, consumer and month
alone, so arms share it. Money is whole paise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, Strict

from twin import datapack
from twin.streams import Stream, uniforms

FULL, LATE, PARTLY, NEVER = 0, 1, 2, 3
"""What becomes of a bill."""
PER_MILLE = 1000
_FILE = "twin/data/collection.yaml"
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Habits(_Part):
    """Shares of bills that are paid a month late, in part, or never."""

    late: Share
    partly: Share
    never: Share

    def with_unpaid(self, factor: float) -> Habits:
        """Shares paid in part and never multiplied by ``factor``, as far as the three leave room."""
        room = (1.0 - self.late) / (self.partly + self.never) if self.partly + self.never else factor
        used = min(factor, room)
        return Habits(late=self.late, partly=self.partly * used, never=self.never * used)


class Collection(_Part):
    """All that ``collection.yaml`` says."""

    source: str
    marks: Mapping[str, str]
    partly_paid: Share
    subsidy_received: Share
    district_factor: Annotated[float, Field(ge=0)]
    districts: Mapping[str, Annotated[float, Field(ge=0)]]
    prepaid_categories: Annotated[tuple[str, ...], Strict(False)]
    prepaid: Habits
    """Of smart meters in ``prepaid_categories``."""
    categories: Mapping[str, Habits]

    def with_unpaid(self, factor: float) -> Collection:
        """The same habits with the shares of bills paid in part or never multiplied; late ones still come in."""
        if factor == 1.0:
            return self
        scaled = {name: one.with_unpaid(factor) for name, one in self.categories.items()}
        return self.model_copy(update={"prepaid": self.prepaid.with_unpaid(factor), "categories": scaled})


@lru_cache(maxsize=1)
def load_collection() -> Collection:
    """The pack's collection habits.

    Raises
    ------
    DataPackError
        With everything that is wrong in the file.
    """
    return parse_collection(datapack.read_yaml("collection"))


def parse_collection(data: dict[str, Any]) -> Collection:
    """Collection habits from parsed YAML, checked against categories and districts; raises as `load_collection`."""
    return datapack.validated(Collection, data, _FILE, further=_inconsistencies)


def _inconsistencies(collection: Collection) -> Iterator[tuple[datapack.Path, str]]:
    """What types cannot say: (path, problem)."""
    known = {row.category for row in datapack.categories()}
    for name in sorted(known ^ collection.categories.keys()):
        yield ("categories",), f"category '{name}' {'has no row' if name in known else 'does not exist'}"
    districts = {row["name"] for row in datapack.read_records("districts")}
    for name in sorted(collection.districts.keys() - districts):
        yield ("districts",), f"there is no district '{name}'"
    for name in sorted(set(collection.prepaid_categories) - known):
        yield ("prepaid_categories",), f"category '{name}' does not exist"
    highest = max((collection.district_factor, *collection.districts.values()))
    for name, habits in (("prepaid", collection.prepaid), *collection.categories.items()):
        if (whole := highest * (habits.late + habits.partly + habits.never)) > 1.0:
            path = (name,) if name == "prepaid" else ("categories", name)
            yield path, f"shares of bills that are not paid in time add up to {whole:g}, above 1, in a district"


def habit_shares(collection: Collection, category: NDArray, district: NDArray, smart: NDArray) -> NDArray[np.float64]:
    """Shares (never, partly, late) of each consumer's bills, shape (n, 3).

    ``category`` and ``district`` are names, ``smart`` whether the meter is a smart one; shape (n,).
    """
    names, code = np.unique(category.astype(str), return_inverse=True)
    table = np.array([_row(collection.categories[str(name)]) for name in names])
    places, place = np.unique(district.astype(str), return_inverse=True)
    factor = np.array([collection.districts.get(str(name), collection.district_factor) for name in places])
    in_advance = np.array([str(name) in collection.prepaid_categories for name in names])[code] & smart.astype(bool)
    shares = np.where(in_advance[:, None], _row(collection.prepaid), table[code])
    return np.asarray(shares * factor[place][:, None], np.float64)


def _row(habits: Habits) -> tuple[float, float, float]:
    return habits.never, habits.partly, habits.late


def outcomes(seed: int, consumer_id: NDArray[np.int64], month: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """What becomes of each consumer's bill of a month, `FULL` to `NEVER`, shape (n,); one draw decides.

    ``seed`` is the replicate's, ``month`` counts from January 1970.
    """
    drawn = uniforms(seed, Stream.PAYMENT, consumer_id, index=month)
    return np.sum(drawn[:, None] < np.cumsum(shares, axis=1), axis=1)


class Paid(NamedTuple):
    """What comes in each month, and what is owed at its end. Shape (n, months). [paise]"""

    paid: NDArray[np.int64]
    arrears: NDArray[np.int64]
    """Of the run's bills and of what was late when it began."""


def collect(
    due: NDArray[np.int64], consumer_id: NDArray[np.int64], first_month: int, shares: NDArray[np.float64], seed: int,
    partly_paid: float,
) -> Paid:  # fmt: skip
    """Payments of bills of months in a row.

    Parameters
    ----------
    due : int64 array, shape (n, months)
        What each consumer is billed. A bill of nothing or below is settled at once. [paise]
    consumer_id : int64 array, shape (n,)
        Keys of the draws.
    first_month : int
        Month of the first column, counted from January 1970.
    shares : float array, shape (n, 3)
        From `habit_shares`.
    seed : int
        Of the replicate.
    partly_paid : float
        Part of a bill that is paid where it is paid in part; held to a thousandth.
    """
    mille = round(partly_paid * PER_MILLE)
    paid, arrears = np.zeros_like(due), np.zeros_like(due)
    before = outcomes(seed, consumer_id, first_month - 1, shares)
    waiting = np.where(before == LATE, np.maximum(due[:, 0], 0), 0)
    owed = waiting.copy()
    for month in range(due.shape[1]):
        bill = due[:, month]
        happened = np.where(bill > 0, outcomes(seed, consumer_id, first_month + month, shares), FULL)
        in_part = np.where(happened == PARTLY, bill * mille // PER_MILLE, 0)
        paid[:, month] = waiting + np.where(happened == FULL, bill, in_part)
        owed = owed + bill - paid[:, month]
        arrears[:, month] = owed
        waiting = np.where(happened == LATE, bill, 0)
    return Paid(paid, arrears)
