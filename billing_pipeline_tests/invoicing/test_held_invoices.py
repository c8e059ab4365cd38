"""Which drafts stay drafts is the same when one is asked for and when all of a month are."""

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.holds import customer_subject, invoice_subject, month_subject, place_hold
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld

WHO = Signature("ann", "asked to")


def held(warehouse: Warehouse) -> set[str]:
    together = warehouse.rows("SELECT invoice_id::text AS id FROM billing.held_invoices(:month)", month=MONTH)
    singly = warehouse.rows(
        "SELECT invoice_id::text AS id FROM billing.invoices WHERE billing_month = :month"
        " AND billing.is_draft_held(customer_id, invoice_id, billing_month)",
        month=MONTH,
    )
    assert sorted(together, key=str) == sorted(singly, key=str)
    return {row["id"] for row in together}


def test_a_draft_is_held_by_status_customer_invoice_and_month(world: EventWorld) -> None:
    world.drafts(Bill("a"), Bill("b", status="on_hold"), Bill("c"), Bill("d"))
    assert held(world.warehouse) == {invoice_id_of("b")}
    place_hold(world.warehouse, customer_subject(world.warehouse, "c"), WHO)
    assert held(world.warehouse) == {invoice_id_of(one) for one in "bc"}
    place_hold(world.warehouse, invoice_subject(world.warehouse, invoice_id_of("d")), WHO)
    assert held(world.warehouse) == {invoice_id_of(one) for one in "bcd"}
    place_hold(world.warehouse, month_subject(MONTH), WHO)
    assert held(world.warehouse) == {invoice_id_of(one) for one in "abcd"}
