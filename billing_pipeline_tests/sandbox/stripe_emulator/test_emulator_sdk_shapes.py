"""Responses can't drift from the SDK: everything a rich scenario leaves behind fits the resource classes."""

import json
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated
from billing_pipeline_tests.sandbox.stripe_emulator.sdk_shapes import fields, problems


def scenario(e: Emulated) -> None:
    """Touches every kind of object the emulator knows."""
    api = e.api
    api.webhook_endpoints.create({"url": "http://127.0.0.1:9/hook", "enabled_events": ["charge.refunded"]})
    product = api.products.create({"name": "Platform", "unit_label": "seat"})
    price = api.prices.create(
        {"currency": "usd", "product": product.id, "unit_amount": 700, "recurring": {"interval": "month"}}
    )
    address: Any = {"line1": "1 Main St", "city": "Springfield", "country": "US"}
    customer = e.customer(name="Ada", email="ada@example.com", phone="+1", metadata={"a": "b"}, address=address)
    api.customers.update(customer.id, {"balance": -300})
    api.invoice_items.create({"customer": customer.id, "amount": 1_500, "currency": "usd"})
    draft = api.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    priced: Any = {"price_data": {"currency": "usd", "product": product.id, "unit_amount_decimal": "0.000000000001"}}
    api.invoices.add_lines(draft.id, {"lines": [priced | {"quantity_decimal": Decimal("1.5")}]})
    api.invoices.finalize_invoice(draft.id)
    api.invoices.pay(draft.id)
    charge = api.charges.list({"customer": customer.id}).data[0]
    api.refunds.create({"charge": charge.id, "amount": 100})
    note: Any = {
        "invoice": draft.id,
        "amount": 200,
        "credit_amount": 50,
        "refund_amount": 150,
        "reason": "duplicate",
    }
    api.credit_notes.create(note)
    unpaid = e.open_invoice(2_000, customer=customer.id)
    line = unpaid.lines.data[0].id
    credit: Any = {
        "invoice": unpaid.id,
        "lines": [{"type": "invoice_line_item", "invoice_line_item": line, "amount": 5}],
    }
    api.credit_notes.void_credit_note(api.credit_notes.create(credit).id)
    api.invoices.void_invoice(unpaid.id)
    api.invoices.mark_uncollectible(e.open_invoice(900, customer=customer.id).id)
    sent = e.draft(800, customer=customer.id, collection_method="send_invoice", days_until_due=14)
    api.invoices.send_invoice(sent.id)
    api.invoices.delete(e.draft(1, customer=customer.id, auto_advance=True).id)
    for card in ("pm_card_chargeCustomerFail", "pm_card_authenticationRequired"):
        refused = e.open_invoice(1_100, customer=e.customer(card).id)
        with pytest.raises(stripe.CardError):
            api.invoices.pay(refused.id)
    disputed = e.open_invoice(1_200, customer=e.customer("pm_card_createDispute").id)
    api.invoices.pay(disputed.id)
    dispute = api.disputes.list().data[0]
    e.control("POST", f"/disputes/{dispute.id}/close", {"status": "won"})
    subscription = api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id, "quantity": 3}]})
    api.subscriptions.update(subscription.id, {"cancel_at_period_end": True, "metadata": {"x": "y"}})
    api.subscriptions.cancel(subscription.id)
    payments_that_take_days(e)
    saved_payment_methods(e, customer.id)
    api.payment_methods.detach(api.customers.payment_methods.list(customer.id).data[0].id)
    api.customers.delete(customer.id)


def saved_payment_methods(e: Emulated, customer: str) -> None:
    """Setup intents in every state, and both kinds of sessions."""
    for card in ("pm_card_visa", "pm_card_authenticationRequired"):
        e.setup_intent(customer=customer, confirm=True, payment_method=card)
    with pytest.raises(stripe.CardError):
        e.setup_intent(customer=customer, confirm=True, payment_method="pm_card_chargeDeclined")
    setup: Any = {"mode": "setup", "currency": "usd", "customer": customer, "success_url": "http://127.0.0.1:9/"}
    for kind in ("good", "refused"):
        session = e.api.checkout.sessions.create(setup)
        e.http.post(str(session.url), data={"kind": kind})
    e.api.checkout.sessions.expire(session.id)
    portal = e.api.billing_portal.sessions.create(
        {"customer": customer, "flow_data": {"type": "payment_method_update"}}
    )
    e.http.post(portal.url, data={"kind": "good"})


