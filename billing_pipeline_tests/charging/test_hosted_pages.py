"""Stripe's hosted pages: each leads a customer to a payment, or to a new payment method that the next attempt takes."""

import httpx
import pytest

from billing_pipeline.charging.hosted_pages import invoice_page, payment_methods_page
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline_tests.charging.world import Bill, World, invoice_id_of

BACK = "http://127.0.0.1:9/portal/payment-methods"
BOB = Signature("customer bob", "opened in the portal")
DECLINED = "pm_card_chargeCustomerFail"


def chosen(address: str, kind: str) -> httpx.Response:
    """The emulator's page, sent with a choice."""
    return httpx.post(address, data={"kind": kind})


def test_an_invoice_is_paid_on_its_page(world: World) -> None:
    world.bill(Bill("bob", card=DECLINED))
    world.charge()
    page = invoice_page(world.warehouse, world.gateway(), invoice_id_of("bob"))
    assert page.url is not None
    assert chosen(page.url, "declined").status_code == 402
    assert world.stripe.payments() == {invoice_id_of("bob"): 0}
    assert chosen(page.url, "good").status_code == 200
    assert world.stripe.payments() == {invoice_id_of("bob"): 1}
    assert "is paid" in httpx.get(page.url).text


def test_an_invoice_that_stripe_does_not_have_yet_has_no_page(world: World) -> None:
    world.bill(Bill("bob"))
    with pytest.raises(UserError, match="Stripe does not have this invoice yet"):
        invoice_page(world.warehouse, world.gateway(), invoice_id_of("bob"))
    with pytest.raises(NotFound):
        invoice_page(world.warehouse, world.gateway(), "INV-09999999")


def test_a_new_payment_method_is_the_default_and_leads_back(world: World) -> None:
    world.bill(Bill("bob", card=DECLINED))
    world.charge()
    address = payment_methods_page(world.warehouse, world.gateway(), "bob", BOB, return_url=BACK)
    answer = chosen(address, "good")
    assert (answer.status_code, answer.headers["location"]) == (303, BACK)
    paid = world.stripe.api.invoices.pay(world.charges()["bob"]["stripe_invoice_id"])
    assert paid.status == "paid"
    logged = world.warehouse.rows(
        "SELECT actor, reason FROM billing.automation_log WHERE action = 'payment_methods.open'"
    )
    assert logged == [{"actor": "customer bob", "reason": "opened in the portal"}]


def test_a_customer_who_is_not_at_stripe_yet_gets_one_customer_there(world: World) -> None:
    world.bill(Bill("bob", at_stripe=False))
    for _ in range(2):
        payment_methods_page(world.warehouse, world.gateway(), "bob", BOB, return_url=BACK)
    assert len(list(world.stripe.api.customers.list())) == 1
    kept = world.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers")
    assert kept == next(iter(world.stripe.api.customers.list())).id
