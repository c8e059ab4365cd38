"""Whatever is lost on the way, and whenever the process dies: one successful payment, after at most three passes."""

from collections.abc import Iterator

import pytest

from billing_pipeline.charging.month_verification import verify_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import (
    MONTH,
    Bill,
    Emulated,
    World,
    invoice_id_of,
)
from billing_pipeline_tests.killed_process import killed

FAULTS = (
    "drop_before_effect",
    "drop_after_effect",
    "error_500_without_effect",
    "error_500_with_effect",
    "rate_limit",
)
CALLS = (
    "POST /v1/customers",
    "POST /v1/invoices",
    "POST /v1/invoices/*/add_lines",
    "POST /v1/invoices/*/finalize",
    "POST /v1/invoices/*/pay",
    "GET /v1/invoices",
    "GET /v1/customers",
)
PASSES = 3


@pytest.fixture
def world(shared_database: Warehouse, shared_stripe: Emulated) -> Iterator[World]:
    """One month for all tests here: each adds its customers, and what the others left must stay settled."""
    yield World(shared_database, shared_stripe)
    shared_stripe.heal()


def settled(world: World, *names: str) -> None:
    """Each of them is paid, once, by the one invoice that Stripe has for it."""
    assert {world.states()[name] for name in names} == {("paid", None)}
    payments = world.stripe.payments()
    invoices = [invoice["metadata"]["invoice_id"] for invoice in world.stripe.invoices()]
    assert [payments[invoice_id_of(name)] for name in names] == [1] * len(names)
    assert [invoices.count(invoice_id_of(name)) for name in names] == [1] * len(names)
    assert verify_month(world.warehouse, world.gateway(), MONTH) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_that_fails_once_is_made_good(world: World, fault: str) -> None:
    names = [f"{fault}-{n}" for n in range(len(CALLS))]
    world.bill(*(Bill(name) for name in names))
    for number, call in enumerate(CALLS):
        # one worker: the n-th invoice meets the fault at the n-th call
        world.stripe.fault(fault, call, times=1, skip=number if call.startswith("POST /v1/invoices") else 0)
    for _ in range(PASSES):
        world.charge(workers=1)
    settled(world, *names)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "rate_limit"])
def test_an_invoice_that_loses_every_first_answer_is_made_good(world: World, fault: str) -> None:
    name = f"unlucky-{fault}"
    world.bill(Bill(name))
    for call in CALLS[1:]:
        world.stripe.fault(fault, call, times=1)
    for _ in range(PASSES):
        world.charge(workers=1)
    settled(world, name)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_customer_whose_creation_is_lost_is_created_once(world: World, fault: str) -> None:
    name = f"new-{fault}"
    world.bill(Bill(name, at_stripe=False))
    world.stripe.fault(fault, "POST /v1/customers", times=2)
    for _ in range(PASSES):
        world.charge(workers=1)
    assert world.states()[name] == ("refused", "no_payment_method")
    found = [customer for customer in world.gateway().list_customers() if customer.customer_id == name]
    assert len(found) == 1


@pytest.mark.parametrize("fault", ["drop_after_effect", "error_500_with_effect"])
def test_a_refusal_whose_answer_was_lost_is_recorded_and_not_tried_again(world: World, fault: str) -> None:
    name = f"declined-{fault}"
    world.bill(Bill(name, card="pm_card_chargeCustomerFail"))
    world.stripe.fault(fault, "POST /v1/invoices/*/pay", times=1)
    for _ in range(PASSES):
        world.charge(workers=1)
    assert world.states()[name] == ("refused", "declined")
    assert world.charges()[name]["attempt"] == 1
    stripe_id = world.charges()[name]["stripe_invoice_id"]
    assert world.stripe.api.invoices.retrieve(stripe_id).attempt_count == 1


def test_half_of_all_calls_failing_charges_nobody_twice(world: World) -> None:
    names = [f"storm-{n}" for n in range(12)]
    world.bill(*(Bill(name) for name in names))
    for seed, fault in enumerate(FAULTS):
        world.stripe.fault(fault, "POST /v1/invoices**", rate=0.1, seed=seed)
    world.stripe.fault("expire_key", "POST /v1/invoices**", rate=0.1, seed=77)
    world.charge()
    world.stripe.heal()
    world.charge()
    settled(world, *names)


@pytest.mark.parametrize(
    ("operation", "when"),
    [("create_invoice", "after"), ("finalize_invoice", "after"), ("pay_invoice", "after")],
)
def test_a_run_killed_at_a_call_is_finished_by_the_next(world: World, operation: str, when: str) -> None:
    names = [f"{operation}-{when}-{n}" for n in range(2)]
    world.bill(*(Bill(name) for name in names))
    killed(world.warehouse, world.stripe.base_url, operation, when, "charge")
    assert {world.states()[name][0] for name in names} <= {"intended", "drafted", "lines_added", "finalized"}
    assert world.charge().pending == {}
    settled(world, *names)
