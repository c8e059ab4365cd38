"""Revenue is what is final, net of credit notes; drafts stand in a view of their own."""

from typing import Any

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.rules.crediting import CreditLine
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Bill, Emulated
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.invoicing.recurring import recurring, recurring_by_lines


def revenue(warehouse: Warehouse) -> dict[str, tuple[Any, ...]]:
    rows = warehouse.rows("SELECT * FROM billing.monthly_revenue ORDER BY meter")
    return {row["meter"]: (row["billed_minor"], row["credited_minor"], row["revenue_minor"]) for row in rows}


def drafted(warehouse: Warehouse) -> dict[str, int]:
    rows = warehouse.rows("SELECT meter, drafted_minor FROM billing.monthly_drafts ORDER BY meter")
    return {row["meter"]: row["drafted_minor"] for row in rows}


def test_drafts_are_no_revenue(warehouse: Warehouse, stripe_side: Emulated) -> None:
    world = CorrectingWorld(warehouse, stripe_side)
    world.drafts(Bill("ann", (4000, 1000)), Bill("bob"))
    assert (revenue(warehouse), drafted(warehouse)) == ({}, {"users": 9000})


def test_revenue_is_net_of_credit_notes_and_void_invoices_have_none(
    warehouse: Warehouse, stripe_side: Emulated
) -> None:
    world = CorrectingWorld(warehouse, stripe_side)
    world.charged(
        Bill("ann", (4000, 1000), meters=("seats", "users")),
        Bill("bob", card="pm_card_chargeCustomerFail"),
        Bill("eve"),
    )
    assert drafted(warehouse) == {}
    void_invoice(warehouse, world.gateway(), world.number_of("bob"), Signature("ops", "wrong"))
    world.credit("ann", lines=[CreditLine("one user less", 600, 1)], reason="one less")
    world.credit("eve", 1500)
    seats_or_users = revenue(warehouse)
    assert seats_or_users.pop("credit notes") == (0, 1500, -1500)
    assert sum(row[0] for row in seats_or_users.values()) == 9000
    assert sum(row[1] for row in seats_or_users.values()) == 600
    assert seats_or_users["users"] == (8000, 600, 7400)
    assert recurring(warehouse) == {("ann", "2026-10"): 4400, ("eve", "2026-10"): 2500}
    assert recurring(warehouse) == recurring_by_lines(warehouse)
