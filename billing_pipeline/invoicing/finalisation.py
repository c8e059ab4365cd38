"""The line of no return: a month's drafts become final, with their numbers and their charge intents, or none does.

Everything is one transaction. What Stripe is sent is invoicing/rules/charge_request.py's; nothing here talks to Stripe.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from psycopg import sql
from sqlalchemy import Connection, text

from billing_pipeline.invoicing.rules.charge_request import (
    REQUEST_VERSION,
    BilledInvoice,
    BilledLine,
    frozen_request,
)
from billing_pipeline.invoicing.starter import UNKNOWN, Starter
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.locks import lock_month
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

BATCH = 5_000
_INTENTS = (
    "invoice_id",
    "billing_month",
    "customer_id",
    "amount_minor",
    "currency",
    "request_body",
    "run_id",
    "request_version",
)
_INTENT_TYPES = ("uuid", "date", "text", "int8", "text", "bytea", "text", "int2")


@dataclass(frozen=True, slots=True)
class UnmetGate:
    """Why a month may not be finalised: a check of an asset, and what is wrong with it."""

    asset: str
    check: str
    problem: str


class GatesNotPassed(RuntimeError):  # noqa: N818 - reads as what happened
    """The month's rows have not passed all blocking checks; nothing was finalised. `unmet` lists every one."""

    def __init__(self, month: date, unmet: list[UnmetGate]) -> None:
        listed = "; ".join(f"{gate.asset}.{gate.check}: {gate.problem}" for gate in unmet)
        super().__init__(f"month {month} is not finalised, {len(unmet)} gates are not passed: {listed}")
        self.month = month
        self.unmet = unmet


class ApprovalMissing(RuntimeError):  # noqa: N818 - reads as what happened
    """The month needs an approval of exactly these rows, by somebody else; nothing was finalised."""


@dataclass(frozen=True, slots=True)
class Finalised:
    """What finalising a month did: invoices made final, and by reason the customers whose drafts stay.

    The reasons are on_hold (the customer, by status or by a hold), held_by_dunning, invoice_on_hold, month_on_hold,
    not_ended (the period has not, by the clock of Postgres), outdated (usage, a correction, a price or the customer has
    changed since) and in_review (drafted less than BILLING_REVIEW_HOURS ago).
    """

    count: int
    skipped: dict[str, tuple[str, ...]] = field(default_factory=dict)


def finalise_month(warehouse: Warehouse, month: date, run_id: str, *, starter: Starter = UNKNOWN) -> Finalised:
    """Finalise the month's drafts, except those on hold, and freeze what each will send to Stripe.

    Final invoices are left alone, so a second call does nothing. Without a draft to finalise the gates are asked only
    if the month has no final invoice either: what is final stays chargeable whatever is rebuilt later.

    Args:
        warehouse: the database.
        month: the partition.
        run_id: the run.
        starter: who started it. Where approvals are needed, they are other people's; a person's own command does
            not wait for the time for looking at the drafts.

    Raises:
        GatesNotPassed: with every unmet gate.
        ApprovalMissing: the month needs one.
    """
    parameters: dict[str, Any] = {"month": month, "run_id": run_id, "started_by": starter.name, "through": starter.kind}
    with warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"))
        lock_month(connection, month)
        connection.execute(text(load_sql("invoicing/lock_discounts.sql")), parameters)
        connection.execute(text(load_sql("invoicing/drafts_waiting.sql")), parameters)
        held = _kept_back(connection, parameters)
        connection.execute(text(_ASK_AGAIN), parameters)
        # after a restore an invoice may be final without its charge: it is written again, from the same lines
        _write_intents(connection, parameters)
        if not _needs_gates(connection, parameters):
            return Finalised(0, held)
        unmet = connection.execute(text("SELECT * FROM billing.unmet_gates(:month)"), parameters).all()
        if unmet:
            raise GatesNotPassed(month, [UnmetGate(*row) for row in unmet])
        missing = connection.execute(
            text("SELECT billing.missing_approval(:month, :started_by, :through)"), parameters
        ).scalar()
        if missing and _drafts_wait(connection, parameters):
            raise ApprovalMissing(f"month {month} is not finalised: {missing}")
        parameters["last_number"] = connection.execute(
            text("SELECT last_number FROM billing.invoice_numbering FOR UPDATE")
        ).scalar_one()
        count = connection.execute(text(load_sql("invoicing/finalise_invoices.sql")), parameters).rowcount
        connection.execute(
            text("UPDATE billing.invoice_numbering SET last_number = last_number + :count"), {"count": count}
        )
        connection.execute(text("SELECT billing.draw_credits(:month, :last_number, :started_by)"), parameters)
        _write_intents(connection, parameters)
        connection.execute(text(load_sql("invoicing/finalised_log.sql")), parameters)
        return Finalised(count, held)


