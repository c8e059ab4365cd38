"""Customers at Stripe: adopted, created, ambiguous or gone."""

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


def test_a_customer_that_was_deleted_at_stripe_parks_the_invoice(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.api.customers.delete(world.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers"))
    world.charge()
    assert world.states() == {"a": ("parked", "customer_missing")}
