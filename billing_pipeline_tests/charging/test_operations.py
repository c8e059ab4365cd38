"""What a person does to one charge: every decision asks Stripe first, and nothing is paid twice by it."""

from typing import Any

import pytest
from sqlalchemy import text

from billing_pipeline.charging.brakes import pause_charging
from billing_pipeline.charging.operations import adopt_invoice, invoice_named, retry_charge
from billing_pipeline.charging.void_at_stripe import void_charge
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline_tests.charging.world import MONTH, NO_EXPECTATION, Bill, World, invoice_id_of

DECLINED = "pm_card_chargeCustomerFail"


ANN = Signature("ann", "looked into it")


def limited(world: World) -> dict[str, Any]:
    return {"limits": NO_EXPECTATION, "log": world.said.append}


def try_again(world: World, customer_id: str) -> Any:
    return retry_charge(world.warehouse, world.gateway(), invoice_id_of(customer_id), ANN, **limited(world))


def take(world: World, customer_id: str, stripe_id: str) -> Any:
    return adopt_invoice(world.warehouse, world.gateway(), invoice_id_of(customer_id), stripe_id, ANN, **limited(world))


def second_invoice(world: World, customer_id: str) -> str:
    customer = world.warehouse.scalar(
        "SELECT stripe_customer_id FROM billing.customers WHERE customer_id = :c", c=customer_id
    )
    return (
        world.gateway().create_invoice(world.request(customer_id)["invoice"], customer, key=f"second {customer_id}").id
    )


def parked_with_two(world: World, customer_id: str) -> tuple[str, str]:
    """Two drafts at Stripe carry the invoice's id; ours knows neither."""
    world.bill(Bill(customer_id))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/add_lines")
    world.charge()
    world.stripe.heal()
    first = world.charges()[customer_id]["stripe_invoice_id"]
    second = second_invoice(world, customer_id)
    world.forget(customer_id)
    world.charge()
    assert world.states()[customer_id] == ("parked", "duplicate_at_stripe")
    return first, second


def test_a_refused_charge_is_tried_again_now_as_another_attempt_in_the_authors_name(world: World) -> None:
    world.bill(Bill("a", card=DECLINED))
    world.charge()
    report = try_again(world, "a")
    assert (world.states(), world.charges()["a"]["attempt"]) == ({"a": ("refused", "declined")}, 2)
    assert report.worked_on == 1
    assert len([call for call in world.stripe.writes() if call.endswith("/pay")]) == 2
    entries = world.warehouse.rows("SELECT actor, reason FROM billing.automation_log WHERE action = 'charge.retry'")
    assert entries == [{"actor": "ann", "reason": "looked into it"}]


def test_what_is_paid_at_stripe_already_is_not_paid_by_a_retry(world: World) -> None:
    world.bill(Bill("a", card=DECLINED))
    world.charge()
    world.stripe.api.invoices.pay(world.charges()["a"]["stripe_invoice_id"], {"paid_out_of_band": True})
    try_again(world, "a")
    assert world.states() == {"a": ("paid", None)}
    assert len([call for call in world.stripe.writes() if call.endswith("/pay")]) == 2  # the first, and the one by hand


