"""What the demo's customers used in a calendar month, as the platform exports it.

A month's usage depends on nothing but the month: generated again, on another day or as another demo's history, it has
the same events. Every month states all levels anew, so that it stands without the months before.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from billing_pipeline.core.months import month_after
from billing_pipeline.core.timezones import start_of_day
from billing_pipeline.sandbox.demo.population import (
    BASIC,
    CHARITY,
    CLAMPED,
    COMMITTED,
    COUPON,
    ENTERPRISE,
    GIFTED,
    JOINED,
    LEFT,
    METERED,
    MISSING_DIMENSION,
    PARTNER,
    PAUSED,
    PILOT,
    PREPAID,
    PROFESSIONAL,
    STRANGER,
    TRIED,
    UNKNOWN_METER,
    UNPRICED_TIER,
    DemoCustomer,
    population,
    seeded,
)


@dataclass(frozen=True, slots=True)
class Use:
    """A level or an amount, `at` a share of the month (0: its first instant, 1: its end)."""

    meter: str
    dimensions: dict[str, str]
    quantity: str
    at: float
    properties: dict[str, str] = field(default_factory=dict)


def _use(meter: str, quantity: int | str, at: float = 0.0, /, **dimensions: str) -> Use:
    return Use(meter, dimensions, str(quantity), at)


def _active(student: str, at: float) -> Use:
    return Use("active_students", {}, "1", at, {"student": student})


WRITTEN_OUT: dict[str, tuple[Use, ...]] = {
    BASIC: (
        _use("licenses", 2, tier="basic"),
        _use("clusters", 1, size="small", environment="development"),
    ),
    # the last level of the month counts: a license and the storage were added in between
    PROFESSIONAL: (
        _use("licenses", 4, tier="professional"),
        _use("licenses", 5, 0.4, tier="professional"),
        _use("clusters", 2, size="medium", environment="production"),
        _use("users", 4),
        _use("storage_gb", 80),
        _use("storage_gb", 105, 0.9),
    ),
    ENTERPRISE: (
        _use("licenses", 10, tier="enterprise"),
        _use("clusters", 3, size="large", environment="production"),
        _use("clusters", 1, size="large", environment="analytics"),
        _use("clusters", 2, 0.25, size="large", environment="analytics"),
        _use("users", 11),
    ),
    CHARITY: (_use("licenses", 12, tier="basic"), _use("storage_gb", 60)),
    PILOT: (_use("storage_gb", 20),),
    PARTNER: (_use("storage_gb", 90),),
    COMMITTED: (_use("licenses", 2, tier="basic"),),
    COUPON: (_use("licenses", 4, tier="basic"),),
    PREPAID: (_use("licenses", 4, tier="basic"),),
    GIFTED: (_use("licenses", 4, tier="basic"),),
    JOINED: (_use("licenses", 2, tier="basic"),),
    LEFT: (),
    TRIED: (_use("licenses", 1, tier="basic"),),
    PAUSED: (),
    CLAMPED: (_use("licenses", 1, tier="basic"),),
    # whatever a book can count by: distinct values, changes of a level that end where they began, shared allowances
    METERED: (
        *(_use("sign_ins", 1, at) for at in (0.1, 0.2, 0.3)),
        *(_active(student, at) for student, at in (("ada", 0.1), ("bob", 0.2), ("ada", 0.4), ("cyd", 0.6))),
        _use("course_seats", 10),
        _use("course_seats", -4, 0.5),
        _use("course_seats", -6, 0.999),
        _use("traffic_gb", 80, 0.2, region="eu"),
        _use("traffic_gb", 60, 0.3, region="us"),
        _use("translations", 120, 0.4, language="german"),
        _use("translations", 120, 0.4, language="welsh"),
        *(_use("library_loans", 1, 0.5, branch=branch) for branch in ("north", "south", "east", "west")),
        _use("voice_minutes", 80, 0.6),
        _use("text_messages", 50, 0.6),
    ),
    STRANGER: (_use("licenses", 3, 0.5, tier="basic"),),
}

MISTAKEN: dict[str, tuple[Use, ...]] = {
    UNKNOWN_METER: (_use("gpu_hourz", 7, 0.2), _use("gpu_hourz", 3, 0.7)),
    MISSING_DIMENSION: (_use("clusters", 1, 0.3, size="small"),),
    UNPRICED_TIER: (_use("licenses", 2, 0.1, tier="platinum"),),
}

QUARANTINED = frozenset(
    {
        (STRANGER, "licenses"),
        *((customer_id, use.meter) for customer_id, uses in MISTAKEN.items() for use in uses),
    }
)
"""(customer, meter) of the usage that cannot be billed."""

_FACTOR = {"small": 1, "medium": 4, "large": 12}


def usage_file(month: date) -> str:
    """The month's events as CSV; months are those of each customer's own time zone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["event_id", "customer_id", "meter", "dimensions", "quantity", "occurred_at", "properties"])
    for customer in population():
        writer.writerows(_events(customer.customer_id, customer.timezone, _uses(customer, month), month))
    writer.writerows(_events(STRANGER, "UTC", WRITTEN_OUT[STRANGER], month))
    return text.getvalue()


