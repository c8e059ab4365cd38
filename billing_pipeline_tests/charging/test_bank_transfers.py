"""Payments by bank transfer: the customer was told where to send the money, and that is no refusal."""

import pytest

from billing_pipeline_tests.charging.days import Days, row
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.events.world import EventWorld


@pytest.fixture
def transferring(world: EventWorld) -> EventWorld:
    """A charged month whose customer pays by transfer."""
    world.bill(Bill("a", card=None))
    world.stripe.control("POST", "/customer_payment_methods", {"customer": "a", "kind": "customer_balance"})
    world.charge()
    return world


def asked(world: EventWorld) -> int:
    return sum(write.endswith("/pay") for write in world.stripe.writes())


def test_a_transfer_is_asked_for_once_and_waited_for_however_long(transferring: EventWorld) -> None:
    assert transferring.states() == {"a": ("finalized", None)}
    days = Days(transferring)
    for _ in range(5):
        days.after(days=1)
        transferring.charge()
        transferring.catch_up()
    assert (transferring.states(), asked(transferring)) == ({"a": ("finalized", None)}, 1)
    assert row(transferring, "a", "dunning") is None
    assert transferring.problems() == [("a", "is not charged yet: it waits for a bank")]


@pytest.mark.parametrize("told_by", ["event", "question"])
def test_it_is_paid_when_the_money_is_there(transferring: EventWorld, told_by: str) -> None:
    transfer = {"invoice": transferring.stripe_id("a")}
    transferring.stripe.control("POST", "/transfers", {**transfer, "amount_minor": 1_000})
    transferring.catch_up()
    transferring.charge()
    assert transferring.states() == {"a": ("finalized", None)}
    transferring.stripe.control("POST", "/transfers", transfer)
    if told_by == "event":
        transferring.catch_up()
    else:
        transferring.charge()
    assert (transferring.states(), asked(transferring)) == ({"a": ("paid", None)}, 1)


def test_among_the_canaries_it_is_no_bad_sign(world: EventWorld) -> None:
    names = [f"c{number}" for number in range(6)]
    world.bill(*(Bill(name, card=None) for name in names))
    for name in names:
        world.stripe.control("POST", "/customer_payment_methods", {"customer": name, "kind": "customer_balance"})
    world.charge()
    assert set(world.states().values()) == {("finalized", None)}
