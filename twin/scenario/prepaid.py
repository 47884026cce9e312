"""Settings of prepaid wallets; what a scenario leaves out is the data pack's (``twin/data/wallets.yaml``)."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import Annotated

from pydantic import Field, model_validator

from twin.scenario import names
from twin.scenario.parts import Section

Share = Annotated[float, Field(ge=0, le=1)]


class DebitOutage(Section):
    """Days ``from`` to ``to``, both included, without the batch that debits wallets; the next one debits all of it."""

    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
    cuts_from: date | None = None
    """First day on which relays open again, since none does from the outage's start; left out: the day after it."""

    @model_validator(mode="after")
    def _order(self) -> DebitOutage:
        if self.last < self.first:
            raise names.refuse(f"ends {self.last} before it starts {self.first}", "swap `from` and `to`")
        if self.cuts_from is not None and self.cuts_from <= self.last:
            what = f"cuts_from {self.cuts_from} is not after the last day without debits, {self.last}"
            raise names.refuse(what, "give a later day, or leave it out")
        return self

    @property
    def cuts_again(self) -> date:
        """First day on which relays open again."""
        return self.cuts_from or self.last + timedelta(days=1)


class Recharge(Section):
    """How people recharge. Hazards are probabilities a day."""

    daily_hazard: Share = Field(default_factory=partial(names.default_wallet, "recharge", "daily_hazard"))
    """With a comfortable balance."""
    low_hazard: Share = Field(default_factory=partial(names.default_wallet, "recharge", "low_hazard"))
    """After a low-balance message, connected."""
    off_hazard: Share = Field(default_factory=partial(names.default_wallet, "recharge", "off_hazard"))
    """Once disconnected."""
    days_of_spending: Annotated[float, Field(gt=0, le=366)] = Field(
        default_factory=partial(names.default_wallet, "recharge", "days_of_spending")
    )
    """Median size of a recharge."""


class Prepaid(Section):
    """A share of the smart meters is prepaid: debited every night, cut on a negative balance in the allowed hours."""

    share: Share = Field(default_factory=partial(names.default_wallet, "rules", "prepaid_share"))
    """Of the smart meters in the categories that pay in advance (``collection.yaml``)."""
    emergency_credit_inr: Annotated[float, Field(ge=0, le=1e6)] = Field(
        default_factory=partial(names.default_wallet, "rules", "emergency_credit_inr")
    )
    """A relay opens when the balance is below its negative. [INR]"""
    negative_share: Share = Field(default_factory=partial(names.default_wallet, "start", "negative_share"))
    """Share of wallets below zero on the first day."""
    recharge: Recharge = Field(default_factory=Recharge)
    debit_outage: DebitOutage | None = None
