"""Cards, refusals, refunds, credit notes and disputes."""

from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated


def test_a_decline_names_its_codes_and_leaves_the_invoice_open(emulator: Emulated) -> None:
    customer = emulator.customer("pm_card_chargeCustomerFail")
    invoice = emulator.open_invoice(customer=customer.id)
    with pytest.raises(stripe.CardError) as refusal:
        emulator.api.invoices.pay(invoice.id)
    error = refusal.value.error
    assert error is not None
    assert (refusal.value.http_status, error.code, error.decline_code) == (
        402,
        "card_declined",
        "generic_decline",
    )
    assert error.payment_intent is not None
    assert error.payment_intent.status == "requires_payment_method"
    after = emulator.api.invoices.retrieve(invoice.id)
    assert (after.status, after.attempted, after.attempt_count) == ("open", True, 1)
    assert "invoice.payment_failed" in emulator.event_types(invoice.id)
    charge = emulator.api.charges.list({"customer": customer.id}).data[0]
    assert (charge.status, charge.failure_code) == ("failed", "card_declined")


@pytest.mark.parametrize(
    ("outcome", "code", "decline_code"),
    [
        ("insufficient_funds", "card_declined", "insufficient_funds"),
        ("stolen_card", "card_declined", "stolen_card"),
        ("expired_card", "expired_card", None),
        ("processing_error", "processing_error", None),
    ],
)
def test_a_card_that_worked_can_start_to_decline(
    emulator: Emulated, outcome: str, code: str, decline_code: str | None
) -> None:
    customer = emulator.customer()
    method = emulator.api.customers.payment_methods.list(customer.id).data[0].id
    invoice = emulator.open_invoice(customer=customer.id)
    emulator.control("POST", "/cards", {"payment_method": method, "outcome": outcome})
    with pytest.raises(stripe.CardError) as refusal:
        emulator.api.invoices.pay(invoice.id)
    assert refusal.value.error is not None
    assert (refusal.value.code, refusal.value.error.decline_code) == (code, decline_code)
    emulator.control("POST", "/cards", {"payment_method": method, "outcome": "success"})
    assert emulator.api.invoices.pay(invoice.id).status == "paid"


@pytest.mark.parametrize(
    "card",
    ["pm_card_chargeDeclined", "pm_card_visa_chargeDeclined", "pm_card_visa_chargeDeclinedInsufficientFunds"],
)
def test_declining_cards_other_than_0341_are_declined_at_attaching_already(emulator: Emulated, card: str) -> None:
    with pytest.raises(stripe.CardError):
        emulator.api.payment_methods.attach(card, {"customer": emulator.customer(None).id})


