"""Rows for the tests of month builds: customers, usage, books and finalised invoices, written by plain SQL.

No import and no charging is involved, so these tests stand on the tables alone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing import billing_periods, invoice_line_items, invoices
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing import prices
from billing_pipeline.pricing.loading import load_prices, plan_load
from billing_pipeline.pricing.rules.price_book import load_price_books
from billing_pipeline.usage import usage_snapshots

SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (date(2025, month, 1) for month in (9, 10, 11, 12))
LONG_AFTER = datetime(2027, 1, 1, tzinfo=UTC)

BOOK = """
name: test
currency: usd
meters:
  fee:      {aggregation: constant}
  calls:    {aggregation: sum, unit: call}
  clusters: {aggregation: last, dimensions: [size, environment]}
  peak:     {aggregation: max}
  storage:  {aggregation: time_weighted}
versions:
  - id: "2025"
    effective_from: 2025-01-01
    prices:
      - {meter: fee, model: flat, amount: "10"}
      - {meter: calls, model: per_unit, included: 10, unit_amount: "0.015"}
      - meter: clusters
        model: per_unit
        rates: {small: {production: "40"}, large: {production: "160"}}
      - {meter: peak, model: per_unit, unit_amount: "3"}
      - {meter: storage, model: per_unit, unit_amount: "0.1", minimum: "5"}
"""

BOOKS = "---".join([BOOK, BOOK.replace("currency: usd", "currency: jpy")]).replace('minimum: "5"', 'minimum: "20"')
"""The same in two currencies, with a larger minimum."""
SMALL = {"size": "small", "environment": "production"}
ASSETS = ("usage_snapshots", "invoice_line_items", "invoices")
BILLED = (*ASSETS, "billing_periods", "stripe_charges", "invoice_seals")
"""Tables that a month which is charged never changes again."""
BESIDE = ("billing_drift", "snapshot_versions", "restated_snapshots", "usage_quarantine")
"""Tables in which it is said what is known of such a month since."""
TABLES = ("price_books", "meters", "price_versions", "prices", "billing_periods", "usage_quarantine", *ASSETS)


def at(instant: str) -> datetime:
    """`2025-10-01`, `2025-10-01T12:30`, or with an offset; UTC without one."""
    parsed = datetime.fromisoformat(instant)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """A usage event; received as it occurred unless said otherwise.

    `adds`: a correction that adds a missing event; `removes`: what it corrects never was.
    """

    event_id: str
    customer_id: str
    meter: str
    quantity: Decimal | int | str
    occurred_at: datetime
    dimensions: Mapping[str, str] = field(default_factory=dict)
    received_at: datetime | None = None
    corrects: str | None = None
    adds: bool = False
    removes: bool = False
    properties: Mapping[str, str] | None = None


def event_of_ann(event_id: str, meter: str, quantity: int | str, occurred_at: str, **more: Any) -> Event:
    """An event of customer `ann`, unless another one is named."""
    return Event(event_id, more.pop("customer_id", "ann"), meter, quantity, at(occurred_at), **more)


def add_customer(
    warehouse: Warehouse, customer_id: str, *, starts_on: date | None = date(2000, 1, 1), **values: object
) -> None:
    """A customer whose contract starts on that day; None: nobody said when."""
    row = {
        "customer_id": customer_id,
        "name": f"Customer {customer_id}",
        "email": f"{customer_id}@example.com",
        "currency": "usd",
        "timezone": "UTC",
        "billing_cycle": "calendar_month",
        "cycle_anchor": None,
        "status": "active",
        **values,
    }
    names = ", ".join(row)
    with warehouse.transaction() as connection:
        connection.execute(
            text(f"INSERT INTO billing.customers ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row
        )
    if starts_on is not None:
        add_terms(warehouse, customer_id, starts_on)


def add_terms(
    warehouse: Warehouse, customer_id: str, effective_on: date | None, state: str = "active", plan: str | None = None
) -> None:
    """What holds for the customer from that day on, written by plain SQL."""
    execute(
        warehouse,
        "INSERT INTO billing.contract_terms (customer_id, effective_on, state, plan, author, reason)"
        " VALUES (:customer_id, :effective_on, :state, :plan, 'test', 'as agreed')",
        customer_id=customer_id,
        effective_on=effective_on,
        state=state,
        plan=plan,
    )


def change_customer(warehouse: Warehouse, customer_id: str, **values: object) -> None:
    changes = ", ".join(f"{name} = :{name}" for name in values)
    execute(warehouse, f"UPDATE billing.customers SET {changes} WHERE customer_id = :id", id=customer_id, **values)


def add_usage(warehouse: Warehouse, events: Iterable[Event]) -> None:
    rows = [
        {
            "event_id": event.event_id,
            "customer_id": event.customer_id,
            "meter": event.meter,
            "dimensions": json.dumps(dict(event.dimensions)),
            "quantity": Decimal(event.quantity),
            "occurred_at": event.occurred_at,
            "received_at": event.received_at or event.occurred_at,
            "corrects": event.corrects,
            "removes": event.removes,
            "properties": None if event.properties is None else json.dumps(dict(event.properties)),
            "is_correction": event.adds or event.corrects is not None,
        }
        for event in events
    ]
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO billing.usage_events"
                " (event_id, customer_id, meter, dimensions, quantity, occurred_at, received_at, properties) VALUES"
                " (:event_id, :customer_id, :meter, :dimensions, :quantity, :occurred_at, :received_at, :properties)"
            ),
            rows,
        )
        if corrections := [row for row in rows if row["is_correction"]]:
            connection.execute(
                text(
                    "INSERT INTO billing.usage_corrections VALUES (:event_id, :corrects, 'ann', 'counted wrong', :removes)"
                ),
                corrections,
            )


def complete_feed(warehouse: Warehouse, complete_through: datetime) -> None:
    execute(
        warehouse,
        "INSERT INTO billing.usage_imports (source, received_at, row_count, new_event_count, complete_through)"
        " VALUES ('test', :at, 0, 0, :at)",
        at=complete_through,
    )


def load_book(warehouse: Warehouse, book: str = BOOK, run_id: str = "book") -> prices.LoadedPrices:
    loading = prices.Loading("book.yaml", Signature("ann", "a test's prices"), run_id)
    return prices.build(warehouse, load_price_books(book, "book.yaml"), book, loading)


def load_book_and_ann(warehouse: Warehouse) -> None:
    """What most months begin with."""
    load_book(warehouse)
    add_customer(warehouse, "ann")


def lay(
    warehouse: Warehouse, month: date, *, now: datetime = LONG_AFTER, run_id: str = "run"
) -> billing_periods.LaidPeriods:
    return billing_periods.build(warehouse, month, run_id, now)


def bill(
    warehouse: Warehouse, month: date, *, now: datetime = LONG_AFTER, run_id: str = "run", **snapshot_options: Any
) -> None:
    """What `bill_month` builds, without its gates."""
    lay(warehouse, month, now=now, run_id=run_id)
    usage_snapshots.build(warehouse, month, run_id, **snapshot_options)
    invoice_line_items.build(warehouse, month, run_id)
    invoices.build(warehouse, month, run_id)


def checksums(warehouse: Warehouse, tables: Iterable[str] = TABLES) -> dict[str, str]:
    """A digest of every row and column of each table, and of the versions of the months."""
    found = {table: _checksum(warehouse, f"SELECT * FROM billing.{table}") for table in tables}
    versions = "SELECT asset, billing_month, version FROM billing.asset_months WHERE version > 0"
    return {**found, "versions": _checksum(warehouse, versions)}


def _checksum(warehouse: Warehouse, query: str) -> str:
    return str(
        warehouse.scalar(
            f"SELECT count(*) || ' ' || md5(coalesce(string_agg(r::text, chr(10) ORDER BY r::text), ''))"
            f" FROM ({query}) AS r"
        )
    )


def pass_gates(warehouse: Warehouse, month: date) -> None:
    """Enter every required gate as passed for the rows as they are."""
    execute(
        warehouse,
        "INSERT INTO billing.gate_results"
        " (asset, billing_month, version, check_name, passed, blocking, failing_rows, evidence, run_id)"
        " SELECT asset, billing_month, version, check_name, true, true, 0, '{}', 'test'"
        " FROM billing.required_gates JOIN billing.asset_months USING (asset) WHERE billing_month = :month",
        month=month,
    )


def finalise(warehouse: Warehouse, invoice_id: UUID) -> None:
    """The line of no return, with the charge intent it needs; its gates must have passed."""
    with warehouse.transaction() as connection:
        number = connection.execute(
            text("UPDATE billing.invoice_numbering SET last_number = last_number + 1 RETURNING last_number")
        ).scalar_one()
        connection.execute(
            text(
                "UPDATE billing.invoices SET status = 'open', invoice_number = :number, finalised_at = now()"
                " WHERE invoice_id = :invoice_id"
            ),
            {"invoice_id": invoice_id, "number": number},
        )
        connection.execute(
            text(
                "INSERT INTO billing.stripe_charges"
                " (invoice_id, billing_month, customer_id, amount_minor, currency, request_body, run_id)"
                " SELECT invoice_id, billing_month, customer_id, total_minor, currency, '{}', 'test'"
                " FROM billing.invoices WHERE invoice_id = :invoice_id"
            ),
            {"invoice_id": invoice_id},
        )


def finalise_customer(warehouse: Warehouse, customer_id: str, month: date) -> UUID:
    """Finalise the customer's one draft of the month, its gates entered as passed."""
    pass_gates(warehouse, month)
    [invoice] = warehouse.rows(
        "SELECT invoice_id FROM billing.invoices WHERE customer_id = :customer_id AND billing_month = :month",
        customer_id=customer_id,
        month=month,
    )
    invoice_id: UUID = invoice["invoice_id"]
    finalise(warehouse, invoice_id)
    return invoice_id


