"""Payments that take days (bank debits): waited for, never asked for again meanwhile, refused with their reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.rules.brakes import Limits
from billing_pipeline_tests.charging.days import Days, row
from billing_pipeline_tests.charging.world import MONTH, NO_EXPECTATION, Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld

KINDS = ("sepa_debit", "us_bank_account", "au_becs_debit", "bacs_debit", "boleto")
FOUR_DAYS = timedelta(days=4)


def pays_by_bank(world: EventWorld, customer_id: str, kind: str = "sepa_debit", **fields: Any) -> None:
    world.stripe.control("POST", "/customer_payment_methods", {"customer": customer_id, "kind": kind, **fields})


def debited(world: EventWorld, *customers: str, kind: str = "sepa_debit") -> None:
    """A charged month whose customers pay by bank; no bank answers by itself."""
    world.bill(*(Bill(customer, card=None) for customer in customers))
    for customer in customers:
        pays_by_bank(world, customer, kind, outcome="stays_processing")
    hear(world, timedelta())  # or the payment method would be news after the refusal
    world.charge()


def bank_answers(world: EventWorld, customer_id: str, **fields: Any) -> None:
    """The bank's word, days later: whatever key was used then, Stripe has forgotten it."""
    world.stripe.control("POST", "/clock", {"advance_s": FOUR_DAYS.total_seconds()})
    world.stripe.control("POST", "/debits/settle", {"invoice": world.stripe_id(customer_id), **fields})


def debits(world: EventWorld) -> int:
    """How often money was asked for."""
    return sum(write.endswith("/pay") for write in world.stripe.writes())


def hear(world: EventWorld, at_stripe: timedelta = FOUR_DAYS) -> None:
    """Stripe's events come in and are processed."""
    world.sweep(now=datetime.now(UTC) + at_stripe + timedelta(minutes=1))
    world.process()


@pytest.mark.parametrize("kind", KINDS)
def test_a_payment_that_takes_days_is_asked_for_once_and_waited_for(world: EventWorld, kind: str) -> None:
    debited(world, "a", kind=kind)
    assert world.states() == {"a": ("finalized", None)}
    days = Days(world)
    for _ in range(5):
        days.after(days=1)
        world.charge()
        hear(world, timedelta())
    assert (world.states()["a"][0], debits(world)) == ("finalized", 1)
    assert world.problems() == [("a", "is not charged yet: it waits for a bank")]
    bank_answers(world, "a", outcome="success")
    days.after(days=1)
    assert (world.states()["a"], debits(world)) == (("paid", None), 1)


@pytest.mark.parametrize(
    ("answer", "reason_code"),
    [
        ({"outcome": "debit_not_authorized"}, "debit_not_authorized"),
        ({"outcome": "account_closed"}, "account_closed"),
        ({"outcome": "no_account"}, "account_closed"),
        ({"outcome": "insufficient_funds"}, "insufficient_funds"),
        ({"code": None, "decline_code": "insufficient_funds"}, "insufficient_funds"),
        ({"outcome": "payment_attempt_failed"}, "declined"),
        ({"outcome": "generic_decline"}, "declined"),
        ({"outcome": "no_code"}, "declined"),
        ({"code": "never_heard_of", "decline_code": "neither"}, "declined"),
    ],
)
@pytest.mark.parametrize("told_by", ["event", "question"])
def test_a_payment_that_fails_days_later_is_refused_with_its_reason_whatever_its_code(
    world: EventWorld, answer: dict[str, Any], reason_code: str, told_by: str
) -> None:
    debited(world, "a")
    bank_answers(world, "a", **answer)
    if told_by == "event":
        hear(world)
    days = Days(world)
    for _ in range(3):
        days.after(hours=6)
    assert (world.states(), debits(world)) == ({"a": ("refused", reason_code)}, 1)


