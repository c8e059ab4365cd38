"""What a run finds at Stripe decides: lost ids, doubles, other totals, deeds by hand, and what verification says."""

from typing import Any

import pytest

from billing_pipeline_tests.charging.world import Bill, World, invoice_id_of


@pytest.mark.parametrize(
    ("status", "claimed"),
    [("draft_empty", False), ("draft", False), ("open", False), ("paid", False), ("open", True)],
)
def test_an_invoice_whose_id_was_lost_is_adopted(world: World, status: str, claimed: bool) -> None:
    world.bill(Bill("a"))
    operation = {"draft_empty": "*/add_lines", "draft": "*/finalize", "open": "*/pay"}.get(status)
    if operation:
        world.stripe.fault("drop_before_effect", f"POST /v1/invoices/{operation}")
    world.charge()
    world.stripe.heal()
    assert world.stripe.invoices()[0]["status"] == status.removesuffix("_empty")
    world.forget("a", claimed=claimed)
    world.charge()
    assert world.states() == {"a": ("paid", None)}
    assert "stripe.invoice.adopt" in world.logged("a")
    assert world.stripe.payments() == {invoice_id_of("a"): 1}
    assert len(world.stripe.invoices()) == 1
    assert world.problems() == []


def double(world: World, customer_id: str) -> str:
    """A second invoice at Stripe with the same metadata."""
    invoice = world.request(customer_id)["invoice"]
    customer = world.warehouse.scalar(
        "SELECT stripe_customer_id FROM billing.customers WHERE customer_id = :c", c=customer_id
    )
    return world.gateway().create_invoice(invoice, customer, key=f"double:{customer_id}").id


def test_two_matches_park_and_nobody_pays(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/add_lines")
    world.charge()
    world.stripe.heal()
    double(world, "a")
    world.forget("a")
    world.charge()
    assert world.states() == {"a": ("parked", "duplicate_at_stripe"), "b": ("paid", None)}
    assert world.stripe.payments()[invoice_id_of("a")] == 0
    assert {customer for customer, _ in world.problems()} == {"a"}


def test_a_second_invoice_beside_ours_parks_before_paying(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/pay")
    world.charge()
    world.stripe.heal()
    double(world, "a")
    world.charge()
    assert world.states() == {"a": ("parked", "duplicate_at_stripe")}
    assert world.stripe.payments() == {invoice_id_of("a"): 0}


def test_another_total_at_stripe_parks(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/finalize")
    world.charge()
    world.stripe.heal()
    extra: Any = {"lines": [{"amount": 1, "description": "by hand"}]}
    world.stripe.api.invoices.add_lines(world.charges()["a"]["stripe_invoice_id"], extra)
    world.charge()
    assert world.states() == {"a": ("parked", "total_differs")}
    assert ("total of 4001 usd, ours is 4000 usd") in world.problems()[0][1]


def test_what_was_paid_or_voided_by_hand_at_stripe_is_taken_over(world: World) -> None:
    world.bill(Bill("paid"), Bill("void"), Bill("written_off"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/pay")
    world.charge()
    world.stripe.heal()
    charges = world.charges()
    world.stripe.api.invoices.pay(charges["paid"]["stripe_invoice_id"], {"paid_out_of_band": True})
    world.stripe.api.invoices.void_invoice(charges["void"]["stripe_invoice_id"])
    world.stripe.api.invoices.mark_uncollectible(charges["written_off"]["stripe_invoice_id"])
    world.charge()
    assert {name: (row["state"], row["status"]) for name, row in world.charges().items()} == {
        "paid": ("paid", "paid"),
        "void": ("void", "void"),
        "written_off": ("uncollectible", "uncollectible"),
    }


def test_an_unknown_outcome_is_remembered_while_stripe_cannot_be_asked(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_after_effect", "POST /v1/invoices/*/pay")
    world.stripe.fault("drop_before_effect", "GET /v1/invoices/*")
    report = world.charge()
    charge = world.charges()["a"]
    assert (charge["state"], report.pending) == ("finalized", {"connection_lost": 1})
    assert charge["outcome_unknown_since"] is not None
    assert [problem for _, problem in world.problems()][:1] == ["is not charged yet: finalized"]
    world.stripe.heal()
    world.charge()
    charge = world.charges()["a"]
    assert (charge["state"], charge["outcome_unknown_since"]) == ("paid", None)
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


def test_verification_names_what_is_wrong(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    assert world.problems() == [("a", "is not charged yet: intended"), ("b", "is not charged yet: intended")]
    world.charge()
    assert world.problems() == []
    second = double(world, "a")
    found = world.problems()
    assert {customer for customer, _ in found} == {"a"}
    assert any("more than one invoice at Stripe" in problem and second in problem for _, problem in found)