def test_authentication_leaves_the_intent_waiting_for_action(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(customer=emulator.customer("pm_card_authenticationRequired").id)
    with pytest.raises(stripe.CardError) as refusal:
        emulator.api.invoices.pay(invoice.id)
    assert refusal.value.code == "invoice_payment_intent_requires_action"
    payment = emulator.api.invoice_payments.list({"invoice": invoice.id}).data[0].payment
    assert emulator.api.payment_intents.retrieve(str(payment.payment_intent)).status == "requires_action"
    assert "invoice.payment_action_required" in emulator.event_types(invoice.id)


def test_without_a_payment_method_paying_is_a_400_and_no_attempt(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(customer=emulator.customer(None).id)
    with pytest.raises(stripe.InvalidRequestError, match="default_payment_method") as refusal:
        emulator.api.invoices.pay(invoice.id)
    assert refusal.value.http_status == 400
    assert emulator.api.invoices.retrieve(invoice.id).attempt_count == 0


def test_the_invoices_own_method_and_the_one_given_go_before_the_customers(emulator: Emulated) -> None:
    customer = emulator.customer("pm_card_chargeCustomerFail").id
    good = emulator.api.payment_methods.attach("pm_card_mastercard", {"customer": customer}).id
    first = emulator.open_invoice(customer=customer, default_payment_method=good)
    assert emulator.api.invoices.pay(first.id).status == "paid"
    second = emulator.open_invoice(customer=customer)
    assert emulator.api.invoices.pay(second.id, {"payment_method": good}).status == "paid"


def test_a_detached_card_is_no_default_any_more_and_cannot_return(emulator: Emulated) -> None:
    customer = emulator.customer().id
    method = emulator.api.customers.payment_methods.list(customer).data[0].id
    emulator.api.payment_methods.detach(method)
    settings = emulator.api.customers.retrieve(customer).invoice_settings
    assert settings is not None
    assert settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        emulator.api.payment_methods.attach(method, {"customer": customer})


def test_another_customers_card_is_no_default(emulator: Emulated) -> None:
    other = emulator.api.customers.payment_methods.list(emulator.customer().id).data[0].id
    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        emulator.api.customers.update(emulator.customer().id, {"invoice_settings": {"default_payment_method": other}})


def test_refunds_never_exceed_the_charge(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(1_000)
    emulator.api.invoices.pay(invoice.id)
    charge = emulator.api.charges.list({"customer": str(invoice.customer)}).data[0].id
    emulator.api.refunds.create({"charge": charge, "amount": 400})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        emulator.api.refunds.create({"charge": charge, "amount": 601})
    emulator.api.refunds.create({"charge": charge})
    assert emulator.api.charges.retrieve(charge).refunded is True
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        emulator.api.refunds.create({"charge": charge})
    assert refusal.value.code == "charge_already_refunded"
    assert emulator.event_types(charge) == ["charge.succeeded", "charge.refunded", "charge.refunded"]


def test_a_credit_note_lowers_an_open_invoice_and_can_be_voided(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(1_000)
    note = emulator.api.credit_notes.create({"invoice": invoice.id, "amount": 300})
    assert (note.type, note.pre_payment_amount) == ("pre_payment", 300)
    assert emulator.api.invoices.retrieve(invoice.id).amount_remaining == 700
    emulator.api.credit_notes.void_credit_note(note.id)
    assert emulator.api.invoices.retrieve(invoice.id).amount_remaining == 1_000
    emulator.api.credit_notes.create({"invoice": invoice.id, "amount": 400})
    assert emulator.api.invoices.pay(invoice.id).amount_paid == 600


def test_a_credit_note_for_all_that_is_open_pays_the_invoice(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(1_000)
    emulator.api.credit_notes.create({"invoice": invoice.id, "amount": 1_000})
    assert emulator.api.invoices.retrieve(invoice.id).status == "paid"


def test_a_credit_note_of_a_paid_invoice_says_where_the_money_goes(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(1_000)
    emulator.api.invoices.pay(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match="must equal"):
        emulator.api.credit_notes.create({"invoice": invoice.id, "amount": 500})
    note = emulator.api.credit_notes.create(
        {"invoice": invoice.id, "amount": 500, "refund_amount": 200, "credit_amount": 300}
    )
    assert (note.type, note.post_payment_amount, note.refunds[0].amount_refunded) == (
        "post_payment",
        500,
        200,
    )
    assert emulator.api.customers.retrieve(str(invoice.customer)).balance == -300
    with pytest.raises(stripe.InvalidRequestError, match="must not be greater"):
        emulator.api.credit_notes.create({"invoice": invoice.id, "amount": 501, "credit_amount": 501})


def disputed(emulator: Emulated, **fields: Any) -> dict[str, Any]:
    invoice = emulator.open_invoice()
    emulator.api.invoices.pay(invoice.id)
    made: dict[str, Any] = emulator.control("POST", "/disputes", {"invoice": invoice.id, **fields})
    return made


def test_a_dispute_opens_and_closes_with_events(emulator: Emulated) -> None:
    dispute = disputed(emulator, reason="product_not_received")
    assert emulator.api.charges.retrieve(dispute["charge"]).disputed is True
    emulator.control("POST", f"/disputes/{dispute['id']}/close", {"status": "lost"})
    assert emulator.event_types(dispute["id"]) == [
        "charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"
    ]  # fmt: skip
    [withdrawn] = emulator.api.disputes.retrieve(dispute["id"]).balance_transactions
    assert (withdrawn.amount, withdrawn.fee, withdrawn.net) == (-dispute["amount"], 1500, -dispute["amount"] - 1500)


def test_a_dispute_that_is_won_gives_the_money_back(emulator: Emulated) -> None:
    dispute = disputed(emulator)
    emulator.control("POST", f"/disputes/{dispute['id']}/answer")
    assert emulator.api.disputes.retrieve(dispute["id"]).status == "under_review"
    emulator.control("POST", f"/disputes/{dispute['id']}/close", {"status": "won"})
    assert emulator.event_types(dispute["id"]) == [
        "charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.updated", "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]  # fmt: skip
    booked = emulator.api.disputes.retrieve(dispute["id"]).balance_transactions
    assert (sum(one.amount for one in booked), sum(one.net for one in booked)) == (0, 0)


def test_an_inquiry_takes_no_money_until_it_becomes_a_dispute(emulator: Emulated) -> None:
    dispute = disputed(emulator, inquiry=True)
    assert (dispute["status"], dispute["balance_transactions"]) == ("warning_needs_response", [])
    assert emulator.api.charges.retrieve(dispute["charge"]).disputed is False
    emulator.control("POST", f"/disputes/{dispute['id']}/escalate")
    assert emulator.event_types(dispute["id"]) == [
        "charge.dispute.created", "charge.dispute.updated", "charge.dispute.funds_withdrawn"
    ]  # fmt: skip
    closed = disputed(emulator, inquiry=True)
    assert emulator.control("POST", f"/disputes/{closed['id']}/close", {"status": "warning_closed"})["status"] == (
        "warning_closed"
    )


def test_a_subscription_bills_its_first_period_and_can_be_cancelled(emulator: Emulated) -> None:
    product = emulator.api.products.create({"name": "Seat"})
    price = emulator.api.prices.create(
        {"currency": "usd", "product": product.id, "unit_amount": 500, "recurring": {"interval": "month"}}
    )
    customer = emulator.customer().id
    subscription = emulator.api.subscriptions.create(
        {"customer": customer, "items": [{"price": price.id, "quantity": 2}]}
    )
    assert subscription.status == "active"
    invoice = emulator.api.invoices.list({"subscription": subscription.id}).data[0]
    assert (invoice.status, invoice.total, invoice.billing_reason) == ("paid", 1_000, "subscription_create")
    emulator.api.subscriptions.update(subscription.id, {"metadata": {"plan": "pro"}})
    assert emulator.api.subscriptions.cancel(subscription.id).status == "canceled"
    assert emulator.api.subscriptions.list({"customer": customer}).data == []
    assert len(emulator.api.subscriptions.list({"customer": customer, "status": "all"}).data) == 1
    assert emulator.event_types(subscription.id) == [
        "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted"
    ]  # fmt: skip


def test_a_subscription_whose_first_payment_fails_is_incomplete(emulator: Emulated) -> None:
    product = emulator.api.products.create({"name": "Seat"})
    data = {"currency": "usd", "product": product.id, "unit_amount": 500, "recurring": {"interval": "month"}}
    customer = emulator.customer("pm_card_chargeCustomerFail").id
    fields: Any = {"customer": customer, "items": [{"price_data": data}]}
    strict: Any = {**fields, "payment_behavior": "error_if_incomplete"}
    created = emulator.api.subscriptions.create(fields)
    assert created.status == "incomplete"
    assert emulator.api.subscriptions.cancel(created.id).status == "incomplete_expired"
    with pytest.raises(stripe.CardError):
        emulator.api.subscriptions.create(strict)
    assert len(emulator.api.subscriptions.list({"customer": customer, "status": "all"}).data) == 1
