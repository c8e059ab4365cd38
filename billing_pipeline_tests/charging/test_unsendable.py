"""Customers of any script and length are charged like any other; what cannot be sent is no lost answer."""

from typing import Any

import pytest

from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.events.world import EventWorld

STRANGE = ("plain", "Zoë", "顧客1", "a b", 'a"b', "a#b", "emoji😀", "L" * 255)


def test_a_customer_of_any_script_and_length_is_charged_like_any_other(world: EventWorld) -> None:
    world.bill(*(Bill(name, at_stripe=False) for name in STRANGE))
    # an address of so many characters is no address: this is about ids
    with_addresses = "UPDATE billing.customers SET email = 'a@example.com', name = 'N'"
    world.tamper(with_addresses)
    world.charge()
    assert world.states() == dict.fromkeys(STRANGE, ("refused", "no_payment_method"))


@pytest.mark.parametrize("key", ["schlüssel", "客", "k" * 256])
def test_a_key_that_no_header_can_carry_is_a_definite_failure_and_nothing_is_sent(world: EventWorld, key: str) -> None:
    gateway = world.gateway()
    with pytest.raises(StripeFailure) as failure:
        gateway.create_customer("a", "A", "a@example.com", key=key)
    assert (failure.value.outcome, failure.value.code) == (Outcome.PARK, "request_unsendable")
    assert not world.stripe.writes()


class Unsendable:
    """A gateway whose HTTP client cannot write a header, as with an id outside latin-1."""

    def __init__(self, gateway: StripeGateway, call: str) -> None:
        self._gateway, self._call = gateway, call

    def __getattr__(self, name: str) -> Any:
        if name != self._call:
            return getattr(self._gateway, name)

        def call(*_: Any, **__: Any) -> Any:
            def send() -> Any:
                "客".encode("latin-1")

            return self._gateway.call("x", send)

        return call


@pytest.mark.parametrize("call", ["create_customer", "create_invoice", "pay_invoice"])
def test_a_local_error_parks_its_invoice_at_once_and_no_other(world: EventWorld, call: str) -> None:
    world.bill(Bill("a", at_stripe=call != "create_customer"))
    world.charge(Unsendable(world.gateway(), call), workers=1)  # type: ignore[arg-type]
    prefix = "customer_" if call == "create_customer" else ""
    assert world.states() == {"a": ("parked", f"{prefix}request_unsendable")}
    assert "UnicodeEncodeError" in world.charges()["a"]["reason"]
    assert not read_brakes(world.warehouse).on()


def test_an_invoice_that_no_run_could_begin_with_is_an_error_that_names_the_reason(world: EventWorld) -> None:
    world.bill(Bill("a", at_stripe=False))
    world.stripe.fault("drop_before_effect", "POST /v1/customers")
    world.charge()
    assert world.states() == {"a": ("intended", "customer_connection_lost")}
    assert world.problems() == [("a", "is not charged yet: intended")]
    world.tamper("UPDATE billing.stripe_charges SET created_at = created_at - interval '25 hours'")
    [(customer, problem)] = world.problems()
    assert customer == "a"
    assert problem.startswith("was finalised more than a day ago and no run could begin to charge it")
    assert "customer_connection_lost" in problem
    world.stripe.heal()
    world.charge()
    assert world.states() == {"a": ("refused", "no_payment_method")}
