"""What a price book says, as plain values. Not here: checks (`price_book_reader`), arithmetic (`rating`)."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal, get_args

Aggregation = Literal["constant", "sum", "count", "unique", "last", "max", "time_weighted"]
Model = Literal["flat", "per_unit", "graduated", "volume", "package"]

AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
LEVELS: tuple[Aggregation, ...] = ("last", "max", "time_weighted")
Events = Literal["levels", "deltas"]
EVENTS: tuple[Events, ...] = get_args(Events)
Prorate = Literal["days", "none"]
PRORATE: tuple[Prorate, ...] = get_args(Prorate)
Lines = Literal["merged"]
LINES: tuple[Lines, ...] = get_args(Lines)
Scope = Literal["combination", "meter"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MODELS: tuple[Model, ...] = get_args(Model)
TermKind = Literal["commitment", "discount"]


@dataclass(frozen=True, slots=True)
class Meter:
    """Something measured: how its events become a quantity, and its usage's dimensions, in order.

    `property`: of `unique`, whose distinct values it counts. `events` "deltas": of a level, an event says by how much
    it changes; None or "levels": the new level.
    """

    name: str
    aggregation: Aggregation
    dimensions: tuple[str, ...] = ()
    unit: str | None = None
    property: str | None = None
    events: Events | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one unit (package; for `flat` the whole), for one combination of dimension values.

    `dimensions` has every dimension of the meter, or none: then it holds for every combination.
    """

    amount: Decimal
    dimensions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tier:
    """A rate for the quantities up to and including `up_to`; None for the last tier, which is open-ended.

    `flat_amount`: what reaching the tier costs, once, beside its units.
    """

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TierRate:
    """The tiers for one combination of dimension values, every dimension of the meter."""

    tiers: tuple[Tier, ...]
    dimensions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Price:
    """How one meter is priced: `tiers` or `tier_rates` for graduated and volume, else `rates`; in whole currency units.

    `included` is the allowance per period and combination, `minimum` the least that a period with any usage
    costs, `maximum` the most; both of the whole meter. `scope` "meter": the allowance, tiers and packages are counted
    across all combinations; "combination": minimum and maximum are of each. `pool`: the allowance is one for all prices
    of the list that name it. `prorate` "none": a constant meter costs the whole amount in a short period too, not its
    share by days.
    `lines` "merged": what an invoice has of the meter at one unit price is one line, of no dimensions, rounded once.
    """

    meter: str
    model: Model
    rates: tuple[Rate, ...] = ()
    tiers: tuple[Tier, ...] = ()
    package_size: Decimal | None = None
    included: Decimal = Decimal(0)
    minimum: Decimal | None = None
    description: str | None = None
    prorate: Prorate | None = None
    lines: Lines | None = None
    tier_rates: tuple[TierRate, ...] = ()
    maximum: Decimal | None = None
    scope: Scope | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class Retired:
    """A meter that is no longer priced on purpose; with `dimensions`, one of its rates only."""

    meter: str
    dimensions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class BookTerm:
    """A commitment or a discount of a version: see `terms.Term`."""

    kind: TermKind
    name: str
    customer_id: str | None = None
    plan: str | None = None
    meters: tuple[str, ...] | None = None
    amount: Decimal | None = None
    percent: Decimal | None = None
    prorate: Prorate | None = None
    description: str | None = None
    until_on: date | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """The prices of all periods that start on or after `effective_from`, until the next version's.

    `prices` hold for everybody, `plans` instead of them for whose contract names the plan, `customers` instead of both.
    `retired`: what had a price in an earlier version and has none from this one on, on purpose.
    `trials`: days of trial with which a contract begins that starts on the plan.
    `notices_off`: kinds of notices that no customer of the book is mailed while the version is in force.
    """

    id: str
    effective_from: date
    prices: tuple[Price, ...]
    customers: dict[str, tuple[Price, ...]] = field(default_factory=dict)
    retired: tuple[Retired, ...] = ()
    terms: tuple[BookTerm, ...] = ()
    plans: dict[str, tuple[Price, ...]] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)
    notices_off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceBook:
    """One currency's meters and price versions, the versions in file order."""

    name: str
    currency: str
    meters: dict[str, Meter]
    versions: tuple[Version, ...]
