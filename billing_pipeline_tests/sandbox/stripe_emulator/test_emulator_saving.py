"""Saving payment methods: setup intents, checkout sessions and the billing portal, on pages of the emulator's own."""

import re
from typing import Any

import httpx
import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated


def checkout(e: Emulated, customer: str | None = None, **fields: Any) -> stripe.checkout.Session:
    """A checkout session in setup mode."""
    params: Any = {
        "mode": "setup",
        "currency": "eur",
        "customer": customer or e.customer(None).id,
        "success_url": "http://127.0.0.1:9/done?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:9/back",
        **fields,
    }
    return e.api.checkout.sessions.create(params)


def submit(url: str | None, kind: str) -> httpx.Response:
    """Fill in the page's form as a browser does."""
    assert url is not None
    page = httpx.get(url)
    assert page.status_code == 200
    assert f'value="{kind}"' in page.text
    (action,) = re.findall(r'action="([^"]+)"', page.text)
    return httpx.post(str(httpx.URL(url).join(action)), data={"kind": kind})


def test_the_page_of_a_checkout_session_saves_a_card(emulator: Emulated) -> None:
    session = checkout(emulator, metadata={"customer_id": "7"})
    assert (session.status, session.mode, session.payment_status) == ("open", "setup", "no_payment_required")
    assert str(session.url).startswith(emulator.base_url)
    answer = submit(session.url, "good")
    assert (answer.status_code, answer.headers["location"]) == (303, f"http://127.0.0.1:9/done?session={session.id}")
    done = emulator.api.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent.payment_method"]})
    assert (done.status, done.url) == ("complete", None)
    assert isinstance(done.setup_intent, stripe.SetupIntent)
    assert isinstance(done.setup_intent.payment_method, stripe.PaymentMethod)
    assert done.setup_intent.payment_method.customer == session.customer
    assert emulator.event_types(session.id) == ["checkout.session.completed"]
    assert emulator.event_types(done.setup_intent.id) == ["setup_intent.created", "setup_intent.succeeded"]
    assert emulator.event_types(done.setup_intent.payment_method.id) == ["payment_method.attached"]
    assert httpx.get(str(session.url)).status_code == 400


@pytest.mark.parametrize("kind", ["sepa_debit", "us_bank_account", "bacs_debit"])
def test_the_page_saves_accounts_for_debits_too(emulator: Emulated, kind: str) -> None:
    session = checkout(emulator)
    submit(session.url, kind)
    methods = emulator.api.customers.payment_methods.list(str(session.customer)).data
    assert [method.type for method in methods] == [kind]


def test_a_card_that_is_refused_leaves_the_session_open(emulator: Emulated) -> None:
    session = checkout(emulator)
    answer = submit(session.url, "refused")
    assert answer.status_code == 402
    assert "Your card was declined." in answer.text
    assert emulator.api.checkout.sessions.retrieve(session.id).status == "open"
    intent = emulator.api.setup_intents.retrieve(str(session.setup_intent))
    assert intent.status == "requires_payment_method"
    assert intent.last_setup_error is not None
    assert intent.last_setup_error.code == "card_declined"
    assert emulator.event_types(intent.id)[-1] == "setup_intent.setup_failed"
    assert submit(session.url, "good").status_code == 303


def test_a_session_expires_by_request_or_after_a_day(fresh: Emulated) -> None:
    early, late = checkout(fresh), checkout(fresh)
    fresh.api.checkout.sessions.expire(early.id)
    fresh.advance(86_401)
    for session in (early, late):
        assert fresh.api.checkout.sessions.retrieve(session.id).status == "expired"
        assert fresh.event_types(session.id) == ["checkout.session.expired"]
        assert fresh.api.setup_intents.retrieve(str(session.setup_intent)).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="status of open"):
        fresh.api.checkout.sessions.expire(early.id)


def test_other_modes_are_refused_as_unsupported(emulator: Emulated) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        checkout(emulator, mode="payment")
    assert refusal.value.code == "emulator_unsupported"
    with pytest.raises(stripe.InvalidRequestError, match="success_url"):
        emulator.api.checkout.sessions.create({"mode": "setup", "currency": "eur"})


def test_a_setup_intent_confirmed_over_the_api_attaches_its_card(emulator: Emulated) -> None:
    customer = emulator.customer(None).id
    intent = emulator.api.setup_intents.create({"customer": customer, "metadata": {"a": "b"}})
    assert (intent.status, intent.usage) == ("requires_payment_method", "off_session")
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        emulator.api.setup_intents.confirm(intent.id)
    done = emulator.api.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert done.status == "succeeded"
    assert emulator.api.payment_methods.retrieve(str(done.payment_method)).customer == customer
    with pytest.raises(stripe.InvalidRequestError, match="status of succeeded"):
        emulator.api.setup_intents.cancel(intent.id)
    assert [found.id for found in emulator.api.setup_intents.list({"customer": customer})] == [intent.id]


def test_a_setup_intent_may_need_the_customer_and_may_be_canceled(emulator: Emulated) -> None:
    fields: Any = {"customer": emulator.customer(None).id, "confirm": True}
    waiting = emulator.setup_intent(**fields, payment_method="pm_card_authenticationRequired")
    assert waiting.status == "requires_action"
    page = f"{emulator.base_url}/hosted/setup_intent/{waiting.id}"
    assert submit(page, "3ds").status_code == 200
    assert emulator.api.setup_intents.retrieve(waiting.id).status == "succeeded"
    with pytest.raises(stripe.CardError):
        emulator.setup_intent(**fields, payment_method="pm_card_chargeDeclined")
    other = emulator.api.setup_intents.create({"customer": fields["customer"]})
    emulator.api.setup_intents.update(other.id, {"description": "spare"})
    assert emulator.api.setup_intents.cancel(other.id).status == "canceled"


def test_the_portal_shows_invoices_and_changes_the_default_payment_method(emulator: Emulated) -> None:
    customer = emulator.customer("pm_card_chargeCustomerFail").id
    invoice = emulator.open_invoice(2_000, customer=customer)
    session = emulator.api.billing_portal.sessions.create(
        {"customer": customer, "return_url": "http://127.0.0.1:9/portal"}
    )
    assert session.url.startswith(emulator.base_url)
    assert str(invoice.number) in httpx.get(session.url).text
    answer = submit(session.url, "good")
    assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1:9/portal")
    assert emulator.event_types(customer)[-1] == "customer.updated"
    assert emulator.api.invoices.pay(invoice.id).status == "paid"


def test_a_portal_session_can_lead_straight_to_the_payment_method(emulator: Emulated) -> None:
    session = emulator.api.billing_portal.sessions.create(
        {"customer": emulator.customer().id, "flow_data": {"type": "payment_method_update"}}
    )
    assert session.flow is not None
    assert session.flow.type == "payment_method_update"


@pytest.mark.parametrize("path", ["checkout/cs_test_x", "portal/bps_x", "nothing/x"])
def test_pages_that_do_not_exist_are_404(emulator: Emulated, path: str) -> None:
    assert httpx.get(f"{emulator.base_url}/hosted/{path}").status_code == 404
