"""Rows of a valid month, made quickly and each field overridable, so that a test states only what it breaks.

Every maker takes an open connection, writes one row and returns its key. Constraints that wait for the commit are
checked by `settle`; `refused` wraps what must not get through.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline_tests.month_rows import seen_at_stripe

MONTH = date(2026, 10, 1)
START = datetime(2026, 10, 1, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)


def execute(db: Connection, statement: str, /, **values: object) -> int:
    """Run one statement, return its row count."""
    return db.execute(text(statement), values).rowcount


def value(db: Connection, query: str, /, **values: object) -> Any:
    """First column of the first row."""
    return db.execute(text(query), values).scalar()


def insert(db: Connection, table: str, **values: object) -> None:
    """INSERT one row into billing.`table`."""
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    db.execute(text(f"INSERT INTO billing.{table} ({names}) VALUES ({marks})"), values)


def settle(db: Connection) -> None:
    """Check now what is otherwise checked at commit."""
    db.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    db.execute(text("SET CONSTRAINTS ALL DEFERRED"))


@contextmanager
def refused(db: Connection, because: str) -> Iterator[None]:
    """The database refuses the block, at once or at commit, in words that match `because`; earlier rows stay."""
    savepoint = db.begin_nested()
    with pytest.raises(DBAPIError) as caught:  # noqa: PT012 - the caller's block is the statement
        yield
        settle(db)
    savepoint.rollback()
    assert re.search(because, reason_of(caught.value)), reason_of(caught.value)


def reason_of(error: DBAPIError) -> str:
    """The server's own sentence: without the statement and its values, in which a test's pattern might match itself."""
    assert isinstance(error.orig, psycopg.Error)
    return str(error.orig.diag.message_primary)


@contextmanager
def undone(db: Connection) -> Iterator[None]:
    """The block goes through, commit checks included, and is undone afterwards."""
    savepoint = db.begin_nested()
    yield
    settle(db)
    savepoint.rollback()


def customer(db: Connection, customer_id: str = "c1", **over: Any) -> str:
    given = {"name": "Ann", "email": "ann@example.com", "currency": "usd", "timezone": "UTC", **over}
    insert(db, "customers", customer_id=customer_id, **given)
    return customer_id


def period(db: Connection, customer_id: str = "c1", start: datetime = START, end: datetime = END, **over: Any) -> UUID:
    """A period from `start` to `end`; the customer's first unless `previous_end` is given."""
    given = {
        "billing_month": start.date().replace(day=1),
        "currency": "usd",
        "start_date": start.date(),
        "end_date": end.date(),
        "timezone": "UTC",
        **over,
    }
    insert(db, "billing_periods", customer_id=customer_id, period_start=start, period_end=end, **given)
    found = value(
        db,
        "SELECT period_id FROM billing.billing_periods WHERE customer_id = :id AND period_start = :start",
        id=customer_id,
        start=start,
    )
    return UUID(str(found))


def price(db: Connection, **over: Any) -> UUID:
    price_id = uuid4()
    given = {
        "price_id": price_id,
        "book": "lyceum",
        "currency": "usd",
        "version_id": "2025-01",
        "effective_from": date(2025, 1, 1),
        "meter": "licenses",
        "dimensions": "{}",
        "model": "per_unit",
        "tier_no": 0,
        "tier_from": 0,
        "unit_amount": Decimal(5),
        "included": 0,
        "position": 1,
        **over,
    }
    insert(db, "prices", **given)
    return price_id


def snapshot(db: Connection, period_id: UUID, customer_id: str = "c1", **over: Any) -> None:
    given = {
        "meter": "licenses",
        "dimensions": "{}",
        "billing_month": MONTH,
        "currency": "usd",
        "quantity": Decimal(2),
        "event_count": 1,
        "as_of": END,
        "basis": "measured",
        "run_id": "run",
        **over,
    }
    insert(db, "usage_snapshots", period_id=period_id, customer_id=customer_id, **given)


def line(
    db: Connection, invoice_id: UUID, period_id: UUID, price_id: UUID, customer_id: str = "c1", **over: Any
) -> None:
    """Line 1: two licences at 5.00."""
    given = {
        "line_no": 1,
        "billing_month": MONTH,
        "meter": "licenses",
        "dimensions": "{}",
        "kind": "usage",
        "description": "licences",
        "usage_quantity": 2,
        "included_quantity": 0,
        "quantity": Decimal(2),
        "unit_amount": Decimal(5),
        "exact_amount": Decimal(10),
        "currency": "usd",
        "amount_minor": 1000,
        "price_version": "2025-01",
        "basis": "measured",
        "run_id": "run",
        **over,
    }
    keys = {"invoice_id": invoice_id, "period_id": period_id, "price_id": price_id, "customer_id": customer_id}
    insert(db, "invoice_line_items", **keys, **given)


def invoice(db: Connection, invoice_id: UUID, period_id: UUID, customer_id: str = "c1", **over: Any) -> UUID:
    """A draft over 10.00 with one line."""
    given = {"billing_month": MONTH, "currency": "usd", "total_minor": 1000, "line_count": 1, "run_id": "run", **over}
    insert(db, "invoices", invoice_id=invoice_id, period_id=period_id, customer_id=customer_id, **given)
    return invoice_id


def draft(db: Connection, customer_id: str = "c1", month: date = MONTH, **over: Any) -> UUID:
    """A customer with one period, its snapshot, one line of 10.00 and the draft of them."""
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    customer(db, customer_id, **over)
    period_id = period(db, customer_id, start, end)
    snapshot(db, period_id, customer_id, billing_month=month)
    invoice_id = uuid4()
    found = value(db, "SELECT price_id FROM billing.prices WHERE meter = 'licenses' LIMIT 1")
    line(db, invoice_id, period_id, found or price(db), customer_id, billing_month=month)
    return invoice(db, invoice_id, period_id, customer_id, billing_month=month)