def test_a_parked_charge_is_taken_up_from_what_stripe_says_and_parks_again_if_nothing_changed(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/finalize")
    world.charge()
    world.stripe.heal()
    stripe_id = world.charges()["a"]["stripe_invoice_id"]
    extra: Any = {"lines": [{"amount": 1, "description": "by hand"}]}
    added = world.stripe.api.invoices.add_lines(stripe_id, extra)
    world.charge()
    for _ in range(2):
        try_again(world, "a")
        assert world.states() == {"a": ("parked", "total_differs")}
    by_hand = [line.id for line in added.lines.data if line.description == "by hand"]
    removed: Any = {"lines": [{"id": by_hand[0], "behavior": "delete"}]}
    world.stripe.api.invoices.remove_lines(stripe_id, removed)
    try_again(world, "a")
    assert world.states() == {"a": ("paid", None)}
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


def test_one_of_two_invoices_is_adopted_and_the_other_voided(world: World) -> None:
    first, second = parked_with_two(world, "a")
    take(world, "a", second)
    charge = world.charges()["a"]
    assert (charge["state"], charge["stripe_invoice_id"]) == ("paid", second)
    assert [invoice["id"] for invoice in world.stripe.invoices()] == [second], f"{first} was a draft and is deleted"
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


def test_nothing_is_adopted_while_another_one_is_paid(world: World) -> None:
    first, second = parked_with_two(world, "a")
    world.stripe.api.invoices.finalize_invoice(second, {"auto_advance": False})  # nothing on it: paid at once
    with pytest.raises(UserError, match=f"{second} is paid at Stripe"):
        take(world, "a", first)
    assert world.states() == {"a": ("parked", "duplicate_at_stripe")}
    assert {invoice["id"] for invoice in world.stripe.invoices()} == {first, second}


def test_an_invoice_that_is_not_ours_is_not_adopted(world: World) -> None:
    parked_with_two(world, "a")
    world.bill(Bill("b"))
    theirs = second_invoice(world, "b")
    with pytest.raises(UserError, match=r"is not this invoice's: its metadata\.invoice_id is"):
        take(world, "a", theirs)
    with pytest.raises(UserError, match="in_nowhere: Stripe has no such invoice"):
        take(world, "a", "in_nowhere")
    with pytest.raises(UserError, match="is intended, not parked"):
        take(world, "b", theirs)


def test_a_parked_charge_is_voided_with_everything_that_carries_its_id(world: World) -> None:
    parked_with_two(world, "a")
    void_charge(world.warehouse, world.gateway(), invoice_id_of("a"), Signature("ann", "billed elsewhere"))
    assert (world.states()["a"][0], world.stripe.invoices()) == ("void", [])


def test_decisions_wait_for_whoever_has_the_invoice_and_for_a_pause(world: World) -> None:
    world.bill(Bill("a", card=DECLINED))
    world.charge()
    with world.warehouse.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": charge_lock_key(invoice_id_of("a"))})
        with pytest.raises(UserError, match="is being charged right now"):
            try_again(world, "a")
    pause_charging(world.warehouse, Signature("bob", "stop"))
    with pytest.raises(UserError, match="charging is paused by bob: stop: `billing charges resume` first"):
        try_again(world, "a")
    assert world.charges()["a"]["attempt"] == 1


def test_an_invoice_is_named_by_id_or_number(world: World) -> None:
    world.bill(Bill("a"))
    for given in (invoice_id_of("a"), invoice_id_of("a").upper(), "INV-00000001", "inv-00000001"):
        assert invoice_named(world.warehouse, given) == invoice_id_of("a")
    with pytest.raises(UserError, match="INV-2: no finalised invoice has this id or number"):
        invoice_named(world.warehouse, "INV-2")
    world.charge()
    with pytest.raises(UserError, match="is paid: there is nothing to try again"):
        try_again(world, "a")


def test_an_intent_whose_row_was_lost_is_written_anew_and_finds_its_invoice(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.charge()
    body = world.charges()["a"]["request_body"]
    with world.warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM billing.stripe_charges WHERE customer_id = 'a'"))
        connection.execute(text("UPDATE billing.invoices SET status = 'open' WHERE customer_id = 'a'"))
        connection.execute(text("UPDATE billing.customers SET stripe_customer_id = NULL WHERE customer_id = 'a'"))
    finalise_month(world.warehouse, MONTH, "again")
    assert world.charges()["a"]["request_body"] == body
    world.charge()
    assert set(world.states().values()) == {("paid", None)}
    assert (len(world.stripe.invoices()), set(world.stripe.payments().values())) == (2, {1})
