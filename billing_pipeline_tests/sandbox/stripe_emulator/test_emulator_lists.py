"""Lists, filters, paging, expansion, events."""

from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated


def test_paging_gives_every_object_once_newest_first(emulator: Emulated) -> None:
    customer = emulator.customer().id
    made = [emulator.draft(customer=customer).id for _ in range(7)]
    found = emulator.api.invoices.list({"customer": customer, "limit": 3}).auto_paging_iter()
    assert [invoice.id for invoice in found] == made[::-1]


def test_ending_before_gives_the_page_before_in_the_same_order(emulator: Emulated) -> None:
    customer = emulator.customer().id
    made = [emulator.draft(customer=customer).id for _ in range(5)][::-1]
    before = emulator.api.invoices.list({"customer": customer, "limit": 2, "ending_before": made[4]})
    assert [invoice.id for invoice in before.data] == made[2:4]
    assert before.has_more is True


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "starting_after=in_nope", "starting_after=a&ending_before=b"]
)
def test_bad_paging_is_refused(emulator: Emulated, query: str) -> None:
    assert emulator.http.get(f"/v1/invoices?{query}").status_code == 400


def test_invoices_are_filtered_by_customer_status_method_and_creation(fresh: Emulated) -> None:
    customer = fresh.customer().id
    early = fresh.open_invoice(customer=customer)
    fresh.advance(1_000)
    late = fresh.draft(customer=customer, collection_method="send_invoice", days_until_due=1)
    fresh.draft(customer=fresh.customer().id)

    def ids(**filters: Any) -> list[str]:
        params: Any = {"customer": customer, **filters}
        return [invoice.id for invoice in fresh.api.invoices.list(params).data]

    assert ids() == [late.id, early.id]
    assert ids(status="open") == [early.id]
    assert ids(status="draft", collection_method="send_invoice") == [late.id]
    assert ids(created={"gte": late.created}) == [late.id]
    assert ids(created={"gt": early.created, "lt": late.created}) == []
    assert ids(created={"lte": early.created}) == [early.id]
    assert ids(created=early.created) == [early.id]


def test_customers_are_found_by_email(emulator: Emulated) -> None:
    made = emulator.customer(None, email="unique@example.com")
    assert [c.id for c in emulator.api.customers.list({"email": "unique@example.com"}).data] == [made.id]


def test_expansion_loads_objects_in_retrieve_list_and_post(emulator: Emulated) -> None:
    invoice = emulator.open_invoice()
    path = "payments.data.payment.payment_intent.latest_charge"
    paid = emulator.api.invoices.pay(invoice.id, {"expand": ["payments", path, "customer", "lines"]})
    assert paid.payments is not None
    intent = paid.payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert isinstance(paid.customer, stripe.Customer)
    listed = emulator.api.invoices.list({"customer": paid.customer.id, "expand": ["data.customer", "data.payments"]})
    assert isinstance(listed.data[0].customer, stripe.Customer)
    assert listed.data[0].payments is not None
    assert "payments" not in emulator.api.invoices.retrieve(invoice.id)


@pytest.mark.parametrize("path", ["status", "nonsense", "customer.a.b.c.d"])
def test_what_cannot_be_expanded_is_refused(emulator: Emulated, path: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="expand"):
        emulator.api.invoices.retrieve(emulator.draft().id, {"expand": [path]})


def test_events_are_filtered_by_type_kept_30_days_and_carry_the_request(fresh: Emulated) -> None:
    fresh.api.customers.create({"name": "Ada"}, {"idempotency_key": "made"})
    fresh.draft()
    created = fresh.api.events.list({"type": "customer.created"}).data
    assert {event.type for event in created} == {"customer.created"}
    first = created[-1]
    assert first.request is not None
    assert first.request.idempotency_key == "made"
    both = fresh.api.events.list({"types": ["customer.created", "invoice.created"]}).data
    assert {event.type for event in both} == {"customer.created", "invoice.created"}
    assert {e.type for e in fresh.api.events.list({"type": "invoice.*"}).data} == {"invoice.created"}
    assert fresh.api.events.retrieve(first.id).data.object["name"] == "Ada"
    fresh.advance(31 * 86_400)
    assert fresh.api.events.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        fresh.api.events.retrieve(first.id)


def test_an_updated_event_says_what_changed(emulator: Emulated) -> None:
    customer = emulator.customer(None, name="Ada").id
    emulator.api.customers.update(customer, {"name": "Grace"})
    events = emulator.api.events.list({"type": "customer.updated", "limit": 1}).data
    assert events[0].data.previous_attributes is not None
    assert events[0].data.previous_attributes["name"] == "Ada"
    emulator.api.customers.update(customer, {"name": "Grace"})
    assert emulator.event_types(customer) == ["customer.created", "customer.updated"]