def execute(warehouse: Warehouse, statement: str, /, **parameters: object) -> None:
    """As the owner of the database, who may do more than the pipeline."""
    with warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text(statement), parameters)


def replica(warehouse: Warehouse, *statements: str) -> None:
    """Rows as they would be after days."""
    with warehouse.transaction() as connection:
        driver = connection.connection.driver_connection
        driver.execute("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        for statement in statements:
            driver.execute(statement)


def change_book(warehouse: Warehouse, path: Path, book: str) -> None:
    """Write the file that BILLING_PRICE_BOOK names, and load it on purpose."""
    path.write_text(book, encoding="utf-8")
    load_prices(warehouse, plan_load(warehouse, path), Signature("ann", "other prices"), replace=True)


def move_charges(warehouse: Warehouse, changes: str, where: str = "TRUE", **parameters: object) -> None:
    """Change charges as a program would that had seen it at Stripe."""
    execute(warehouse, seen_at_stripe(changes, where), **parameters)


def seen_at_stripe(changes: str, where: str = "TRUE") -> str:
    """The statement that changes charges and writes into the audit log what was seen of them."""
    return (
        f"WITH moved AS (UPDATE billing.stripe_charges SET {changes} WHERE {where} RETURNING *)"
        " INSERT INTO billing.automation_log (actor, action, object_type, object_id, state_after)"
        " SELECT 'test', 'charge.test', 'invoice', invoice_id::text, jsonb_build_object('state', state,"
        " 'stripe_invoice', stripe_invoice_id, 'status', state) FROM moved"
    )
