"""Price response of a shard's consumers: which arm reaches whom, at what prices, with what factors.

A month is in one of three states (`twin.economics.prices`): within the free block, over a period's limit of it, above
it. Each state has its prices before (first arm) and after (the arm); the response to them is a constant-elasticity
substitution between zones plus a daily elasticity (`twin.demand.response`). The factors are weighted by the probability
of each state at the month's end, not the prices: ``factor = sum over states of pi_s * CES(p0_s, p1_s)``.
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.response import ces_factors, consumer_elasticities, probabilities_over
from twin.economics.arms import CriticalPeak, PeakRebate
from twin.economics.billing import BillColumns
from twin.economics.prices import above_block_prices, consumer_state_prices, plans, state_price_table
from twin.economics.rates import FREE_PER_PERIOD, FREE_RULE, FREE_WH, RateTable
from twin.scenario.arms import Behaviour
from twin.simulation.behaviour import ArmBehaviour
from twin.simulation.plan import PointPlan, month_end
from twin.simulation.population import Consumers
from twin.units import MINUTES_PER_DAY, WH_PER_KWH

if TYPE_CHECKING:
    from twin.simulation.meter_state import MeterState

BASELINE = 0
WITHIN, OVER, ABOVE = 0, 1, 2


class Response:
    """The response of one replicate. Consumers whom no arm's price change reaches have a factor of exactly 1."""

    def __init__(
        self, plan: PointPlan, consumers: Consumers, smart: NDArray[np.bool_], parameters: dict[str, float],
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.plan, self.consumers, self.smart, self.parameters, self.seed = plan, consumers, smart, parameters, seed
        priors = read_yaml("priors")
        self.max_shift = float(priors["max_shift_frac"])
        self.price_floor_inr = float(priors["price_floor_inr_per_kwh"])
        self.forecast_cv = float(priors["forecast_cv"])
        self.full_notice_h = float(priors["full_notice_hours"])
        self.on_tariff: dict[int, NDArray[np.int8]] = {}
        """Worlds whose consumers are not all on the world's own arm: whose tariff each is on. Shape (n,)."""
        self.expected_day_kwh: NDArray[np.float64] | None = None
        """Mean-field energy of a normal day of the month, by zone; set before each block. Shape (n, n_zones)."""
        self._rates: dict[tuple[int, int, int], RateTable] = {}
        self._state_prices: dict[tuple[int, int, int], NDArray[np.float64]] = {}
        self._substitution: dict[int, NDArray[np.float64]] = {}

    @cached_property
    def columns(self) -> BillColumns:
        """What bills hang on. Like the elasticities it is reckoned when an arm's prices first ask for it."""
        return self.consumers.bill_columns(self.smart)

    @cached_property
    def elasticities(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Substitution between zones, and elasticity of the day's energy. Each of shape (n,)."""
        return consumer_elasticities(self.consumers.traits, self.parameters)

    def substitution(self, arm: int) -> NDArray[np.float64]:
        """Elasticity of substitution of each consumer under an arm's behaviour. Shape (n,)."""
        if arm not in self._substitution:
            factor = self.behaviour(arm).substitution_factor(self.consumers, self.seed)
            plain = self.elasticities[0]
            self._substitution[arm] = plain if factor is None else plain * factor
        return self._substitution[arm]

    def behaviour(self, arm: int) -> ArmBehaviour:
        """How the response to an arm's tariff comes about."""
        settings = self.plan.scenario.arms[arm].behaviour or Behaviour()
        return ArmBehaviour(settings, self.parameters, self.plan.tariff_start)

    def groups(self, world: int, rows: slice | NDArray[np.int64]) -> list[tuple[int, slice | NDArray[np.int64]]]:
        """Some consumers by the arm whose tariff they are on in a world: arms, and positions within ``rows``."""
        if world not in self.on_tariff:
            return [(world, slice(None))]
        on = self.on_tariff[world][rows]
        return [(int(arm), np.flatnonzero(on == arm)) for arm in np.unique(on)]

    def reaches(self, world: int) -> bool:
        """Does a world's tariff, or one of its tariffs, change anybody's prices?"""
        arms = range(len(self.plan.tariff_arms)) if world == self.plan.pilot_world else (world,)
        return any(arm != BASELINE and self.plan.arm_tariffs[arm].settings.changes_anything for arm in arms)

    def rates(self, arm: int, date: dt.date) -> RateTable:
        """Rates of an arm in a date's month."""
        key = (arm, date.year, date.month)
        if key not in self._rates:
            self._rates[key] = self.plan.rates(arm, date)
            self._state_prices[key] = state_price_table(self._rates[key])
        return self._rates[key]

    def factors(
        self, world: int, date: dt.date, rows: slice, base_kwh: NDArray[np.float64], meters: MeterState
    ) -> NDArray[np.float64]:
        """Factor on demand of each consumer and zone for a day.

        Parameters
        ----------
        world : int
            The arm, or the pilot's world.
        date : date
            The day.
        rows : slice
            Which consumers.
        base_kwh : array, shape (n_rows, n_zones)
            Their demand of the day before response. [kWh]
        meters : MeterState
            Month to date.

        Returns
        -------
        factors : array, shape (n_rows, n_zones)
            1 where an arm does not reach, or changes no price.
        """
        factors = np.ones_like(base_kwh)
        for arm, own in self.groups(world, rows):
            rates, base_rates = self.rates(arm, date), self.rates(BASELINE, date)
            positions = np.arange(len(base_kwh))[own]
            chosen = positions[self.reached(base_rates, rates, rows_of(rows_of(self.columns, rows), own))]
            if arm != BASELINE and len(chosen):
                to_date = meters.kwh[world][chosen + rows.start]
                factors[chosen] = self._reached_factors(arm, date, chosen + rows.start, base_kwh[chosen], to_date)
        return factors

    def reached(self, base_rates: RateTable, rates: RateTable, columns: BillColumns) -> NDArray[np.bool_]:
        """Whose rates differ between the baseline and an arm. Shape (n,)."""
        before, after = np.empty(len(columns.category), np.uint8), np.empty(len(columns.category), np.uint8)
        plans(base_rates, columns, before)
        plans(rates, columns, after)
        return ~same_rates(base_rates, rates)[columns.category, before, after]

    def _reached_factors(
        self, arm: int, date: dt.date, rows: NDArray[np.int64], base_kwh: NDArray[np.float64],
        to_date: NDArray[np.float64],
    ) -> NDArray[np.float64]:  # fmt: skip
        """`factors` of consumers whose rates change, shape (n_rows, n_zones)."""
        columns, behaviour = rows_of(self.columns, rows), self.behaviour(arm)
        rest = self._expected_rest(date, rows)
        before = self._prices(BASELINE, date, columns, to_date + rest)
        after = self._prices(arm, date, columns, to_date + rest)
        known = self._known_prices(arm, date, after)
        weight = self._state_weights(self.rates(arm, date), columns, to_date, rest)
        total = np.zeros_like(base_kwh)
        for share, prices in known:
            self._add_response(share, arm, rows, base_kwh, before, prices, weight, total)
        total[np.all([np.all(before == prices, axis=(0, 2)) for _, prices in known], axis=0)] = 1.0
        if behaviour.settings.snap_back and date in self.plan.zones.event_days:
            usual = np.zeros_like(base_kwh)
            self._add_response(1.0, arm, rows, base_kwh, before, self._without_event(after), weight, usual)
            behaviour.snap_back(self.plan.zones, date, self._events(arm), base_kwh, usual, total)
        return behaviour.learned(date, total)

    def _add_response(
        self, share: float, arm: int, rows: NDArray[np.int64], base_kwh: NDArray[np.float64],
        before: NDArray[np.float64], after: NDArray[np.float64], weight: NDArray[np.float64],
        total: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Add ``share`` of the response to prices by state of the month, shape (3, n, n_zones), to factors."""
        factor, own_row = np.zeros_like(base_kwh), np.arange(len(base_kwh))
        sigma, daily = self.substitution(arm)[rows], self.elasticities[1][rows]
        for state in (WITHIN, OVER, ABOVE):
            ces_factors(
                base_kwh, before[state], after[state], own_row, sigma, daily, self.max_shift, self.price_floor_inr,
                factor,
            )  # fmt: skip
            total += share * weight[state][:, None] * factor

    def _events(self, arm: int) -> tuple[CriticalPeak | PeakRebate, ...]:
        """What calls events in an arm."""
        return self.plan.arm_tariffs[arm].settings.events

    def _known_prices(
        self, arm: int, date: dt.date, after: NDArray[np.float64]
    ) -> list[tuple[float, NDArray[np.float64]]]:
        """Prices of an arm, by the share of its response that follows them.

        Of an event called ``notice`` hours ahead a share ``min(1, notice / full notice)`` of the response comes in
        time, less what consumers are tired of; the rest is the response to a day without the event.
        """
        called = [part for part in self._events(arm) if date in part.dates]
        share = min([1.0, *(part.notice_hours / self.full_notice_h for part in called)])
        share *= self.behaviour(arm).not_tired(date, called)
        if share == 1.0:
            return [(1.0, after)]
        return [(share, after), (1.0 - share, self._without_event(after))]

    def _without_event(self, after: NDArray[np.float64]) -> NDArray[np.float64]:
        """Prices, shape (3, n, n_zones), with those of a usual day in event hours."""
        zones = self.plan.zones
        begin = [zones.first_minute(zone) * zones.steps // MINUTES_PER_DAY for zone in range(zones.n_zones)]
        return np.ascontiguousarray(after[:, :, zones.zone_of_step[begin]])

    def _prices(
        self, arm: int, date: dt.date, columns: BillColumns, month_kwh: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Seen prices by state of the month for each consumer's own plan, shape (3, n, n_zones). [INR/kWh]

        Above the block it is the exact derivative of the bill at the forecast month, or one forecast deviation above
        the block where that is more: plain free units reduce every period in proportion, which dilutes the spread.
        """
        rates = self.rates(arm, date)
        prices = consumer_state_prices(rates, columns, self._state_prices[arm, date.year, date.month])
        month_wh = np.rint(month_kwh * WH_PER_KWH).astype(np.int64)
        prices[ABOVE] = above_block_prices(rates, columns, month_wh, self.forecast_cv)
        return prices

    def _expected_rest(self, date: dt.date, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Expected rest of the month, this day included, by zone, shape (n, n_zones). [kWh]"""
        assert self.expected_day_kwh is not None, "the world must set the expected day first"
        return self.expected_day_kwh[rows] * (month_end(date).day - date.day + 1)

    def _state_weights(
        self, rates: RateTable, columns: BillColumns, to_date: NDArray[np.float64], rest: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Probabilities of the three states at the month's end, shape (3, n); they add to 1."""
        free = rates.by_category[columns.category, FREE_WH] / WH_PER_KWH
        above = self._chance(to_date.sum(axis=1), rest.sum(axis=1), free)
        above = np.where(free > 0, above, 1.0)
        over = np.zeros_like(above)
        for group, limit_wh in enumerate(rates.limit_wh):
            zones = rates.limit_group == group
            limit = np.full(len(above), limit_wh / WH_PER_KWH)
            chance = self._chance(to_date[:, zones].sum(axis=1), rest[:, zones].sum(axis=1), limit)
            over = np.maximum(over, chance)
        # Within the block in total but over a period's limit: what is left of 1 bounds it.
        over = np.minimum(over, 1.0 - above)
        return np.stack([1.0 - above - over, over, above])

    def _chance(
        self, to_date: NDArray[np.float64], rest: NDArray[np.float64], limit: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Probability that a month's energy passes a limit, shape (n,). Arguments in kWh."""
        out = np.zeros(len(limit))
        probabilities_over(to_date, rest, limit, self.forecast_cv, out)
        return out


def same_rates(base: RateTable, arm: RateTable) -> NDArray[np.bool_]:
    """Does a category on a plan of ``base`` pay as on a plan of ``arm``, whatever its use? Shape (C, plans, plans)."""

    def by_plan(rates: RateTable) -> NDArray[np.int64]:
        parts = (rates.by_plan[:, :, FREE_RULE:], rates.gross_rate, rates.subsidy_rate, rates.multiplier)
        return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)

    same = (by_plan(base)[:, :, None] == by_plan(arm)[:, None]).all(axis=3)
    same &= (base.by_category == arm.by_category).all(axis=1)[:, None, None]
    same &= (base.slab_end_wh == arm.slab_end_wh).all(axis=1)[:, None, None]
    if not (np.array_equal(base.limit_group, arm.limit_group) and np.array_equal(base.limit_wh, arm.limit_wh)):
        same &= (arm.by_plan[:, :, FREE_RULE] != FREE_PER_PERIOD)[:, None]
        same &= (base.by_plan[:, :, FREE_RULE] != FREE_PER_PERIOD)[:, :, None]
    return same


def rows_of(columns: BillColumns, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> BillColumns:
    """The billing columns of some consumers."""
    return BillColumns(
        category=np.ascontiguousarray(columns.category[rows]),
        sanctioned_kw=np.ascontiguousarray(columns.sanctioned_kw[rows]),
        contract_kva=np.ascontiguousarray(columns.contract_kva[rows]),
        flags=np.ascontiguousarray(columns.flags[rows]),
        power_factor=np.ascontiguousarray(columns.power_factor[rows]),
    )
