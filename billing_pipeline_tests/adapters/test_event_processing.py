"""Events of Stripe's, processed: real Postgres, the emulator over real HTTP."""

from collections.abc import Iterator

import pytest

from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline_tests.adapters.charging_world import Bill, invoice_id_of, running_stripe
from billing_pipeline_tests.adapters.event_world import EventWorld


@pytest.fixture
def world(warehouse: Warehouse) -> Iterator[EventWorld]:
    with running_stripe() as emulated:
        yield EventWorld(warehouse, emulated)


def test_what_a_charged_month_says_is_applied_and_changes_no_charge(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("broke", card="pm_card_chargeCustomerFail"))
    world.charge()
    before = world.states()
    report = world.catch_up()
    assert world.states() == before
    states = {row["type"]: row["state"] for row in world.work()}
    assert {states[name] for name in states if name.startswith("invoice.") and name != "invoice.updated"} == {"applied"}
    assert states["invoice.updated"] == states["payment_intent.succeeded"] == "ignored"
    paid = {row["invoice_id"]: (row["status"], row["paid_minor"]) for row in world.mirrored("stripe_payments")}
    assert {str(key): value for key, value in paid.items()} == {
        invoice_id_of("a"): ("paid", 4000),
        invoice_id_of("broke"): ("open", 0),
    }
    assert report.outcomes["applied"] == sum(row["state"] == "applied" for row in world.work())