def _kept_back(connection: Connection, parameters: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Customers whose drafts stay drafts, by reason: those on hold, and what waits by itself."""
    held: dict[str, tuple[str, ...]] = {}
    waiting = "SELECT reason, customer_id FROM pg_temp.waiting_drafts ORDER BY 1, 2"
    for statement in (load_sql("invoicing/drafts_on_hold.sql"), waiting):
        for reason, customer_id in connection.execute(text(statement), parameters):
            held[reason] = (*held.get(reason, ()), str(customer_id))
    return held


def _needs_gates(connection: Connection, parameters: dict[str, Any]) -> bool:
    final = connection.execute(
        text("SELECT EXISTS (SELECT FROM billing.invoices WHERE billing_month = :month AND status <> 'draft')"),
        parameters,
    ).scalar_one()
    return not final or _drafts_wait(connection, parameters)


def _drafts_wait(connection: Connection, parameters: dict[str, Any]) -> bool:
    return bool(
        connection.execute(
            text(
                "SELECT EXISTS (SELECT FROM billing.invoices AS i"
                " WHERE i.billing_month = :month AND i.status = 'draft'"
                " AND NOT EXISTS (SELECT FROM billing.held_invoices(:month) AS h WHERE h.invoice_id = i.invoice_id)"
                " AND NOT EXISTS (SELECT FROM pg_temp.waiting_drafts AS w WHERE w.invoice_id = i.invoice_id))"
            ),
            parameters,
        ).scalar_one()
    )


def _write_intents(connection: Connection, parameters: dict[str, Any]) -> None:
    """Stream the invoices through a cursor, COPY the intents in; never more than a batch of them in memory."""
    driver = raw(connection)
    target = sql.SQL("COPY billing.stripe_charges ({}) FROM STDIN (FORMAT binary)").format(
        sql.SQL(", ").join(sql.Identifier(name) for name in _INTENTS)
    )
    with driver.cursor(name="charge_intents") as reader:
        reader.itersize = BATCH
        reader.execute(load_sql("invoicing/charge_intents.sql").encode(), parameters)
        intents = _intents(iter(reader), parameters["run_id"])
        while batch := list(islice(intents, BATCH)):
            with driver.cursor() as writer, writer.copy(target) as copy:
                copy.set_types(_INTENT_TYPES)
                for intent in batch:
                    copy.write_row(intent)


def _intents(rows: Iterator[tuple[Any, ...]], run_id: str) -> Iterator[tuple[Any, ...]]:
    for *header, found in rows:
        invoice = BilledInvoice(*header)
        lines = [_line(*line) for line in found or ()]
        body = frozen_request(invoice, lines)
        yield (
            UUID(invoice.invoice_id), invoice.billing_month, invoice.customer_id, invoice.due_minor, invoice.currency,
            body, run_id, REQUEST_VERSION,
        )  # fmt: skip


def _line(
    number: int, meter: str, description: str, amount_minor: int, kind: str, priced: dict[str, Any]
) -> BilledLine:
    """A line of the query; exact decimals come as text, because a JSON number would be read as a float."""
    exact: dict[str, Any] = {
        name: Decimal(value) if isinstance(value, str) and name != "model" else value for name, value in priced.items()
    }
    return BilledLine(number, meter, description, amount_minor, kind, **exact)


_ASK_AGAIN = """
WITH gone AS (
    DELETE FROM billing.charge_requests WHERE billing_month = :month AND NOT EXISTS (SELECT FROM pg_temp.waiting_drafts)
)
INSERT INTO billing.charge_requests (billing_month, run_id)
SELECT :month, :run_id WHERE EXISTS (SELECT FROM pg_temp.waiting_drafts)
ON CONFLICT (billing_month) DO NOTHING
"""
