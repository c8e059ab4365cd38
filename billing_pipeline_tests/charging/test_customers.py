"""Customers at Stripe: adopted, created, ambiguous or gone."""

from collections.abc import Iterator
from typing import Any

from billing_pipeline.charging.rules.charging import customer_key
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.api import StripeCustomer
from billing_pipeline_tests.charging.world import Bill, World


def test_customers_are_adopted_by_metadata_and_created_only_if_missing(world: World) -> None:
    known = world.stripe.customer(Bill("known"))
    world.bill(Bill("known", at_stripe=False), Bill("new", at_stripe=False))
    world.charge()
    charges = world.charges()
    assert (charges["known"]["state"], charges["known"]["stripe_customer_id"]) == ("paid", known)
    assert (charges["new"]["state"], charges["new"]["reason_code"]) == ("refused", "no_payment_method")
    stored = world.warehouse.rows("SELECT customer_id, stripe_customer_id AS id FROM billing.customers")
    assert {row["customer_id"]: row["id"] for row in stored} == {
        name: charges[name]["stripe_customer_id"] for name in charges
    }
    created = world.stripe.api.customers.retrieve(charges["new"]["stripe_customer_id"])
    assert created.to_dict(for_json=True)["metadata"] == {"customer_id": "new"}
    assert world.stripe.writes().count("POST /v1/customers") == 2


def test_two_customers_with_our_key_park_the_invoice(world: World) -> None:
    for _ in "ab":
        world.stripe.customer(Bill("twin"))
    world.bill(Bill("twin", at_stripe=False))
    world.charge()
    assert world.states() == {"twin": ("parked", "customer_ambiguous")}
    assert not world.stripe.invoices()


def test_of_two_customers_with_our_key_the_one_that_was_ever_used_is_taken(world: World) -> None:
    used = world.stripe.customer(Bill("twin"))
    world.stripe.customer(Bill("twin", card=None))
    world.bill(Bill("twin", at_stripe=False))
    world.charge()
    assert world.states() == {"twin": ("paid", None)}
    assert world.charges()["twin"]["stripe_customer_id"] == used


def test_of_two_customers_that_nobody_used_the_oldest_is_taken(world: World) -> None:
    oldest = world.stripe.customer(Bill("twin", card=None))
    world.stripe.control("POST", "/clock", {"advance_s": 60})
    world.stripe.customer(Bill("twin", card=None))
    world.bill(Bill("twin", at_stripe=False))
    world.charge()
    assert world.states() == {"twin": ("refused", "no_payment_method")}
    assert world.charges()["twin"]["stripe_customer_id"] == oldest


def test_a_customer_whose_answer_was_lost_is_looked_for_before_it_is_created_again(world: World) -> None:
    """Even where the key was forgotten meanwhile, there is one customer."""
    world.bill(Bill("new", at_stripe=False))
    world.stripe.fault("drop_after_effect", "POST /v1/customers", times=1)
    world.stripe.fault("expire_key", "POST /v1/customers", skip=1, times=1)
    world.charge()
    assert world.states() == {"new": ("refused", "no_payment_method")}
    assert len(list(world.gateway().list_customers())) == 1


def test_a_customer_that_another_run_creates_with_another_address_is_not_created_twice(world: World) -> None:
    world.bill(Bill("new", at_stripe=False))

    class Behind:
        """Between our listing and our call another run creates it, with the address of before."""

        def __init__(self, gateway: StripeGateway) -> None:
            self._gateway = gateway

        def __getattr__(self, name: str) -> Any:
            return getattr(self._gateway, name)

        def list_customers(self, email: str | None = None) -> Iterator[StripeCustomer]:
            found = list(self._gateway.list_customers(email))
            if not found:
                self._gateway.create_customer("new", "Old name", "old@example.com", key=customer_key("new"))
            return iter(found)

    world.charge(Behind(world.gateway()))  # type: ignore[arg-type]
    assert world.states() == {"new": ("refused", "no_payment_method")}
    assert len(list(world.gateway().list_customers())) == 1


def test_a_customer_that_was_deleted_at_stripe_parks_the_invoice(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.api.customers.delete(world.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers"))
    world.charge()
    assert world.states() == {"a": ("parked", "customer_missing")}
