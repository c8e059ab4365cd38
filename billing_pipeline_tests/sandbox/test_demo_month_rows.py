"""What the demo reads of a month in which invoices were voided, credited or adjusted."""

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.month_rows import read_month
from billing_pipeline_tests.charging.world import MONTH, Bill, Emulated
from billing_pipeline_tests.corrections.world import CorrectingWorld


def test_a_void_invoice_and_its_lines_are_not_the_months(warehouse: Warehouse, stripe_side: Emulated) -> None:
    world = CorrectingWorld(warehouse, stripe_side)
    world.charged(Bill("ann"), Bill("bob", card="pm_card_chargeCustomerFail"))
    void_invoice(warehouse, world.gateway(), world.number_of("bob"), Signature("ops", "wrong"))
    month = read_month(warehouse, MONTH)
    assert [row["customer_id"] for row in month.invoices] == ["ann"]
    assert [row["customer_id"] for row in month.lines] == ["ann"]


def test_credit_notes_are_beside_the_invoice(warehouse: Warehouse, stripe_side: Emulated) -> None:
    world = CorrectingWorld(warehouse, stripe_side)
    world.charged(Bill("ann"))
    world.credit("ann", 1500)
    [row] = read_month(warehouse, MONTH).invoices
    assert (row["total_minor"], row["credited_minor"], row["adjusted_minor"], row["supplement_no"]) == (
        4000,
        1500,
        0,
        0,
    )
