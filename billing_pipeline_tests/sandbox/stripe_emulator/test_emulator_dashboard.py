"""What a person does in the dashboard, and the test customers' cards: each with Stripe's events."""

from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated


def revised(e: Emulated, invoice: stripe.Invoice, **fields: Any) -> stripe.Invoice:
    lines = [{"amount": 1_300, "description": "agreed on the phone"}]
    revision = e.control("POST", f"/dashboard/invoices/{invoice.id}/revise", {"lines": lines, **fields})
    return e.api.invoices.retrieve(revision["id"])


def test_a_revision_takes_the_place_of_the_invoice_that_it_revises(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(2_000, metadata={"invoice_id": "ours"})
    revision = revised(emulator, invoice)
    assert (revision.status, revision.total, revision.customer) == ("open", 1_300, invoice.customer)
    assert revision.from_invoice is not None
    assert (revision.from_invoice.action, revision.from_invoice.invoice) == ("revision", invoice.id)
    assert revision.metadata is not None
    assert revision.metadata.to_dict() == {"invoice_id": "ours"}
    before = emulator.api.invoices.retrieve(invoice.id)
    assert (before.status, before.latest_revision) == ("void", revision.id)
    assert emulator.event_types(invoice.id)[-3:] == ["invoice.updated", "invoice.updated", "invoice.voided"]
    assert emulator.event_types(revision.id)[0] == "invoice.created"
    assert "invoice.finalized" in emulator.event_types(revision.id)
    assert emulator.api.invoices.pay(revision.id).status == "paid"


def test_a_revision_may_lose_the_metadata_and_may_stay_a_draft(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(2_000, metadata={"invoice_id": "ours"})
    revision = revised(emulator, invoice, keep_metadata=False, finalize=False)
    assert revision.status == "draft"
    assert revision.metadata is not None
    assert revision.metadata.to_dict() == {}
    still = emulator.api.invoices.retrieve(invoice.id)
    assert (still.status, still.latest_revision) == ("open", None)
    emulator.api.invoices.finalize_invoice(revision.id)
    assert emulator.api.invoices.retrieve(invoice.id).status == "void"


def test_a_revision_made_over_the_api_begins_with_the_lines_of_the_original(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(2_000)
    revision = emulator.api.invoices.create({"from_invoice": {"action": "revision", "invoice": invoice.id}})
    assert (revision.status, revision.total) == ("draft", 2_000)
    assert [line.description for line in revision.lines.data] == ["line 0"]
    assert emulator.api.invoices.retrieve(invoice.id).status == "open"


def test_a_paid_invoice_cannot_be_revised(emulator: Emulated) -> None:
    paid = emulator.api.invoices.pay(emulator.open_invoice(2_000).id)
    with pytest.raises(stripe.InvalidRequestError, match="only revise an open invoice"):
        emulator.api.invoices.create({"from_invoice": {"action": "revision", "invoice": paid.id}})


def test_edits_of_invoices_leave_stripes_events_without_a_request(emulator: Emulated) -> None:
    voided, lost, paid = (emulator.open_invoice(2_000).id for _ in range(3))
    emulator.control("POST", f"/dashboard/invoices/{voided}/void")
    emulator.control("POST", f"/dashboard/invoices/{lost}/mark_uncollectible")
    emulator.control("POST", f"/dashboard/invoices/{paid}/mark_paid")
    statuses = [emulator.api.invoices.retrieve(invoice).status for invoice in (voided, lost, paid)]
    assert statuses == ["void", "uncollectible", "paid"]
    assert emulator.event_types(voided)[-1] == "invoice.voided"
    assert emulator.event_types(lost)[-1] == "invoice.marked_uncollectible"
    assert emulator.event_types(paid)[-2:] == ["invoice.paid", "invoice.payment_succeeded"]
    newest = emulator.api.events.list({"type": "invoice.voided", "limit": 1}).data[0]
    assert newest.request is not None
    assert (newest.request.id, newest.request.idempotency_key) == (None, None)


def test_refunding_deleting_and_detaching_in_the_dashboard(emulator: Emulated) -> None:
    invoice = emulator.api.invoices.pay(emulator.open_invoice(2_000).id)
    customer = str(invoice.customer)
    charge = emulator.api.charges.list({"customer": customer}).data[0].id
    refund = emulator.control("POST", f"/dashboard/charges/{charge}/refund", {"amount_minor": 500})
    assert (refund["amount"], emulator.api.charges.retrieve(charge).amount_refunded) == (500, 500)
    method = emulator.api.customers.payment_methods.list(customer).data[0].id
    emulator.control("POST", f"/dashboard/payment_methods/{method}/detach")
    assert emulator.api.payment_methods.retrieve(method).customer is None
    emulator.control("POST", f"/dashboard/customers/{customer}/delete")
    assert emulator.http.get(f"/v1/customers/{customer}").json()["deleted"] is True
    assert emulator.event_types(customer)[-1] == "customer.deleted"


def test_an_edit_that_stripe_refuses_is_refused_in_its_words(emulator: Emulated) -> None:
    paid = emulator.api.invoices.pay(emulator.open_invoice(2_000).id)
    refused = emulator.http.post(f"/_emulator/dashboard/invoices/{paid.id}/void")
    assert refused.status_code == 400
    assert "open or uncollectible" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("good", None),
        ("declined", "card_declined"),
        ("insufficient_funds", "card_declined"),
        ("expired", "expired_card"),
        ("3ds", "invoice_payment_intent_requires_action"),
    ],
)
def test_a_test_customer_gets_a_card_by_our_id_or_stripes(emulator: Emulated, kind: str, code: str | None) -> None:
    ours = f"7/größe {kind}"
    customer = emulator.customer(None, metadata={"customer_id": ours})
    for name in (ours, customer.id):
        given = emulator.control("POST", "/customer_payment_methods", {"customer": name, "kind": kind})
        assert (given["customer"], given["kind"]) == (customer.id, kind)
    settings = emulator.api.customers.retrieve(customer.id).invoice_settings
    assert settings is not None
    assert settings.default_payment_method == given["payment_method"]
    invoice = emulator.open_invoice(2_000, customer=customer.id)
    if code is None:
        assert emulator.api.invoices.pay(invoice.id).status == "paid"
        return
    with pytest.raises(stripe.CardError) as refusal:
        emulator.api.invoices.pay(invoice.id)
    assert refusal.value.code == code


def test_giving_a_card_names_what_is_wrong(emulator: Emulated) -> None:
    path = "/_emulator/customer_payment_methods"
    unknown = emulator.http.post(path, json={"customer": "nobody", "kind": "good"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "customer")
    kind = emulator.http.post(path, json={"customer": emulator.customer(None).id, "kind": "gold"})
    assert (kind.status_code, kind.json()["error"]["param"]) == (400, "kind")
    twins = [emulator.customer(None, metadata={"customer_id": "twin"}).id for _ in range(2)]
    several = emulator.http.post(path, json={"customer": "twin", "kind": "good"})
    assert several.status_code == 400
    assert all(twin in several.json()["error"]["message"] for twin in twins)
