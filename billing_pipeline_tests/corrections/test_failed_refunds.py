"""A refund that fails later waits for a person, and its money is given back once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.failed_refunds import RepaymentRefused, failed_refunds, repay
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.errors import Evidence, StripeFailure, classify
from billing_pipeline_tests.charging.world import KEY, Bill
from billing_pipeline_tests.events.world import EventWorld

WHY = Signature("ann", "the card was closed")


@pytest.fixture
def world(world: EventWorld) -> EventWorld:
    """A paid invoice of 40.00 whose refund of 15.00 failed, as an event said."""
    world.bill(Bill("a", card="pm_card_refundFail"))
    world.charge()
    world.stripe.api.refunds.create({"payment_intent": world.payment_intent("a"), "amount": 1500})
    world.catch_up()
    return world


def _give(world: EventWorld, to: str = "balance", **over: str) -> Any:
    [row] = failed_refunds(world.warehouse)
    signature = Signature(**{"author": "ann", "reason": "the card was closed", **over})
    return repay(world.warehouse, world.gateway(), row.refund_id, signature, to=to)


def _balance_minor(world: EventWorld) -> int:
    customer = world.stripe.api.customers.retrieve(world.charges()["a"]["stripe_customer_id"])
    return -int(customer.balance or 0)


def test_a_refund_that_failed_waits_for_a_person_and_its_events_again_change_nothing(world: EventWorld) -> None:
    [row] = failed_refunds(world.warehouse)
    assert (row.customer, row.amount_minor, row.status, row.state) == ("a", 1500, "failed", "open")
    world.catch_up()
    assert failed_refunds(world.warehouse) == [row]


def test_its_money_goes_to_the_balance_once(world: EventWorld) -> None:
    done = _give(world)
    assert (done.method, done.amount_minor, _balance_minor(world)) == ("balance", 1500, 1500)
    assert str(done.stripe_id).startswith("cbtxn_")
    assert failed_refunds(world.warehouse) == []
    with pytest.raises(RepaymentRefused, match=r"was settled by ann: balance, cbtxn_"):
        repay(world.warehouse, world.gateway(), done.refund_id, to="card", signature=WHY)
    logged = world.warehouse.rows(
        "SELECT actor, action FROM billing.automation_log WHERE object_type = 'refund' ORDER BY log_id"
    )
    assert [tuple(row.values()) for row in logged] == [("ann", "refund.decide"), ("ann", "stripe.repay")]


@pytest.mark.parametrize("fault", ["drop_before_effect", "drop_after_effect", "error_500_with_effect", "rate_limit"])
def test_a_lost_answer_repays_once(world: EventWorld, fault: str) -> None:
    world.stripe.fault(fault, "POST /v1/customers/*/balance_transactions", times=1)
    assert _give(world).method == "balance"
    assert _balance_minor(world) == 1500


def test_without_an_answer_the_decision_stands_and_the_next_goes_on_with_it(world: EventWorld) -> None:
    world.stripe.fault("drop_after_effect", "POST /v1/customers/*/balance_transactions", times=1)
    world.stripe.fault("drop_before_effect", "GET /v1/customers/*/balance_transactions", skip=1, times=9)
    with pytest.raises(RepaymentRefused, match="no definite answer"):
        _give(world)
    [row] = failed_refunds(world.warehouse)
    assert (row.state, row.method) == ("intended", "balance")
    world.stripe.heal()
    done = _give(world, to="elsewhere", author="bob")
    assert (done.method, _balance_minor(world)) == ("balance", 1500)


def test_another_refund_is_tried_and_fails_as_a_refund_of_its_own(world: EventWorld) -> None:
    done = _give(world, to="card")
    assert str(done.stripe_id).startswith("re_")
    world.catch_up()
    [row] = failed_refunds(world.warehouse)
    assert (row.refund_id, row.amount_minor, row.state) == (done.stripe_id, 1500, "open")


def test_what_was_paid_outside_stripe_is_recorded_without_a_call(world: EventWorld) -> None:
    writes = world.stripe.writes()
    done = _give(world, to="elsewhere", reason="bank transfer 17")
    assert (done.method, done.stripe_id, world.stripe.writes()) == ("elsewhere", None, writes)
    [row] = failed_refunds(world.warehouse, settled=True)
    assert (row.author, row.reason) == ("ann", "bank transfer 17")


def test_two_people_at_once_repay_once(world: EventWorld) -> None:
    world.stripe.fault("latency", "POST /v1/customers/*/balance_transactions", times=1, latency_ms=300)

    def give(author: str) -> str:
        try:
            return str(_give(world, author=author).method)
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(give, ["ann", "bob"]))
    assert said[-1] == "balance" or said[0] == "balance", said
    assert any("somebody else is at work on it" in line or "was settled by" in line for line in said), said
    assert _balance_minor(world) == 1500


def test_what_stripe_refuses_waits_for_another_decision(world: EventWorld) -> None:
    world.stripe.api.customers.delete(world.charges()["a"]["stripe_customer_id"])
    with pytest.raises(RepaymentRefused, match="waits for another decision"):
        _give(world)
    [row] = failed_refunds(world.warehouse)
    assert row.state == "open"
    assert _give(world, to="elsewhere").method == "elsewhere"


def test_where_the_customer_is_gone_for_good_another_decision_is_possible(world: EventWorld) -> None:
    class Gone(StripeGateway):
        def repaid_to_balance(self, stripe_customer_id: str, repays: str) -> str | None:
            said = Evidence("not_found", "resource_missing", message=f"nothing of {stripe_customer_id} or {repays}")
            raise StripeFailure(classify(said), said)

    [row] = failed_refunds(world.warehouse)
    with pytest.raises(RepaymentRefused, match="waits for another decision"):
        repay(world.warehouse, Gone(KEY, world.stripe.base_url), row.refund_id, to="balance", signature=WHY)
    assert _give(world, to="elsewhere").method == "elsewhere"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE billing.failed_refunds SET amount_minor = 1", "what failed does not change"),
        ("UPDATE billing.failed_refunds SET attempt = 2", "changed only when Stripe has refused"),
        ("DELETE FROM billing.failed_refunds", "is kept"),
        ("UPDATE billing.failed_refunds SET state = 'intended', method = 'balance'", "decided_by_somebody"),
        (
            (
                "UPDATE billing.failed_refunds SET state = 'settled', method = 'balance', author = 'a', reason = 'r',"
                " stripe_id = 'cbtxn_1', settled_at = now()"
            ),
            "Stripe is asked for what is intended",
        ),
        (
            (
                "UPDATE billing.failed_refunds SET state = 'settled', method = 'elsewhere', author = 'a', reason = 'r',"
                " stripe_id = 'x', settled_at = now()"
            ),
            "settled_where_it_says",
        ),
    ],
)
def test_postgres_holds_it_to_that(world: EventWorld, statement: str, says: str) -> None:
    with pytest.raises(DBAPIError, match=says):
        world.execute(statement)
