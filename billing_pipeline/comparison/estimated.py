"""What an estimate says: amounts in minor units of the customer's currency, quantities in the meters' units."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from billing_pipeline.comparison.rules.allowances import Allowance


@dataclass(frozen=True, slots=True)
class EstimatedLine:
    """A line as the invoice would have it; `quantity` is what was used, before anything that the price includes.

    `kind`: as on an invoice, and `adjustment` for a charge or credit that waits for the next invoice.
    """

    meter: str
    dimensions: str
    kind: str
    description: str
    quantity: Decimal
    amount_minor: int


@dataclass(frozen=True, slots=True)
class EstimatedBill:
    """An invoice that is not one: `total_minor` is the sum of its lines.

    `allowances`: what its prices include, and how much of that is used; none in a trial, which includes everything.
    """

    total_minor: int
    lines: list[EstimatedLine]
    allowances: list[Allowance] = field(default_factory=list)

    def used(self, meter: str) -> Decimal:
        """A meter's quantity, of all its dimensions together."""
        own = (line.quantity for line in self.lines if line.meter == meter and line.kind == "usage")
        return sum(own, Decimal(0))


@dataclass(frozen=True, slots=True)
class SetAside:
    """Usage of the period that would not be billed, and why."""

    meter: str
    dimensions: str
    quantity: Decimal
    event_count: int
    reason: str


@dataclass(frozen=True, slots=True)
class DayQuantity:
    """A meter's quantity of one day, under its aggregation."""

    meter: str
    dimensions: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class EstimatedDay:
    """A day in the customer's time zone: what was used on it, and the invoice had the period ended with it."""

    day: date
    accrued_minor: int
    quantities: list[DayQuantity]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A period that no final invoice bills.

    `accrued` is the invoice if the period ended now. `projected` is the invoice at its end if the last 7 days go on;
    `low_minor` to `high_minor` are that one and the one by the last 28 days. All are the same once the period ended.
    `feed_complete_through` is how far the usage feed is complete; None: nobody ever said.
    """

    customer_id: str
    currency: str
    billing_month: date
    start_date: date
    end_date: date
    timezone: str
    period_start: datetime
    period_end: datetime
    as_of: datetime
    feed_complete_through: datetime | None
    ended: bool
    accrued: EstimatedBill
    projected: EstimatedBill
    low_minor: int
    high_minor: int
    set_aside: list[SetAside] = field(default_factory=list)
    days: list[EstimatedDay] = field(default_factory=list)
