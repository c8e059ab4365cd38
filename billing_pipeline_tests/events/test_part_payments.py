"""An invoice that is paid in parts: what came is known, what is due falls, and a write-off is of the rest."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from billing_pipeline.books.month_closing import close_month
from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.charging.void_at_stripe import VoidRefused, void_charge
from billing_pipeline.core.signature import Signature
from billing_pipeline_tests.charging.days import Days, card_works
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld

ANN = Signature("ann", "a test")


@pytest.fixture
def part_paid(world: EventWorld) -> EventWorld:
    """40.00 were refused, then a person charged 10.00 of them in the dashboard."""
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.catch_up()
    card_works(world, "a")
    path = f"/dashboard/invoices/{world.stripe_id('a')}/charge_customer"
    world.stripe.control("POST", path, {"amount_minor": 1000})
    return world


def due(world: EventWorld) -> dict[str, Any]:
    [row] = world.warehouse.rows("SELECT total_minor, paid_minor, remaining_minor, status FROM billing.receivables")
    return row


def differences(world: EventWorld) -> list[tuple[str, str, str]]:
    later = datetime.now(UTC) + timedelta(minutes=1)
    found = compare_with_stripe(world.warehouse, world.gateway(), "t", later, on_the_way=timedelta()).differences
    return [(one.object_type, one.kind, one.proposed_action) for one in found]


def test_what_is_paid_in_part_is_known_by_its_event_and_what_is_due_falls(part_paid: EventWorld) -> None:
    assert due(part_paid) == {"total_minor": 4000, "paid_minor": 0, "remaining_minor": 4000, "status": "open"}
    assert differences(part_paid) == [("payment", "missing_here", "sweep_events")]
    part_paid.catch_up()
    assert due(part_paid) == {"total_minor": 4000, "paid_minor": 1000, "remaining_minor": 3000, "status": "open"}
    assert differences(part_paid) == []
    assert part_paid.states() == {"a": ("refused", "declined")}


def test_the_next_attempt_asks_for_the_rest(part_paid: EventWorld) -> None:
    Days(part_paid).after(days=2)
    assert part_paid.states() == {"a": ("paid", None)}
    part_paid.catch_up()
    paid = part_paid.warehouse.rows("SELECT paid_minor FROM billing.stripe_payments WHERE status = 'paid' ORDER BY 1")
    assert [row["paid_minor"] for row in paid] == [1000, 3000]
    assert differences(part_paid) == []


def test_a_payment_of_a_part_before_ours_leaves_the_rest_to_be_asked_for(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/pay")
    world.charge()
    world.stripe.heal()
    path = f"/dashboard/invoices/{world.stripe_id('a')}/charge_customer"
    world.stripe.control("POST", path, {"amount_minor": 1000})
    world.charge()
    assert world.states() == {"a": ("paid", None)}


def test_what_is_paid_in_part_is_not_voided_and_we_say_so_before_stripe_does(part_paid: EventWorld) -> None:
    writes = part_paid.stripe.writes()
    with pytest.raises(VoidRefused, match=r"10\.00 USD of the 40\.00 USD of in_\w+ is paid") as refusal:
        void_charge(part_paid.warehouse, part_paid.gateway(), invoice_id_of("a"), ANN)
    assert "write it off" in str(refusal.value)
    assert part_paid.stripe.writes() == writes
    assert part_paid.states()["a"][0] == "refused"


def test_a_part_that_is_paid_while_we_void_is_said_in_the_same_words(
    part_paid: EventWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def first_look(store: Any, charge: Any, invoice: Any) -> None:
        asked.append(invoice)
        if len(asked) > 2:  # before all, and before the call
            refuse_paid(store, charge, invoice)

    from billing_pipeline.charging import void_at_stripe

    refuse_paid = void_at_stripe.refuse_paid
    monkeypatch.setattr(void_at_stripe, "refuse_paid", first_look)
    with pytest.raises(VoidRefused, match="is paid"):
        void_charge(part_paid.warehouse, part_paid.gateway(), invoice_id_of("a"), ANN, sleep=lambda _: None)


def test_the_rest_is_written_off_and_the_month_closes_with_what_came(part_paid: EventWorld) -> None:
    part_paid.stripe.api.invoices.mark_uncollectible(part_paid.stripe_id("a"))
    part_paid.catch_up()
    assert due(part_paid) == {
        "total_minor": 4000,
        "paid_minor": 1000,
        "remaining_minor": 3000,
        "status": "uncollectible",
    }
    now = datetime.now(UTC) + timedelta(minutes=1)
    closed = close_month(part_paid.warehouse, part_paid.gateway(), MONTH, author="ann", run_id="close", now=now)
    assert closed.totals["usd"] == {
        "invoiced": 4000, "paid": 1000, "collected": 1000, "otherwise": 0, "written_off": 3000, "voided": 0,
        "taken_back": 0,
    }  # fmt: skip


def test_an_attached_payment_counts_like_any_other(world: EventWorld) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    customer = world.charges()["a"]["stripe_customer_id"]
    card = world.stripe.api.payment_methods.retrieve("pm_card_visa").id
    world.stripe.api.payment_methods.attach(card, {"customer": customer})
    wanted: Any = {
        "amount": 1500, "currency": "usd", "customer": customer, "payment_method": card, "confirm": True,
        "off_session": True,
    }  # fmt: skip
    intent: stripe.PaymentIntent = world.stripe.api.payment_intents.create(wanted)
    world.stripe.api.invoices.attach_payment(world.stripe_id("a"), {"payment_intent": intent.id})
    world.catch_up()
    assert (due(world)["paid_minor"], due(world)["remaining_minor"]) == (1500, 2500)
    assert differences(world) == []
