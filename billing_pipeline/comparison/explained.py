"""A finalised invoice as it is stored, with all that its figures were computed from. The rows of sql/comparison."""

import json
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

NOT_SHOWN = ("request_body", "broken_seals")
Series = tuple[str, str]
"""Meter and dimensions, these as the text that the database has."""


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    """An invoice with what its customer, period, charge and seal say; None where one of them is missing.

    `start_date` to `end_date`, exclusive, in `timezone`. `broken_seals`: the parts that are not as they were sealed.
    """

    invoice_id: UUID
    number: str
    invoice_number: int
    customer_id: str
    customer_name: str | None
    billing_month: date
    revision: int
    currency: str
    total_minor: int
    credits_minor: int
    due_minor: int
    line_count: int
    status: str
    finalised_at: datetime
    run_id: str
    period_start: datetime | None
    period_end: datetime | None
    start_date: date | None
    end_date: date | None
    timezone: str | None
    full_days: int | None
    plan: str | None
    request_body: bytes | None
    request_version: int | None
    request_sha256: str | None
    broken_seals: list[str]


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line item with its price or its term's id; or an adjustment: no price, no run, no exact amount."""

    invoice_id: str
    line_no: int
    customer_id: str
    meter: str
    dimensions: str
    kind: str
    description: str
    usage_quantity: Decimal
    included_quantity: Decimal
    quantity: Decimal
    unit_amount: Decimal | None
    exact_amount: Decimal | None
    billed_days: int | None
    full_days: int | None
    currency: str
    amount_minor: int
    price_id: str | None
    price_version: str | None
    basis: str
    snapshot_version: int | None
    code_version: str | None
    run_id: str | None
    model: str | None
    tier_no: int | None
    tier_from: Decimal | None
    tier_up_to: Decimal | None
    package_size: Decimal | None
    term_id: str | None


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A quantity that the invoice was billed from.

    `source_final` and `source_quantity`: whether the period that it was carried forward from was final by `as_of`,
    and what that period's snapshot says now. `days` of `full_days`: of a constant meter in a short period.
    `in_trial`: of a constant meter whose period is a trial's. `opening_level`: at the start, where events are changes.
    """

    invoice_id: str
    customer_id: str
    meter: str
    dimensions: str
    snapshot_version: int
    quantity: Decimal
    event_count: int
    as_of: datetime
    basis: str
    aggregation: str | None
    run_id: str
    opening_level: Decimal | None
    period_start: datetime
    period_end: datetime
    currency: str
    start_date: date
    days: int | None
    full_days: int | None
    plan: str | None
    in_trial: bool | None
    source_final: bool
    source_quantity: Decimal | None

    @property
    def series(self) -> Series:
        """What it measures."""
        return self.meter, self.dimensions


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event behind a snapshot; one that `corrected_by` names does not count. `value`: that `unique` counts it by."""

    invoice_id: str
    meter: str
    dimensions: str
    event_id: str
    quantity: Decimal
    occurred_at: datetime
    received_at: datetime
    corrects_event_id: str | None
    corrected_by: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class StoredDraw:
    """What the invoice drew of a grant of prepaid credits: a line at Stripe, below zero."""

    invoice_id: str
    line_no: int
    entry_id: int
    grant_id: str
    kind: str
    description: str
    amount_minor: int


@dataclass
class Explained:
    """A finalised invoice as it is stored, and in `problems` all that does not fit, in words; empty if all does."""

    invoice: StoredInvoice
    lines: list[StoredLine]
    snapshots: list[StoredSnapshot]
    events: dict[Series, list[StoredEvent]]
    """By what they are counted for, in order of effect."""
    draws: list[StoredDraw] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def as_document(explained: Explained) -> dict[str, Any]:
    """An explanation as JSON has it: each quantity with its events."""
    return {
        **{name: value for name, value in asdict(explained.invoice).items() if name not in NOT_SHOWN},
        "lines": [{**asdict(line), "dimensions": json.loads(line.dimensions)} for line in explained.lines],
        "snapshots": [
            {
                **asdict(snapshot),
                "dimensions": json.loads(snapshot.dimensions),
                "events": [asdict(event) for event in explained.events.get(snapshot.series, [])],
            }
            for snapshot in explained.snapshots
        ],
        "draws": [asdict(draw) for draw in explained.draws],
        "problems": list(explained.problems),
    }