def period_of(db: Connection, invoice_id: UUID) -> UUID:
    found = value(db, "SELECT period_id FROM billing.invoices WHERE invoice_id = :id", id=invoice_id)
    return UUID(str(found))


def built_from_each_other(db: Connection, month: date = MONTH) -> None:
    """Enter the month's assets as built from the versions that their upstream has now."""
    for below, above in (("invoice_line_items", "usage_snapshots"), ("invoices", "invoice_line_items")):
        execute(
            db,
            "UPDATE billing.asset_months AS d SET built_from = u.version FROM billing.asset_months AS u"
            " WHERE (d.asset, u.asset, d.billing_month, u.billing_month) = (:below, :above, :month, :month)",
            below=below,
            above=above,
            month=month,
        )


def gate(db: Connection, asset: str, check_name: str, month: date = MONTH, **over: Any) -> None:
    """One gate's result for the rows as they are: passed."""
    version = value(
        db,
        "SELECT version FROM billing.asset_months WHERE asset = :asset AND billing_month = :month",
        asset=asset,
        month=month,
    )
    given = {"version": version, "passed": True, "blocking": True, "failing_rows": 0, "evidence": "{}", **over}
    insert(db, "gate_results", asset=asset, check_name=check_name, billing_month=month, run_id="run", **given)


def required_gates(db: Connection) -> list[tuple[str, str]]:
    rows = db.execute(text("SELECT asset, check_name FROM billing.required_gates ORDER BY 1, 2"))
    return [(str(row.asset), str(row.check_name)) for row in rows]


def pass_gates(db: Connection, month: date = MONTH, *, without: tuple[str, str] | None = None) -> None:
    """Every required gate passes for the rows as they are."""
    built_from_each_other(db, month)
    for asset, check_name in required_gates(db):
        if (asset, check_name) != without:
            gate(db, asset, check_name, month)


def checked_draft(db: Connection, customer_id: str = "c1", **over: Any) -> UUID:
    """A draft whose gates have all passed: it may be finalised."""
    invoice_id = draft(db, customer_id, **over)
    pass_gates(db)
    return invoice_id


def finalise(db: Connection, invoice_id: UUID, invoice_number: int | None = 1) -> None:
    """Cross the line, without the intent."""
    execute(
        db,
        "UPDATE billing.invoices SET status = 'open', invoice_number = :number, finalised_at = now()"
        " WHERE invoice_id = :id",
        id=invoice_id,
        number=invoice_number,
    )


def intent(db: Connection, invoice_id: UUID, **over: Any) -> None:
    """The intent to charge an invoice what it says."""
    row = db.execute(text("SELECT * FROM billing.invoices WHERE invoice_id = :id"), {"id": invoice_id}).mappings().one()
    given = {
        "billing_month": row["billing_month"],
        "customer_id": row["customer_id"],
        "amount_minor": row["total_minor"],
        "currency": row["currency"],
        "request_body": b"{}",
        "run_id": "run",
        **over,
    }
    insert(db, "stripe_charges", invoice_id=invoice_id, **given)


def charged(db: Connection, customer_id: str = "c1", invoice_number: int = 1) -> UUID:
    """A finalised invoice with its intent."""
    invoice_id = checked_draft(db, customer_id)
    finalise(db, invoice_id, invoice_number)
    intent(db, invoice_id)
    settle(db)
    return invoice_id


def move(db: Connection, invoice_id: UUID, state: str, **over: Any) -> None:
    """Bring a charge to a state, with everything that the state needs."""
    given = {
        "stripe_customer_id": "cus_1",
        "stripe_invoice_id": f"in_{invoice_id}",
        "stripe_total_minor": 1000,
        "stripe_currency": "usd",
        "reason_code": "card_declined" if state in ("refused", "parked") else None,
        **over,
    }
    changes = ", ".join(f"{name} = :{name}" for name in ("state", *given))
    execute(db, seen_at_stripe(changes, "invoice_id = :id"), id=invoice_id, state=state, **given)


def event(db: Connection, event_id: str = "e1", **over: Any) -> str:
    given = {"customer_id": "c1", "meter": "licenses", "quantity": Decimal(2), "occurred_at": START, **over}
    insert(db, "usage_events", event_id=event_id, **given)
    return event_id


def adjustment(db: Connection, amount: int = 200, customer_id: str = "c1", **over: Any) -> UUID:
    """An adjustment that no invoice has yet."""
    adjustment_id = uuid4()
    given = {"currency": "usd", "amount_minor": amount, "description": "d", "reason": "r", "author": "a", **over}
    insert(db, "adjustments", adjustment_id=adjustment_id, customer_id=customer_id, **given)
    return adjustment_id


def adjusted_draft(db: Connection, adjustment_id: UUID, period_id: Any, amount: int = 200, **over: Any) -> UUID:
    """The adjustment on a new draft of the period that has no lines; `header` None: on one that is there."""
    invoice_id: UUID = over.pop("invoice_id", None) or uuid4()
    header = over.pop("header", {})
    given = {
        "line_no": 1, "customer_id": "c1", "period_id": period_id, "billing_month": MONTH, "currency": "usd",
        "description": "d", "amount_minor": amount, **over,
    }  # fmt: skip
    insert(db, "invoice_adjustments", invoice_id=invoice_id, adjustment_id=adjustment_id, **given)
    if header is not None:
        invoice(db, invoice_id, period_id, **{"total_minor": amount, "line_count": 1, **header})
    return invoice_id