def _events(customer_id: str, timezone: str, uses: tuple[Use, ...], month: date) -> Iterator[list[str]]:
    start, end = start_of_day(month, timezone), start_of_day(month_after(month), timezone)
    for number, use in enumerate(uses, start=1):
        at = start + timedelta(seconds=int((end - start).total_seconds() * use.at))
        yield [
            f"{month:%Y%m}-{customer_id}-{number:03}",
            customer_id,
            use.meter,
            json.dumps(use.dimensions) if use.dimensions else "",
            use.quantity,
            _local(at, timezone),
            json.dumps(use.properties) if use.properties else "",
        ]


def _local(instant: datetime, timezone: str) -> str:
    return instant.astimezone(ZoneInfo(timezone)).isoformat()


def _uses(customer: DemoCustomer, month: date) -> tuple[Use, ...]:
    if customer.customer_id in WRITTEN_OUT:
        return WRITTEN_OUT[customer.customer_id]
    return (*_generated(customer, month), *MISTAKEN.get(customer.customer_id, ()))


def _generated(customer: DemoCustomer, month: date) -> Iterator[Use]:
    # which things a customer uses is the same every month; how much of them differs a little
    plan = seeded(f"plan {customer.customer_id}")
    rng = seeded(f"usage {customer.customer_id} {month}")
    factor = _FACTOR[customer.size]
    tier = {"small": "basic", "medium": "professional", "large": "enterprise"}[customer.size]
    yield from _level(rng, "licenses", plan.randint(1, 5) * factor, tier=tier)
    environments = plan.sample(
        ("development", "production", "analytics"), {"small": 1, "medium": 2, "large": 3}[customer.size]
    )
    for environment in environments:
        yield from _level(rng, "clusters", plan.randint(1, 3), size=customer.size, environment=environment)
    yield from _level(rng, "users", plan.randint(1, 8) * factor)
    gigabytes = plan.randint(500, 4000) * factor
    yield Use("storage_gb", {}, f"{gigabytes * rng.randint(90, 110) / 1000:.3f}", 0.0)
    if plan.random() < 0.6:
        calls = plan.randint(500, 20_000) * factor
        for _ in range(4):
            yield Use("api_calls", {}, str(calls * rng.randint(70, 130) // 400), rng.uniform(0, 0.999))
    if plan.random() < 0.4:
        emails = plan.randint(100, 1_500) * factor
        for _ in range(3):
            yield Use("emails", {}, str(emails * rng.randint(70, 130) // 300), rng.uniform(0, 0.999))
    if plan.random() < 0.4:
        sessions = plan.randint(2, 25) * factor
        yield from (Use("peak_sessions", {}, str(rng.randint(1, sessions)), at) for at in (0.0, 0.3, 0.6))
    if plan.random() < 0.25:
        nodes = plan.randint(1, 3)
        yield Use("gpu_nodes", {}, str(nodes), 0.0)
        yield Use("gpu_nodes", {}, str(nodes + 1), rng.uniform(0.2, 0.8))


def _level(rng: Random, meter: str, usual: int, /, **dimensions: str) -> Iterator[Use]:
    yield Use(meter, dimensions, str(usual), 0.0)
    if rng.random() < 0.3:
        yield Use(meter, dimensions, str(max(1, usual + rng.choice((-1, 1, 2)))), rng.uniform(0.05, 0.95))
