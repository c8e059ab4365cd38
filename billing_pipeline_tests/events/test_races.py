"""Events and a charging run at the same invoice: whoever comes first, it ends as Stripe has it and is charged once."""

from typing import Any

import pytest
import stripe

from billing_pipeline.events import invoices as event_invoices
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY, Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld, holding
from billing_pipeline_tests.month_rows import move_charges


def test_a_lost_answer_is_made_good_by_the_event(world: EventWorld) -> None:
    """The row is rewound to an intent, and what it knew of Stripe is lost: the events bring it back, step by step."""
    world.bill(Bill("a"))
    world.charge()
    world.forget("a", claimed=True)
    world.catch_up()
    assert world.states()["a"] == ("paid", None)
    world.charge()
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


class CutOff(StripeGateway):
    """Stripe does it; the run never learns, and dies."""

    def __init__(self, base_url: str, operation: str) -> None:
        super().__init__(KEY, base_url)
        self._operation = operation

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name != self._operation:
            return found

        def cut_off(*arguments: Any, **options: Any) -> None:
            found(*arguments, **options)
            raise RuntimeError("cut off")

        return cut_off


@pytest.mark.parametrize(
    ("operation", "reached"),
    [
        ("create_invoice", "drafted"),
        ("add_lines", "lines_added"),
        ("finalize_invoice", "finalized"),
        ("pay_invoice", "paid"),
    ],
)
def test_a_charge_that_was_cut_off_follows_stripe_and_is_charged_once(
    world: EventWorld, operation: str, reached: str
) -> None:
    world.bill(Bill("a"))
    with pytest.raises(RuntimeError, match="cut off"):
        world.charge(CutOff(world.stripe.base_url, operation))
    assert world.states()["a"][0] != reached
    world.catch_up()
    assert world.states()["a"] == (reached, None)
    world.charge()
    assert world.states()["a"] == ("paid", None)
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


def test_an_invoice_that_is_being_charged_is_left_to_the_charger(world: EventWorld) -> None:
    world.bill(Bill("a"))
    with pytest.raises(RuntimeError, match="cut off"):
        world.charge(CutOff(world.stripe.base_url, "pay_invoice"))
    world.deliver(world.at_stripe())
    with holding(world, charge_lock_key(invoice_id_of("a"))):
        assert world.process().outcomes["put off"] > 0
        assert world.states()["a"] == ("finalized", None)
    world.drain()
    assert world.states()["a"] == ("paid", None)


def test_an_event_that_slips_in_while_an_invoice_is_charged_makes_the_charger_decide_anew(world: EventWorld) -> None:
    """The lock is a courtesy: even an event that is applied between the charger's call and its note harms nothing."""
    world.bill(Bill("a"))
    slipping = SlippedIn(world)
    world.charge(slipping)
    assert slipping.applied > 0
    assert world.states()["a"] == ("paid", None)
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


class SlippedIn(StripeGateway):
    """After every answer of Stripe's, and before the charger notes it, its events are applied."""

    def __init__(self, world: EventWorld) -> None:
        super().__init__(KEY, world.stripe.base_url)
        self._world = world
        self.applied = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("create_invoice", "pay_invoice"):
            return found

        def slipped_in(*arguments: Any, **options: Any) -> Any:
            answer = found(*arguments, **options)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(event_invoices, "_is_being_charged", lambda *_: False)
                self.applied += self._world.catch_up().outcomes["applied"]
            return answer

        return slipped_in


def test_a_refusal_of_an_earlier_attempt_is_not_taken_for_this_ones(world: EventWorld) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.deliver(world.at_stripe())
    move_charges(world.warehouse, "state = 'finalized', attempt = 2, reason_code = NULL, reason = NULL")
    world.drain()
    assert world.states()["a"] == ("finalized", None), "attempt 2 has not been made"
    with pytest.raises(stripe.CardError):
        world.stripe.api.invoices.pay(world.stripe_id("a"))
    world.catch_up()
    assert world.states()["a"] == ("refused", "declined")
