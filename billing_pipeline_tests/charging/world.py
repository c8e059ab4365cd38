"""A month of drafts that passed its gates, an emulator with its customers, and the questions tests ask of both."""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import stripe
from sqlalchemy import text

from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.month_verification import verify_month
from billing_pipeline.charging.report import ChargeReport
from billing_pipeline.charging.rules.brakes import Limits
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.core.money import exponent
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.stripe_emulator.server import running_emulator
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.api import StripeApi
from billing_pipeline_tests.plain_http import WITHOUT_TLS

if TYPE_CHECKING:
    pass

MONTH = date(2026, 10, 1)
KEY = "sk_test_emulator"
PRICE = uuid.UUID(int=1)
NO_EXPECTATION = Limits(canary_refusals_max_percent=100)


@dataclass(frozen=True)
class Bill:
    """A customer and the lines of its draft, in minor units; `card` None: no payment method."""

    customer_id: str
    amounts: tuple[int, ...] = (4000,)
    currency: str = "usd"
    card: str | None = "pm_card_visa"
    status: str = "active"
    at_stripe: bool = True
    meters: tuple[str, ...] = field(default=("users",))


def invoice_id_of(customer_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, customer_id))


def insert_drafts(warehouse: Warehouse, bills: Sequence[Bill], stripe_ids: dict[str, str]) -> None:
    """Customers, periods, lines and drafts of MONTH."""
    customers = [
        {
            "customer_id": bill.customer_id,
            "invoice_id": invoice_id_of(bill.customer_id),
            "name": f"Customer {bill.customer_id}",
            "email": f"{bill.customer_id}@example.com",
            "currency": bill.currency,
            "status": bill.status,
            "stripe": stripe_ids.get(bill.customer_id),
            "total": sum(bill.amounts),
            "lines": len(bill.amounts),
        }
        for bill in bills
    ]
    lines = [
        {
            "invoice_id": invoice_id_of(bill.customer_id),
            "line_no": number,
            "description": f"line {number}",
            "customer_id": bill.customer_id,
            "meter": bill.meters[number % len(bill.meters)],
            "unit": Decimal(amount).scaleb(-exponent(bill.currency)),
            "amount": amount,
            "price": PRICE,
        }
        for bill in bills
        for number, amount in enumerate(bill.amounts, start=1)
    ]
    with warehouse.transaction() as connection:
        connection.execute(text(_PRICE), {"id": PRICE})
        connection.execute(text(_CUSTOMER), customers)
        connection.execute(text(_PERIOD), customers)
        if lines:
            connection.execute(text(_LINE), lines)
        connection.execute(text(_INVOICE), customers)


def pass_gates(warehouse: Warehouse) -> None:
    """Every required gate passes for the rows as they are."""
    with warehouse.transaction() as connection:
        for statement in _GATES:
            connection.execute(text(statement))


_PRICE = """
INSERT INTO billing.prices (
    price_id, book, currency, version_id, effective_from, meter, dimensions, model, tier_no, tier_from, unit_amount,
    included, position
) VALUES (:id, 'b', 'usd', 'v', '2025-01-01', 'users', '{}', 'per_unit', 0, 0, 1, 0, 1)
ON CONFLICT DO NOTHING
"""
_CUSTOMER = """
INSERT INTO billing.customers (customer_id, name, email, currency, timezone, status, stripe_customer_id)
VALUES (:customer_id, :name, :email, :currency, 'UTC', :status, :stripe)
"""
_PERIOD = """
INSERT INTO billing.billing_periods (
    customer_id, billing_month, currency, period_start, period_end, start_date, end_date, timezone
) VALUES (
    :customer_id, '2026-10-01', :currency, '2026-10-01Z', '2026-11-01Z', '2026-10-01', '2026-11-01', 'UTC'
)
"""
_LINE = """
INSERT INTO billing.invoice_line_items (
    invoice_id, line_no, period_id, customer_id, billing_month, meter, dimensions, kind, description, usage_quantity,
    included_quantity, quantity, unit_amount, exact_amount, currency, amount_minor, price_id, price_version, basis,
    run_id
)
SELECT CAST(:invoice_id AS uuid), CAST(:line_no AS integer), p.period_id, p.customer_id, p.billing_month, :meter, '{}',
    'usage', :description, 1, 0, 1, CAST(:unit AS numeric), CAST(:unit AS numeric), p.currency,
    CAST(:amount AS bigint), CAST(:price AS uuid), 'v', 'measured', 'r'
FROM billing.billing_periods AS p WHERE p.customer_id = :customer_id
"""
_INVOICE = """
INSERT INTO billing.invoices (
    invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, run_id
)
SELECT CAST(:invoice_id AS uuid), p.customer_id, p.period_id, p.billing_month, p.currency, :total, :lines, 'r'
FROM billing.billing_periods AS p WHERE p.customer_id = :customer_id
"""
_GATES = (
    """
    INSERT INTO billing.asset_months (asset, billing_month, version)
    SELECT DISTINCT asset, DATE '2026-10-01', 1 FROM billing.required_gates
    ON CONFLICT DO NOTHING
    """,
    """
    UPDATE billing.asset_months AS d SET built_from = u.version FROM billing.asset_months AS u
    WHERE (d.asset, u.asset) IN (('invoice_line_items', 'usage_snapshots'), ('invoices', 'invoice_line_items'))
        AND u.billing_month = d.billing_month
    """,
    """
    INSERT INTO billing.gate_results (
        asset, billing_month, version, check_name, passed, blocking, failing_rows, evidence, run_id
    )
    SELECT g.asset, m.billing_month, m.version, g.check_name, true, true, 0, '{}', 'r'
    FROM billing.required_gates AS g JOIN billing.asset_months AS m USING (asset)
    """,
)


