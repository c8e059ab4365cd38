"""Payments that take days: the invoice stays open until the bank has answered, and then it is paid or not."""

from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated

FOUR_DAYS = 4 * 86_400


def debited(e: Emulated, kind: str = "sepa_debit", **fields: Any) -> stripe.Invoice:
    """An invoice of a customer who pays by bank debit, and whose bank was asked."""
    customer = e.customer(None).id
    e.control("POST", "/customer_payment_methods", {"customer": customer, "kind": kind, **fields})
    return e.api.invoices.pay(e.open_invoice(4_000, customer=customer).id)


def intent(e: Emulated, invoice: str) -> stripe.PaymentIntent:
    payment = e.api.invoice_payments.list({"invoice": invoice}).data[0].payment
    return e.api.payment_intents.retrieve(str(payment.payment_intent))


@pytest.mark.parametrize("kind", ["sepa_debit", "us_bank_account", "au_becs_debit", "bacs_debit", "boleto"])
def test_an_invoice_stays_open_while_a_bank_is_asked_and_is_paid_when_it_has_answered(
    fresh: Emulated, kind: str
) -> None:
    invoice = debited(fresh, kind)
    assert (invoice.status, invoice.amount_remaining, invoice.attempt_count) == ("open", 4_000, 1)
    assert intent(fresh, invoice.id).status == "processing"
    fresh.advance(FOUR_DAYS - 60)
    assert fresh.api.invoices.retrieve(invoice.id).status == "open"
    fresh.advance(120)
    paid = fresh.api.invoices.retrieve(invoice.id)
    assert (paid.status, paid.amount_paid, paid.attempt_count) == ("paid", 4_000, 1)
    done = intent(fresh, invoice.id)
    assert fresh.event_types(done.id) == [
        "payment_intent.created",
        "payment_intent.processing",
        "payment_intent.succeeded",
    ]
    assert fresh.event_types(str(done.latest_charge)) == ["charge.pending", "charge.succeeded"]
    assert fresh.event_types(invoice.id)[-3:] == ["invoice.updated", "invoice.paid", "invoice.payment_succeeded"]


@pytest.mark.parametrize(
    ("outcome", "code", "decline_code"),
    [
        ("debit_not_authorized", "debit_not_authorized", None),
        ("account_closed", "account_closed", None),
        ("insufficient_funds", "insufficient_funds", None),
        ("payment_attempt_failed", "payment_intent_payment_attempt_failed", None),
        ("generic_decline", None, "generic_decline"),
        ("no_code", None, None),
    ],
)
def test_a_debit_that_fails_says_why_or_does_not_and_leaves_the_invoice_open(
    fresh: Emulated, outcome: str, code: str | None, decline_code: str | None
) -> None:
    invoice = debited(fresh, outcome=outcome)
    fresh.advance(FOUR_DAYS + 1)
    after = fresh.api.invoices.retrieve(invoice.id)
    assert (after.status, after.amount_remaining, after.attempt_count) == ("open", 4_000, 1)
    failed = intent(fresh, invoice.id).to_dict(for_json=True)
    assert (failed["status"], failed["payment_method"]) == ("requires_payment_method", None)
    error = failed["last_payment_error"]
    assert (error.get("code"), error.get("decline_code")) == (code, decline_code)
    charge = fresh.api.charges.retrieve(failed["latest_charge"])
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert fresh.event_types(invoice.id)[-1] == "invoice.payment_failed"
    assert fresh.event_types(charge.id) == ["charge.pending", "charge.failed"]


def test_what_is_processing_can_be_neither_paid_again_nor_voided(emulator: Emulated) -> None:
    invoice = debited(emulator, "us_bank_account")
    with pytest.raises(stripe.InvalidRequestError, match="processing") as refusal:
        emulator.api.invoices.pay(invoice.id)
    assert (refusal.value.http_status, refusal.value.code) == (400, "payment_intent_unexpected_state")
    with pytest.raises(stripe.InvalidRequestError, match="processing"):
        emulator.api.invoices.pay(invoice.id, {"paid_out_of_band": True})
    with pytest.raises(stripe.InvalidRequestError, match="processing"):
        emulator.api.invoices.void_invoice(invoice.id)
    assert emulator.api.invoices.retrieve(invoice.id).attempt_count == 1


def test_a_failed_debit_can_be_tried_again_and_the_bank_can_be_made_to_answer_at_once(emulator: Emulated) -> None:
    invoice = debited(emulator)
    emulator.control("POST", "/debits/settle", {"invoice": invoice.id, "code": "account_closed"})
    assert emulator.api.invoices.pay(invoice.id).status == "open"
    emulator.control("POST", "/debits/settle", {"invoice": invoice.id, "outcome": "success"})
    paid = emulator.api.invoices.retrieve(invoice.id)
    assert (paid.status, paid.attempt_count) == ("paid", 2)
    refused = emulator.http.post("/_emulator/debits/settle", json={"invoice": invoice.id})
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "No debit is pending there.")


def test_a_bank_may_never_answer(fresh: Emulated) -> None:
    invoice = debited(fresh, outcome="stays_processing")
    fresh.advance(90 * 86_400)
    assert intent(fresh, invoice.id).status == "processing"


def test_accounts_by_stripes_test_numbers_end_as_stripe_says(fresh: Emulated) -> None:
    customer = fresh.customer(None).id
    numbers: Any = {
        "type": "us_bank_account",
        "us_bank_account": {"account_number": "000111111113", "routing_number": "110000000"},
        "billing_details": {"name": "Ada"},
    }
    method = fresh.api.payment_methods.create(numbers)
    assert method.us_bank_account is not None
    assert method.us_bank_account.last4 == "1113"
    fresh.api.payment_methods.attach(method.id, {"customer": customer})
    invoice = fresh.open_invoice(4_000, customer=customer, default_payment_method=method.id)
    fresh.api.invoices.pay(invoice.id)
    fresh.advance(FOUR_DAYS + 1)
    assert fresh.api.charges.list({"customer": customer}).data[0].failure_code == "account_closed"


def test_a_paid_debit_can_be_disputed_and_refunded(fresh: Emulated) -> None:
    disputed = debited(fresh, outcome="dispute")
    refunded = debited(fresh, "bacs_debit")
    fresh.advance(FOUR_DAYS + 1)
    assert fresh.api.disputes.list({"payment_intent": intent(fresh, disputed.id).id}).data[0].status == "needs_response"
    refund = fresh.api.refunds.create({"payment_intent": intent(fresh, refunded.id).id, "amount": 100})
    assert (refund.status, refund.amount) == ("succeeded", 100)
