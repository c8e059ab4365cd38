"""A contract that a customer begins or ends itself: from today on, on a plan of the price book."""

from datetime import date
from typing import Any

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.contracts import change_plan, contracts_of, end_contract, start_contract
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.postgres.warehouse import Warehouse


def subscribe(
    warehouse: Warehouse, customer_id: str, plan: str, on: date | None, signature: Signature, *, backdated: bool
) -> list[dict[str, Any]]:
    """Begin a contract on the plan, or change the plan of the one that runs; returns the contracts.

    `on` is a day in the customer's zone, today if None; only with `backdated` it may be over.

    Raises:
        UserError: there is no such customer or plan, or the day is over.
    """
    first = _day(warehouse, customer_id, on, backdated=backdated)
    currency = str(read_customer(warehouse, customer_id)["currency"])
    plans = warehouse.rows(_PLANS, currency=currency)
    known = [str(row["plan"]) for row in plans]
    if plan not in known:
        raise UserError(f'plan "{plan}": expected one of the price book: {", ".join(known) or "it has none"}')
    running = [
        row
        for row in contracts_of(warehouse, customer_id)
        if row["starts_on"] <= first and (row["ends_on"] is None or row["ends_on"] >= first)
    ]
    if any(row["plan"] == plan for row in running):
        return contracts_of(warehouse, customer_id)
    if running and not running[0]["start_inferred"]:
        return change_plan(warehouse, customer_id, first, plan, signature)
    return start_contract(warehouse, customer_id, first, signature, plan=plan)


def unsubscribe(
    warehouse: Warehouse, customer_id: str, on: date | None, signature: Signature, *, backdated: bool
) -> list[dict[str, Any]]:
    """Make this the last billed day, today if None.

    Raises:
        UserError: there is no such customer, no contract runs then, or the day is over.
    """
    last = _day(warehouse, customer_id, on, backdated=backdated)
    return end_contract(warehouse, customer_id, last, signature)


def _day(warehouse: Warehouse, customer_id: str, on: date | None, *, backdated: bool) -> date:
    read_customer(warehouse, customer_id)
    today: date = warehouse.scalar(
        "SELECT (clock_timestamp() AT TIME ZONE timezone)::date FROM billing.customers WHERE customer_id = :id",
        id=customer_id,
    )
    if on is not None and on < today and not backdated:
        raise UserError(f"on {on}: expected {today} or later")
    return on or today


_PLANS = """
SELECT plan FROM billing.prices WHERE currency = :currency AND plan IS NOT NULL AND retired_at IS NULL
UNION
SELECT plan FROM billing.terms WHERE currency = :currency AND plan IS NOT NULL AND retired_at IS NULL
ORDER BY 1
"""
