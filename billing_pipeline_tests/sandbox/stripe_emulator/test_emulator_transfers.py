"""Bank transfers: the invoice stays open until the money is there, all of it."""

from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated
from billing_pipeline_tests.sandbox.stripe_emulator.sdk_shapes import problems


@pytest.fixture
def waiting(fresh: Emulated) -> stripe.Invoice:
    """An invoice over 40.00 whose customer was told where to send the money."""
    customer = fresh.customer(None).id
    fresh.control("POST", "/customer_payment_methods", {"customer": customer, "kind": "customer_balance"})
    invoice = fresh.open_invoice(4_000, customer=customer)
    with pytest.raises(stripe.CardError) as refused:
        fresh.api.invoices.pay(invoice.id)
    assert refused.value.code == "invoice_payment_intent_requires_action"
    return fresh.api.invoices.retrieve(invoice.id)


def intent(e: Emulated, invoice: str) -> stripe.PaymentIntent:
    payment = e.api.invoice_payments.list({"invoice": invoice}).data[0].payment
    return e.api.payment_intents.retrieve(str(payment.payment_intent))


def told(e: Emulated, invoice: str) -> Any:
    action = intent(e, invoice).next_action
    assert action is not None
    return action.display_bank_transfer_instructions


def test_the_customer_is_told_where_to_send_the_money(fresh: Emulated, waiting: stripe.Invoice) -> None:
    assert (waiting.status, waiting.amount_remaining) == ("open", 4_000)
    found = intent(fresh, waiting.id)
    assert found.status == "requires_action"
    assert (told(fresh, waiting.id).amount_remaining, told(fresh, waiting.id).type) == (4_000, "us_bank_transfer")
    assert problems(fresh.http.get(f"/v1/payment_intents/{found.id}").json()) == []
    fresh.advance(30 * 86_400)
    assert fresh.api.invoices.retrieve(waiting.id).status == "open"


def test_it_is_paid_when_all_of_the_money_is_there(fresh: Emulated, waiting: stripe.Invoice) -> None:
    fresh.control("POST", "/transfers", {"invoice": waiting.id, "amount_minor": 1_000})
    assert fresh.api.invoices.retrieve(waiting.id).status == "open"
    assert told(fresh, waiting.id).amount_remaining == 3_000
    with pytest.raises(stripe.CardError):
        fresh.api.invoices.pay(waiting.id)
    assert told(fresh, waiting.id).amount_remaining == 3_000
    fresh.control("POST", "/transfers", {"invoice": waiting.id})
    paid = fresh.api.invoices.retrieve(waiting.id)
    assert (paid.status, paid.amount_paid) == ("paid", 4_000)
    done = intent(fresh, waiting.id)
    assert (done.status, done.next_action) == ("succeeded", None)
    assert "payment_intent.partially_funded" in fresh.event_types(done.id)
    charge = fresh.http.get(f"/v1/charges/{done.latest_charge}").json()
    assert charge["payment_method_details"] == {"customer_balance": {}, "type": "customer_balance"}
    assert problems(charge) == []


@pytest.mark.parametrize("fields", [{"amount_minor": 4_001}, {"amount_minor": 0}, {"amount_minor": "x"}])
def test_what_cannot_arrive_is_refused(fresh: Emulated, waiting: stripe.Invoice, fields: dict[str, Any]) -> None:
    refused = fresh.http.post("/_emulator/transfers", json={"invoice": waiting.id, **fields})
    assert refused.status_code == 400


def test_nothing_arrives_for_what_does_not_wait(fresh: Emulated) -> None:
    invoice = fresh.open_invoice(1_000)
    assert fresh.http.post("/_emulator/transfers", json={"invoice": invoice.id}).status_code == 400
    fresh.api.invoices.pay(invoice.id)
    assert fresh.http.post("/_emulator/transfers", json={"invoice": invoice.id}).status_code == 400