def test_a_bank_is_asked_two_more_times_at_most(world: EventWorld) -> None:
    debited(world, "a")
    days = Days(world)
    for asked in (1, 2, 3):
        assert debits(world) == asked
        bank_answers(world, "a", outcome="insufficient_funds")
        days.after(hours=1)
        assert world.states() == {"a": ("refused", "insufficient_funds")}
        days.after(days=8)
    for _ in range(3):
        days.after(days=30)
    assert debits(world) == 3
    waits = row(world, "a", "pay")
    assert waits is not None
    assert (waits["due_at"], waits["cause"]) == (None, "refused 3 times: waits for another payment method or a person")


@pytest.mark.parametrize("outcome", ["debit_not_authorized", "account_closed"])
def test_what_a_bank_must_not_be_asked_again_waits_for_another_payment_method(world: EventWorld, outcome: str) -> None:
    debited(world, "a")
    days = Days(world)
    bank_answers(world, "a", outcome=outcome)
    for _ in range(8):
        days.after(days=7)
    assert (world.states(), debits(world)) == ({"a": ("refused", outcome)}, 1)
    hear(world)
    pays_by_bank(world, "a", "good")
    hear(world)
    days.after(hours=1)
    assert (world.states()["a"], debits(world)) == (("paid", None), 2)


def test_a_run_that_died_after_it_had_asked_and_was_away_for_days_does_not_ask_the_bank_again(
    world: EventWorld,
) -> None:
    debited(world, "a")
    # the row as it was before the answer came, and a day older than the key
    world.tamper(
        "UPDATE billing.stripe_charges SET bank_payment_id = NULL, bank_payment_since = NULL,"
        " attempt_began_at = clock_timestamp() - interval '4 days'"
    )
    bank_answers(world, "a", outcome="no_code")
    world.charge()
    assert (world.states(), debits(world)) == ({"a": ("refused", "declined")}, 1)


def test_a_payment_of_somebody_else_that_is_under_way_is_waited_for_too(world: EventWorld) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    pays_by_bank(world, "a", outcome="stays_processing")
    world.stripe.control("POST", f"/dashboard/invoices/{world.stripe_id('a')}/charge_customer", {})
    days = Days(world)
    for _ in range(20):
        days.after(days=1)
    assert (world.states()["a"], debits(world)) == (("finalized", None), 1)
    bank_answers(world, "a", outcome="success")
    days.after(days=1)
    assert (world.states()["a"], debits(world)) == (("paid", None), 1)


def test_postgres_refuses_another_attempt_while_a_bank_is_asked(world: EventWorld) -> None:
    debited(world, "a")
    world.tamper("UPDATE billing.stripe_charges SET outcome_unknown_since = clock_timestamp()")
    with pytest.raises(DBAPIError, match="waits for a bank"), world.warehouse.transaction() as connection:
        connection.execute(
            text(
                "UPDATE billing.stripe_charges SET attempt = attempt + 1, outcome_unknown_since = NULL"
                " WHERE invoice_id = :id"
            ),
            {"id": invoice_id_of("a")},
        )


@pytest.mark.parametrize("by_bank", [1, 10])
def test_what_waits_for_a_bank_among_the_canaries_neither_holds_the_month_nor_counts_as_a_bad_sign(
    world: EventWorld, by_bank: int
) -> None:
    world.bill(*(Bill(f"c-{number:02}") for number in range(20)))
    first = world.warehouse.rows(
        "SELECT customer_id FROM billing.invoices WHERE billing_month = :m ORDER BY invoice_number LIMIT :n",
        m=MONTH,
        n=by_bank,
    )
    for found in first:
        pays_by_bank(world, found["customer_id"], outcome="stays_processing")
    report = world.charge(limits=Limits(canary_refusals_max_percent=0))
    assert (report.brakes, report.count("paid"), report.count("finalized")) == ((), 20 - by_bank, by_bank)


def test_a_refusal_at_once_of_a_debit_counts_as_one_of_a_bank(world: EventWorld) -> None:
    debited(world, "a")
    bank_answers(world, "a", outcome="insufficient_funds")
    world.charge(limits=NO_EXPECTATION)
    [charge] = world.charges().values()
    assert (charge["state"], charge["bank_payment_id"]) == ("refused", world.payment_intent("a"))
