"""Who is in the demo: the three worked examples, customers with a story, and generated ones.

Always the same people, whatever the month. What they use is in `usage`, what it costs in pricing/price_books/demo.yaml.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from random import Random
from typing import Literal

SEED = "lyceum demo"
GENERATED = 200

Size = Literal["small", "medium", "large"]
AtStripe = Literal["known", "unlinked", "absent"]

ZONES = {
    "usd": ("America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "Pacific/Honolulu", "Pacific/Pago_Pago"),
    "eur": ("Europe/Berlin", "Europe/Madrid", "Africa/Cairo", "Asia/Kolkata"),
    "gbp": ("Europe/London", "Australia/Lord_Howe"),
    "jpy": ("Asia/Tokyo", "Pacific/Auckland", "Pacific/Kiritimati"),
    "kwd": ("Asia/Kuwait",),
}
COLUMNS = (
    "customer_id", "name", "email", "currency", "timezone", "billing_cycle", "cycle_anchor", "stripe_customer_id",
    "starts_on",
)  # fmt: skip
STARTS_ON = date(2024, 1, 1)
"""Everybody's first day, unless the cycle is counted from a later one: long before the months that the demo bills."""
CURRENCY_WEIGHTS = {"usd": 42, "eur": 26, "gbp": 14, "jpy": 12, "kwd": 6}
CYCLES = ("calendar_month",) * 8 + ("30_days", "28_days", "45_days", "14_days")

_PLACES = (
    "Alder", "Birch", "Cedar", "Dover", "Elm", "Fairview", "Grove", "Harbour", "Iris", "Juniper", "Kestrel", "Linden",
    "Maple", "Northgate", "Oak", "Pine", "Quarry", "Ridge", "Spruce", "Thorn", "Upland", "Vale", "Willow", "Yew",
)  # fmt: skip
_KINDS = ("Academy", "College", "High School", "Institute", "Laboratory", "Library", "Observatory", "University")


@dataclass(frozen=True, slots=True)
class DemoCustomer:
    """A customer as the platform knows it, and what there is of it at Stripe.

    `card` is one of Stripe's test cards, None without one. `at_stripe`: known to the platform by its Stripe id;
    unlinked: there, but the platform lost the id, so that the pipeline must find it; absent: the pipeline creates it.
    `expected_minor` is the total of a worked example, `expected_reason` why the charge is to stay open.
    """

    customer_id: str
    name: str
    currency: str
    timezone: str
    size: Size
    billing_cycle: str = "calendar_month"
    cycle_anchor: date | None = None
    card: str | None = "pm_card_visa"
    at_stripe: AtStripe = "known"
    expected_minor: int | None = None
    expected_reason: str | None = None

    @property
    def email(self) -> str:
        """An address that reaches nobody."""
        return f"billing+{self.customer_id}@example.com"


BASIC, PROFESSIONAL, ENTERPRISE = "00001", "00002", "00003"

EXAMPLES = (
    DemoCustomer(BASIC, "Basic School", "usd", "UTC", "small", expected_minor=4_000),
    DemoCustomer(PROFESSIONAL, "Professional School", "usd", "America/New_York", "medium", expected_minor=25_450),
    DemoCustomer(ENTERPRISE, "Enterprise School", "usd", "Europe/Berlin", "large", expected_minor=101_000),
)

UNKNOWN_METER, MISSING_DIMENSION, UNPRICED_TIER = "00107", "00108", "00109"
CHARITY, PILOT, PARTNER = "00110", "00111", "00112"
COMMITTED, COUPON, PREPAID, GIFTED = "00113", "00114", "00115", "00116"
JOINED, LEFT, TRIED, PAUSED = "00117", "00118", "00119", "00120"
SIGNED = frozenset({JOINED, LEFT, TRIED, PAUSED})
"""Whose contracts are agreed by hand (`signed`): the customers file says nothing of when they start."""
METERED, CLAMPED = "00121", "00122"
STRANGER = "00999"
"""Has usage, and no row in the customers file."""