class Emulated:
    """A running emulator: the SDK, the control surface, and what became of our invoices."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.api = stripe.StripeClient(KEY, base_addresses={"api": base_url}, max_network_retries=0).v1
        self.http = httpx.Client(base_url=base_url, verify=WITHOUT_TLS)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        response = self.http.request(method, f"/_emulator{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def fault(self, kind: str, operation: str = "**", **fields: Any) -> None:
        self.control("POST", "/faults", {"kind": kind, "operation": operation, **fields})

    def heal(self) -> None:
        self.control("DELETE", "/faults")

    def customer(self, bill: Bill) -> str:
        params: Any = {"email": f"{bill.customer_id}@example.com", "metadata": {"customer_id": bill.customer_id}}
        if bill.card:
            method = self.api.payment_methods.retrieve(bill.card).id
            params |= {"payment_method": method, "invoice_settings": {"default_payment_method": method}}
        return self.api.customers.create(params).id

    def payments(self) -> dict[str, int]:
        """Successful payments by our invoice id, over all invoices of Stripe that carry it."""
        by_stripe_id = self.control("GET", "/summary")["successful_payments_by_invoice"]
        paid: dict[str, int] = {}
        for invoice in self.invoices():
            ours = invoice["metadata"]["invoice_id"]
            paid[ours] = paid.get(ours, 0) + by_stripe_id.get(invoice["id"], 0)
        return paid

    def invoices(self) -> list[dict[str, Any]]:
        listed = self.api.invoices.list({"limit": 100}).auto_paging_iter()
        return [invoice.to_dict(for_json=True) for invoice in listed]

    def writes(self) -> list[str]:
        """The POST calls so far, as `METHOD path`."""
        calls = self.control("GET", "/calls?limit=100000")["calls"]
        return [f"{call['method']} {call['path']}" for call in calls if call["method"] == "POST"]


class World:
    """A warehouse and an emulator with a finalised month."""

    def __init__(self, warehouse: Warehouse, stripe_side: Emulated) -> None:
        self.warehouse = warehouse
        self.stripe = stripe_side
        self.said: list[str] = []

    def drafts(self, *bills: Bill) -> None:
        ids = {bill.customer_id: self.stripe.customer(bill) for bill in bills if bill.at_stripe}
        insert_drafts(self.warehouse, bills, ids)
        pass_gates(self.warehouse)

    def bill(self, *bills: Bill) -> None:
        self.drafts(*bills)
        finalise_month(self.warehouse, MONTH, "run-0")

    def gateway(self) -> StripeGateway:
        return StripeGateway(KEY, self.stripe.base_url, timeout_s=(5, 20), sleep=lambda _: None)

    def charge(self, api: StripeApi | None = None, **options: Any) -> ChargeReport:
        # the months of tests are full of refusals
        settings: dict[str, Any] = {"workers": 4, "log": self.said.append, "limits": NO_EXPECTATION, **options}
        return charge_invoices_of_month(self.warehouse, api or self.gateway(), MONTH, "run-1", RunOptions(**settings))

    def charges(self) -> dict[str, dict[str, Any]]:
        """Rows of stripe_charges by customer."""
        rows = self.warehouse.rows(
            "SELECT c.*, i.status FROM billing.stripe_charges c JOIN billing.invoices i USING (invoice_id)"
        )
        return {row["customer_id"]: row for row in rows}

    def states(self) -> dict[str, tuple[str, str | None]]:
        return {customer: (row["state"], row["reason_code"]) for customer, row in self.charges().items()}

    def problems(self) -> list[tuple[str, str]]:
        """What verification finds wrong in the month, by customer."""
        return [(row.customer_id, row.problem) for row in verify_month(self.warehouse, self.gateway(), MONTH)]

    def logged(self, customer_id: str) -> list[str]:
        """Actions in the audit log about the customer's invoice."""
        rows = self.warehouse.rows(
            "SELECT action FROM billing.automation_log WHERE object_id = :id ORDER BY log_id",
            id=invoice_id_of(customer_id),
        )
        return [row["action"] for row in rows]

    def forget(self, customer_id: str, *, claimed: bool = False) -> None:
        """As a failover without synchronous commit would: the row is an intent again."""
        with self.warehouse.transaction() as connection:
            connection.execute(
                text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
            )  # no trigger minds
            connection.execute(
                text(
                    "UPDATE billing.stripe_charges SET state = 'intended', stripe_invoice_id = NULL, attempt = 1,"
                    " reason_code = NULL, stripe_total_minor = NULL,"
                    " stripe_customer_id = CASE WHEN :claimed THEN stripe_customer_id END WHERE customer_id = :c"
                ),
                {"c": customer_id, "claimed": claimed},
            )
            connection.execute(
                text("UPDATE billing.invoices SET status = 'open' WHERE customer_id = :c"), {"c": customer_id}
            )

    def request(self, customer_id: str) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(bytes(self.charges()[customer_id]["request_body"]))
        return body


@contextmanager
def running_stripe(path: Path | None = None) -> Iterator[Emulated]:
    """An emulator; `path`: the file in which it finds and leaves all that it knows."""
    with running_emulator(path, rate_limit_per_s=0, rate_limit_per_endpoint_per_s=0) as running:
        emulated = Emulated(running.base_url)
        yield emulated
        emulated.http.close()
