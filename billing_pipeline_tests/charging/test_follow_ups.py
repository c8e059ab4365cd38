"""The queue of charges that are looked at again: what gets into it, when it is done, and when a person has to."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from billing_pipeline.charging import follow_ups as queue
from billing_pipeline.charging.brakes import pause_charging, resume_charging
from billing_pipeline.charging.rules.unknown_outcomes import ASKS_MAX
from billing_pipeline.core.signature import Signature
from billing_pipeline_tests.charging.days import Days, card_works, row
from billing_pipeline_tests.charging.world import MONTH, Bill, World, invoice_id_of
from billing_pipeline_tests.postgres.invariants.rows import charged, execute, refused

DECLINED = "pm_card_chargeCustomerFail"


def attempts(world: World, customer_id: str) -> int:
    """Attempts to pay that Stripe counted."""
    return int(world.stripe.api.invoices.retrieve(world.charges()[customer_id]["stripe_invoice_id"]).attempt_count)


def test_a_refused_payment_is_tried_again_by_the_schedule_with_another_attempt_each(world: World) -> None:
    world.bill(Bill("a", card=DECLINED))
    world.charge()
    days = Days(world)
    days.after()
    for number, gap in enumerate((1, 2, 4, 7), start=1):
        assert days.after(days=gap, hours=-2).retried == 0
        assert attempts(world, "a") == number
        assert days.after(hours=3).retried == 1
        assert (attempts(world, "a"), world.charges()["a"]["attempt"]) == (number + 1, number + 1)
        assert world.states()["a"] == ("refused", "declined")
    assert days.after(days=400).retried == 0
    assert row(world, "a", "pay") == {
        "step": 4, "due_at": None, "cause": "refused 5 times: waits for another payment method or a person", "attempt": 5,
    }  # fmt: skip
    paid = [call for call in world.stripe.writes() if call.endswith("/pay")]
    assert len(paid) == 5


def test_two_passes_at_once_try_it_again_once(world: World) -> None:
    world.bill(Bill("a", card=DECLINED))
    world.charge()
    days = Days(world)
    days.after()
    with world.warehouse.transaction() as connection:
        queue.make_due(connection, "a")
    world.stripe.fault("latency", "GET /v1/invoices/*", latency_ms=300)
    passes = [threading.Thread(target=days.after) for _ in range(3)]
    for one in passes:
        one.start()
    for one in passes:
        one.join()
    assert (attempts(world, "a"), world.charges()["a"]["attempt"]) == (2, 2)


def test_a_retry_that_succeeds_ends_it(world: World) -> None:
    world.bill(Bill("a", card=DECLINED))
    world.charge()
    card_works(world, "a")
    Days(world).after()
    Days(world).after(days=2)
    assert world.states() == {"a": ("paid", None)}
    assert world.stripe.payments() == {invoice_id_of("a"): 1}
    assert row(world, "a", "pay") is None


def test_what_was_paid_at_stripe_meanwhile_is_not_paid_again(world: World) -> None:
    world.bill(Bill("a", card=DECLINED))
    world.charge()
    Days(world).after()
    world.stripe.api.invoices.pay(world.charges()["a"]["stripe_invoice_id"], {"paid_out_of_band": True})
    before = attempts(world, "a")
    Days(world).after(days=2)
    assert world.states() == {"a": ("paid", None)}
    assert attempts(world, "a") == before


@pytest.mark.parametrize(
    ("outcome", "waits_for"),
    [
        (None, "waits for a payment method"),
        ("authentication_required", "waits for the customer"),
        ("expired_card", "waits for another payment method"),
        ("fraudulent", "waits for another payment method"),
    ],
)
def test_what_cannot_succeed_waits_until_a_new_method_makes_it_due_at_once(
    world: World, outcome: str | None, waits_for: str
) -> None:
    world.bill(Bill("a", card="pm_card_visa" if outcome else None))
    if outcome:
        card_works(world, "a", outcome)
    world.charge()
    days = Days(world)
    days.after()
    assert days.after(days=30).retried == 0
    waiting = row(world, "a", "pay")
    assert waiting is not None
    assert waiting["due_at"] is None
    assert waiting["cause"].startswith(waits_for)
    customer = world.charges()["a"]["stripe_customer_id"]
    method = world.stripe.api.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    world.stripe.api.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    for _ in range(2):  # the event comes twice
        with world.warehouse.transaction() as connection:
            assert queue.make_due(connection, "a") == 1
    assert days.after(seconds=1).retried == 1
    assert world.states() == {"a": ("paid", None)}
    assert world.stripe.payments() == {invoice_id_of("a"): 1}
    with world.warehouse.transaction() as connection:
        assert queue.make_due(connection, "a") == 0


def test_a_retry_whose_answer_is_lost_is_asked_about_and_counted_once(world: World) -> None:
    world.bill(Bill("a", card=DECLINED))
    world.charge()
    days = Days(world)
    days.after()
    card_works(world, "a")
    world.stripe.fault("drop_after_effect", "POST /v1/invoices/*/pay")
    world.stripe.fault("drop_before_effect", "GET /v1/invoices/*", skip=1)
    days.after(days=1, minutes=1)
    assert world.states()["a"] == ("finalized", None)
    world.stripe.heal()
    assert row(world, "a", "pay") == {"step": 0, "due_at": None, "cause": "the retry is under way", "attempt": 1}
    asking = row(world, "a", "ask")
    assert asking is not None
    assert asking["cause"] == "unknown outcome: question 1"
    assert days.after(minutes=6).asked == 1
    assert world.states() == {"a": ("paid", None)}
    assert world.stripe.payments() == {invoice_id_of("a"): 1}
    assert (row(world, "a", "ask"), row(world, "a", "pay")) == (None, None)


def test_an_outcome_that_stays_unknown_is_asked_about_by_the_schedule_and_then_parked(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("error_500_without_effect", "POST /v1/invoices/*/finalize")
    world.charge()
    days = Days(world)
    days.after()
    gaps = [{"minutes": 5}, {"hours": 1}, {"hours": 6}, *[{"days": 1}] * 7]
    assert len(gaps) == ASKS_MAX
    for number, gap in enumerate(gaps):
        assert world.states()["a"][0] == "lines_added"
        pending = row(world, "a", "ask")
        assert pending is not None
        assert pending["step"] == number
        with world.warehouse.transaction() as connection:  # each question loses an answer of its own
            connection.execute(
                text("UPDATE billing.stripe_charges SET outcome_unknown_since = now() - interval '9 days'")
            )
        world.stripe.heal()
        world.stripe.fault("drop_before_effect", "GET /v1/invoices/*")
        assert days.after(seconds=timedelta(**gap).total_seconds() - 60).asked == 0
        report = days.after(minutes=2)
        assert report.asked == 1
    assert report.parked == (invoice_id_of("a"),)
    charge = world.charges()["a"]
    assert (charge["state"], charge["reason_code"]) == ("parked", "outcome_unknown")
    assert "unknown outcome after 10 questions, since " in charge["reason"]
    assert row(world, "a", "ask") is None


def test_an_intent_that_was_left_lying_is_gone_on_with(world: World) -> None:
    world.bill(Bill("a"), Bill("new", at_stripe=False))
    days = Days(world)
    assert days.after().asked == 0
    assert days.after(minutes=6).asked == 2
    assert world.states() == {"a": ("paid", None), "new": ("refused", "no_payment_method")}


def test_what_a_pause_holds_back_is_not_counted_and_goes_on_when_it_ends(world: World) -> None:
    world.bill(Bill("a"), Bill("b", card=DECLINED))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/pay", times=3)
    world.charge(workers=1)
    world.charge(only=[invoice_id_of("b")])
    assert world.states() == {"a": ("finalized", None), "b": ("refused", "declined")}
    days = Days(world)
    days.after()
    pause_charging(world.warehouse, Signature("ann", "stop"))
    report = days.after(days=2)
    assert [brake.code for brake in report.brakes] == ["charging_paused"]
    held = row(world, "a", "ask"), row(world, "b", "pay")
    assert all(one is not None and one["cause"].startswith("held back: charging_paused") for one in held)
    assert [one["step"] for one in held if one] == [0, 0]
    resume_charging(world.warehouse, Signature("ann", "go"))
    card_works(world, "b")
    days.after(minutes=6)
    assert set(world.states().values()) == {("paid", None)}


def test_a_run_that_never_came_is_offered_again_under_another_key(world: World) -> None:
    world.bill(Bill("a"))
    queue.plan(world.warehouse, queue.default_days)
    now = datetime.now(UTC)
    assert queue.offer(world.warehouse, now) is None
    now += timedelta(minutes=6)
    assert queue.offer(world.warehouse, now, {MONTH}) is None, "its month is being charged"
    first = queue.offer(world.warehouse, now)
    assert first is not None
    assert (first.asks, first.retries) == (1, 0)
    assert queue.offer(world.warehouse, now + timedelta(minutes=9)) is None
    second = queue.offer(world.warehouse, now + timedelta(minutes=11))
    assert second is not None
    assert second.key != first.key


def test_planning_twice_changes_nothing_and_busy_months_are_left_alone(world: World) -> None:
    world.bill(Bill("a"), Bill("b", card=DECLINED))
    queue.plan(world.warehouse, queue.default_days, {MONTH})
    assert row(world, "a", "ask") is None
    world.charge(only=[invoice_id_of("b")])
    for _ in range(3):
        queue.plan(world.warehouse, queue.default_days)
    planned = row(world, "b", "pay")
    assert planned is not None
    assert (planned["step"], planned["attempt"]) == (0, 1)


@pytest.mark.parametrize(
    ("over", "because"),
    [
        ({"kind": "wish"}, "charge_follow_ups_kind_check"),
        ({"step": -1}, "charge_follow_ups_step_check"),
        ({"attempt": 0}, "charge_follow_ups_attempt_check"),
        ({"due_at": "infinity"}, "charge_follow_ups_due_at_check"),
        ({"due_at": None}, "charge_follow_ups_check"),
        ({"cause": ""}, "charge_follow_ups_cause_check"),
        ({"invoice_id": "00000000-0000-0000-0000-000000000001"}, "foreign key"),
    ],
)
def test_a_follow_up_is_of_a_charge_and_knows_when_and_why(db: Connection, over: dict[str, Any], because: str):
    given = {
        "invoice_id": charged(db), "kind": "ask", "attempt": 1, "step": 0, "due_at": "2026-11-01Z", "cause": "x", **over,
    }  # fmt: skip
    names = ", ".join(given)
    with refused(db, because):
        execute(
            db,
            f"INSERT INTO billing.charge_follow_ups ({names}) VALUES ({', '.join(f':{name}' for name in given)})",
            **given,
        )