STORIES = (
    DemoCustomer(
        "00101", "Declined College", "usd", "America/Chicago", "medium",
        card="pm_card_chargeCustomerFail", expected_reason="declined",
    ),
    DemoCustomer(
        "00102", "Two-factor Institute", "eur", "Europe/Paris", "medium",
        card="pm_card_authenticationRequired", expected_reason="action_required",
    ),
    DemoCustomer(
        "00103", "Cardless Library", "eur", "Europe/Rome", "small",
        card=None, expected_reason="no_payment_method",
    ),
    DemoCustomer(
        "00104", "Newcomer Academy", "usd", "America/Denver", "small",
        card=None, at_stripe="absent", expected_reason="no_payment_method",
    ),
    DemoCustomer(
        "00105", "Fresh Start University", "gbp", "Europe/London", "medium",
        card=None, at_stripe="absent", expected_reason="no_payment_method",
    ),
    DemoCustomer("00106", "Lost Link Observatory", "jpy", "Asia/Tokyo", "medium", at_stripe="unlinked"),
    DemoCustomer(UNKNOWN_METER, "Typo Laboratory", "usd", "America/New_York", "medium"),
    DemoCustomer(MISSING_DIMENSION, "Vague Institute", "eur", "Europe/Vienna", "medium"),
    DemoCustomer(UNPRICED_TIER, "Platinum College", "gbp", "Europe/London", "medium"),
    DemoCustomer(CHARITY, "Open Hands Charity", "usd", "Africa/Nairobi", "small"),
    DemoCustomer(PILOT, "Pilot Project", "usd", "UTC", "small"),
    DemoCustomer(PARTNER, "Partner Institute", "usd", "UTC", "small"),
    DemoCustomer(COMMITTED, "Committed Laboratory", "usd", "UTC", "small"),
    DemoCustomer(COUPON, "Coupon College", "usd", "UTC", "small"),
    DemoCustomer(PREPAID, "Prepaid Academy", "usd", "UTC", "small"),
    DemoCustomer(GIFTED, "Welcome Library", "usd", "UTC", "small"),
    DemoCustomer(JOINED, "Joined Academy", "usd", "Europe/Berlin", "small"),
    DemoCustomer(LEFT, "Leaving Library", "usd", "UTC", "small"),
    DemoCustomer(TRIED, "Trying School", "usd", "America/Bogota", "small"),
    DemoCustomer(PAUSED, "Pausing Observatory", "usd", "UTC", "small"),
    DemoCustomer(METERED, "Metered Faculty", "usd", "UTC", "small"),
    DemoCustomer(
        CLAMPED, "Month's End Institute", "usd", "UTC", "small",
        billing_cycle="monthly", cycle_anchor=date(2024, 1, 31),
    ),
)  # fmt: skip


def seeded(what: str) -> Random:
    """Random numbers that are the same every time."""
    return Random(f"{SEED} {what}")  # noqa: S311 - nothing secret depends on it


@cache
def population() -> tuple[DemoCustomer, ...]:
    """Everybody, in order of their ids."""
    return (*EXAMPLES, *STORIES, *(_generated(number) for number in range(GENERATED)))


def _generated(number: int) -> DemoCustomer:
    rng = seeded(f"customer {number}")
    currency = rng.choices(list(CURRENCY_WEIGHTS), list(CURRENCY_WEIGHTS.values()))[0]
    cycle = rng.choice(CYCLES)
    at_stripe: AtStripe = "unlinked" if number % 40 == 7 else "known"
    return DemoCustomer(
        customer_id=f"{201 + number:05}",
        name=f"{_PLACES[number % len(_PLACES)]} {_KINDS[number % 7]} {number // len(_PLACES) + 1}",
        currency=currency,
        timezone=rng.choice(ZONES[currency]),
        size=rng.choices(("small", "medium", "large"), (60, 30, 10))[0],
        billing_cycle=cycle,
        cycle_anchor=None if cycle == "calendar_month" else date(2024, 1, 1) + timedelta(days=rng.randrange(45)),
        card=rng.choice(("pm_card_visa", "pm_card_mastercard", "pm_card_amex")),
        at_stripe=at_stripe,
    )


def customers_file(stripe_ids: Mapping[str, str]) -> str:
    """The platform's export as CSV; `stripe_ids` are those that the platform knows, by customer_id."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for customer in population():
        writer.writerow(
            [
                customer.customer_id,
                customer.name,
                customer.email,
                customer.currency,
                customer.timezone,
                customer.billing_cycle if customer.cycle_anchor else "",
                customer.cycle_anchor or "",
                stripe_ids.get(customer.customer_id, ""),
                "" if customer.customer_id in SIGNED else customer.cycle_anchor or STARTS_ON,
            ]
        )
    return text.getvalue()