def payments_that_take_days(e: Emulated) -> None:
    """Debits of every kind with every end, a part payment, an overpaid invoice and a revised one."""
    api = e.api
    for kind in ("sepa_debit", "us_bank_account", "au_becs_debit", "bacs_debit", "boleto"):
        customer = e.customer(None).id
        e.control("POST", "/customer_payment_methods", {"customer": customer, "kind": kind})
        for outcome in ("success", "account_closed", "no_code", "generic_decline", "dispute"):
            debited = api.invoices.pay(e.open_invoice(2_000, customer=customer).id)
            e.control("POST", "/debits/settle", {"invoice": debited.id, "outcome": outcome})
        api.refunds.create({"charge": api.charges.list({"customer": customer}).data[-1].id, "amount": 1})
        api.invoices.pay(e.open_invoice(2_000, customer=customer).id)
    parted = e.open_invoice(4_000)
    e.control("POST", f"/dashboard/invoices/{parted.id}/charge_customer", {"amount_minor": 1_000})
    method = api.customers.payment_methods.list(str(parted.customer)).data[0].id
    more = e.payment_intent(amount=5_000, customer=parted.customer, payment_method=method, confirm=True)
    api.invoices.attach_payment(parted.id, {"payment_intent": more.id})
    api.payment_intents.cancel(e.payment_intent(amount=5_000).id)
    lines = [{"amount": 1_300, "description": "revised"}]
    e.control("POST", f"/dashboard/invoices/{e.open_invoice(2_000).id}/revise", {"lines": lines})


def test_every_object_fits_the_sdks_resource_class(start: Callable[..., Emulated], tmp_path: Path) -> None:
    path = tmp_path / "emulator.sqlite3"
    scenario(start(path=path))
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT kind, body FROM objects").fetchall()
    connection.close()
    found: set[str] = set()
    kinds: set[str] = set()
    for kind, text in rows:
        body = json.loads(text)
        kinds.add(kind)
        if kind == "event":
            found |= {f"{body['type']}: {problem}" for problem in problems(body["data"]["object"])}
        found |= set(problems(body))
    assert sorted(found) == []
    assert kinds >= {
        "billing_portal.session", "charge", "checkout.session", "credit_note", "customer:deleted", "customer_balance_transaction", "dispute", "event",
        "invoice", "invoice_payment", "invoiceitem", "line_item", "payment_intent", "payment_method",
        "price", "product",
        "refund", "setup_intent", "subscription", "webhook_endpoint",
    }  # fmt: skip


def test_every_event_type_is_one_the_sdk_knows(start: Callable[..., Emulated]) -> None:
    e = start()
    scenario(e)
    seen = {event.type for event in e.api.events.list({"limit": 100}).auto_paging_iter()}
    assert seen <= set(get_args(fields(stripe.Event)["type"]))
    assert seen >= {
        "charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn", "charge.failed", "charge.pending", "charge.refunded",
        "charge.succeeded", "credit_note.created", "credit_note.voided", "customer.created",
        "customer.deleted",
        "customer.subscription.created", "customer.subscription.deleted", "customer.subscription.updated",
        "customer.updated", "invoice.created", "invoice.deleted", "invoice.finalized",
        "invoice.marked_uncollectible", "invoice.overpaid", "invoice.paid", "invoice.payment_action_required",
        "invoice.payment_failed",
        "invoice.payment_succeeded", "invoice.sent", "invoice.updated", "invoice.voided",
        "invoice_payment.paid", "payment_intent.created",
        "payment_intent.canceled", "payment_intent.payment_failed", "payment_intent.processing",
        "payment_intent.succeeded", "payment_method.attached",
        "payment_method.detached", "refund.created", "billing_portal.session.created", "checkout.session.completed",
        "checkout.session.expired", "setup_intent.created", "setup_intent.requires_action", "setup_intent.setup_failed",
        "setup_intent.succeeded",
    }  # fmt: skip


def test_error_bodies_have_only_fields_of_the_sdks_error_object(emulator: Emulated) -> None:
    known = set(fields(stripe.ErrorObject))
    invoice = emulator.open_invoice(customer=emulator.customer("pm_card_chargeCustomerFail").id)
    for method, path in [
        ("POST", f"/v1/invoices/{invoice.id}/pay"),
        ("GET", "/v1/invoices/in_x"),
        ("GET", "/v1/nope"),
    ]:
        error = emulator.http.request(method, path).json()["error"]
        assert set(error) <= known
        assert {"message", "type"} <= set(error)


def test_the_walker_finds_an_unknown_field_a_missing_one_and_a_wrong_type(emulator: Emulated) -> None:
    body = emulator.http.get("/v1/customers?limit=1").json()["data"]
    customer = body[0] if body else emulator.http.post("/v1/customers").json()
    assert problems(customer) == []
    assert problems({**customer, "frobnication": 1})
    assert problems({**customer, "created": "yesterday"})
    assert problems({name: value for name, value in customer.items() if name != "created"})


def test_fields_without_a_value_are_null_or_left_out_as_the_contract_says(emulator: Emulated) -> None:
    invoice = emulator.http.get(f"/v1/invoices/{emulator.open_invoice(1_000).id}").json()
    assert problems(invoice) == []
    assert invoice["amount_paid_off_stripe"] == 0
    assert "threshold_reason" not in invoice
    assert problems({**invoice, "threshold_reason": None})
    assert problems({name: value for name, value in invoice.items() if name != "latest_revision"})
    emulator.api.invoices.pay(invoice["id"])
    charge = emulator.api.charges.list({"customer": invoice["customer"]}).data[0].id
    assert "description" not in emulator.http.post("/v1/refunds", data={"charge": charge, "amount": "1"}).json()
    credit = {"invoice": invoice["id"], "amount": "5", "credit_amount": "5"}
    assert "invoice_line_item" not in emulator.http.post("/v1/credit_notes", data=credit).json()["lines"]["data"][0]
