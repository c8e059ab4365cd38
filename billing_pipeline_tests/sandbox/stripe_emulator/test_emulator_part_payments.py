"""Invoices that are paid in parts: attached payments, "charge customer", money that never came through Stripe."""

from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated


def part(e: Emulated, invoice: stripe.Invoice, amount_minor: int) -> Any:
    """What the dashboard calls "Charge customer"."""
    return e.control("POST", f"/dashboard/invoices/{invoice.id}/charge_customer", {"amount_minor": amount_minor})


def money(invoice: stripe.Invoice) -> tuple[str | None, int, int, int]:
    return invoice.status, invoice.amount_due, invoice.amount_paid, invoice.amount_remaining


def test_charging_a_part_leaves_the_rest_open_and_the_default_payment_asks_for_it(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(4_000)
    part(emulator, invoice, 1_000)
    assert money(emulator.api.invoices.retrieve(invoice.id)) == ("open", 4_000, 1_000, 3_000)
    payments = emulator.api.invoice_payments.list({"invoice": invoice.id}).data
    assert [(p.is_default, p.status, p.amount_requested, p.amount_paid) for p in payments] == [
        (False, "paid", 1_000, 1_000),
        (True, "open", 3_000, None),
    ]
    assert emulator.event_types(payments[0].id) == ["invoice_payment.paid"]
    assert emulator.event_types(invoice.id)[-1] == "invoice.updated"
    paid = emulator.api.invoices.pay(invoice.id)
    assert money(paid) == ("paid", 4_000, 4_000, 0)
    charges = emulator.api.charges.list({"customer": str(invoice.customer)}).data
    assert sorted(charge.amount for charge in charges) == [1_000, 3_000]
    retrieved = emulator.api.invoice_payments.retrieve(payments[0].id, {"expand": ["payment.payment_intent"]})
    assert isinstance(retrieved.payment.payment_intent, stripe.PaymentIntent)


def test_what_is_paid_in_part_cannot_be_voided_but_written_off(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(4_000)
    part(emulator, invoice, 1_000)
    with pytest.raises(stripe.InvalidRequestError, match="paid in part") as refusal:
        emulator.api.invoices.void_invoice(invoice.id)
    assert (refusal.value.http_status, refusal.value.code) == (400, "invoice_not_editable")
    lost = emulator.api.invoices.mark_uncollectible(invoice.id)
    assert money(lost) == ("uncollectible", 4_000, 1_000, 3_000)
    with pytest.raises(stripe.InvalidRequestError, match="paid in part"):
        emulator.api.invoices.void_invoice(invoice.id)


def test_an_attached_payment_counts_at_once_or_when_it_succeeds(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(4_000)
    method = emulator.api.customers.payment_methods.list(str(invoice.customer)).data[0].id
    fields: Any = {"amount": 1_500, "customer": invoice.customer, "payment_method": method}
    done = emulator.payment_intent(**{**fields, "confirm": True})
    assert done.status == "succeeded"
    after = emulator.api.invoices.attach_payment(invoice.id, {"payment_intent": done.id})
    assert money(after) == ("open", 4_000, 1_500, 2_500)
    waiting = emulator.payment_intent(**{**fields, "amount": 2_500})
    assert waiting.status == "requires_confirmation"
    still = emulator.api.invoices.attach_payment(invoice.id, {"payment_intent": waiting.id})
    assert money(still) == ("open", 4_000, 1_500, 2_500)
    emulator.api.payment_intents.confirm(waiting.id)
    assert money(emulator.api.invoices.retrieve(invoice.id)) == ("paid", 4_000, 4_000, 0)
    assert "invoice.paid" in emulator.event_types(invoice.id)
    statuses = [p.status for p in emulator.api.invoice_payments.list({"invoice": invoice.id})]
    assert sorted(statuses) == ["canceled", "paid", "paid"]


def test_another_customers_payment_a_used_one_and_a_paid_invoice_are_refused(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(4_000)
    foreign: Any = {"amount": 100, "customer": emulator.customer().id}
    other = emulator.payment_intent(**foreign)
    with pytest.raises(stripe.InvalidRequestError, match="customer and the currency"):
        emulator.api.invoices.attach_payment(invoice.id, {"payment_intent": other.id})
    own = emulator.payment_intent(**{**foreign, "customer": invoice.customer})
    emulator.api.invoices.attach_payment(invoice.id, {"payment_intent": own.id})
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        emulator.api.invoices.attach_payment(invoice.id, {"payment_intent": own.id})
    emulator.api.invoices.pay(invoice.id)
    third = emulator.payment_intent(**{**foreign, "customer": invoice.customer})
    with pytest.raises(stripe.InvalidRequestError, match="is paid"):
        emulator.api.invoices.attach_payment(invoice.id, {"payment_intent": third.id})


def test_more_than_is_open_becomes_credit_of_the_customer(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(4_000)
    method = emulator.api.customers.payment_methods.list(str(invoice.customer)).data[0].id
    fields: Any = {"amount": 5_000, "customer": invoice.customer, "payment_method": method}
    done = emulator.payment_intent(**{**fields, "confirm": True})
    after = emulator.api.invoices.attach_payment(invoice.id, {"payment_intent": done.id})
    assert (money(after), after.amount_overpaid) == (("paid", 4_000, 4_000, 0), 1_000)
    assert emulator.api.customers.retrieve(str(invoice.customer)).balance == -1_000
    assert emulator.event_types(invoice.id)[-1] == "invoice.overpaid"


def test_the_rest_paid_outside_stripe_is_told_apart(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(4_000)
    part(emulator, invoice, 1_000)
    paid = emulator.api.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert (money(paid), paid.amount_paid_off_stripe) == (("paid", 4_000, 4_000, 0), 3_000)


def test_a_refused_part_changes_nothing_that_is_due(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(4_000, customer=emulator.customer("pm_card_chargeCustomerFail").id)
    path = f"/_emulator/dashboard/invoices/{invoice.id}/charge_customer"
    refused = emulator.http.post(path, json={"amount_minor": 1_000})
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "card_declined")
    assert money(emulator.api.invoices.retrieve(invoice.id)) == ("open", 4_000, 0, 4_000)
    too_much = emulator.http.post(path, json={"amount_minor": 4_001})
    assert (too_much.status_code, too_much.json()["error"]["param"]) == (400, "amount_minor")


def test_a_credit_note_of_a_partly_paid_invoice_lowers_what_is_open_first(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(4_000)
    part(emulator, invoice, 1_000)
    note = emulator.api.credit_notes.create({"invoice": invoice.id, "amount": 3_500, "refund_amount": 500})
    assert (note.type, note.pre_payment_amount, note.post_payment_amount) == ("mixed", 3_000, 500)
    assert money(emulator.api.invoices.retrieve(invoice.id)) == ("paid", 1_000, 1_000, 0)


def test_a_payment_intent_can_be_canceled_until_it_is_paid(emulator: Emulated) -> None:
    customer = emulator.customer()
    fields: Any = {"amount": 500, "customer": customer.id}
    intent = emulator.payment_intent(**fields)
    assert intent.status == "requires_payment_method"
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        emulator.api.payment_intents.confirm(intent.id)
    assert emulator.api.payment_intents.cancel(intent.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        emulator.api.payment_intents.cancel(intent.id)
    with pytest.raises(stripe.InvalidRequestError) as small:
        emulator.payment_intent(**{**fields, "amount": 49})
    assert small.value.code == "amount_too_small"
