"""What is still owed is given up once, after Stripe said so, and never while money moved or may move."""

import pytest

from billing_pipeline.charging.write_off import WriteOffRefused, WrittenOff, write_off
from billing_pipeline.core.signature import Signature
from billing_pipeline_tests.charging.world import Bill, World, invoice_id_of


def give_up(world: World, customer_id: str) -> WrittenOff:
    who = Signature("ann", "insolvent")
    return write_off(world.warehouse, world.gateway(), invoice_id_of(customer_id), who, sleep=lambda _: None)


def marks(world: World) -> int:
    return sum(write.endswith("/mark_uncollectible") for write in world.stripe.writes())


@pytest.mark.parametrize("fault", [None, "drop_before_effect", "drop_after_effect"])
def test_a_refused_invoice_is_given_up_once_here_and_at_stripe(world: World, fault: str | None) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    if fault is not None:
        world.stripe.fault(fault, "POST /v1/invoices/*/mark_uncollectible", times=1)
    first = give_up(world, "a")
    assert (first.remaining_minor, first.already) == (4000, False)
    charge = world.charges()["a"]
    assert [charge[name] for name in ("state", "status", "reason_code", "reason")] == [
        "uncollectible", "uncollectible", "written_off", "insolvent",
    ]  # fmt: skip
    assert [invoice["status"] for invoice in world.stripe.invoices()] == ["uncollectible"]
    assert world.logged("a")[-1] == "charge.write_off"
    called = marks(world)
    assert give_up(world, "a").already
    assert (marks(world), world.charge().worked_on) == (called, 0)


def test_what_is_not_owed_is_not_given_up(world: World) -> None:
    world.bill(Bill("paid"), Bill("new", card="pm_card_chargeCustomerFail"))
    with pytest.raises(WriteOffRefused, match="Stripe has no open invoice of it: `billing void"):
        give_up(world, "new")
    world.stripe.fault("drop_after_effect", "POST /v1/invoices/*/pay")
    world.charge()
    world.stripe.heal()
    with pytest.raises(WriteOffRefused, match="is paid: nothing of it is owed; `billing credit issue"):
        give_up(world, "paid")
    assert world.charges()["paid"]["state"] == "paid"
    assert marks(world) == 0
