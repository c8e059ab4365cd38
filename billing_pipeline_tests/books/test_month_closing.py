"""A month is closed when everything agrees, and then the database keeps it as it is, whoever asks and however quickly."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.books.audit_chain import seal
from billing_pipeline.books.month_closing import ClosedMonth, NotClosed, close_month
from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.events.rebuild import rebuild
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of
from billing_pipeline_tests.events.world import CIPHER, EventWorld
from billing_pipeline_tests.month_rows import seen_at_stripe
from billing_pipeline_tests.postgres.invariants.rows import reason_of
from billing_pipeline_tests.postgres.invariants.sessions import refusal, two_sessions


def close(world: EventWorld) -> ClosedMonth:
    return close_month(world.warehouse, world.gateway(), MONTH, author="ann", run_id="close", now=datetime.now(UTC))


def settled(world: EventWorld) -> None:
    """A month with everything that may be in a closed one."""
    fail = "pm_card_chargeCustomerFail"
    world.bill(
        Bill("a", (4000, 1)), Bill("y", (1200,), currency="jpy"), Bill("small", (20,)), Bill("lost", card=fail),
        Bill("gone", card=fail), Bill("bank", card=fail),
    )  # fmt: skip
    world.charge()
    world.stripe.api.invoices.mark_uncollectible(world.stripe_id("lost"))
    world.stripe.api.invoices.void_invoice(world.stripe_id("gone"))
    world.stripe.api.invoices.pay(world.stripe_id("bank"), {"paid_out_of_band": True})
    world.catch_up()
    void_invoice(world.warehouse, world.gateway(), invoice_id_of("gone"), Signature("ann", "it may be billed again"))


def test_a_settled_month_is_closed_with_its_proof_once(world: EventWorld) -> None:
    settled(world)
    closed = close(world)
    assert (closed.now, closed.closed_by) == (True, "ann")
    assert (closed.invoice_count, closed.stripe_invoice_count, closed.payment_count) == (6, 6, 2)
    assert closed.totals == {
        "jpy": {"invoiced": 1200, "paid": 1200, "collected": 1200, "otherwise": 0, "written_off": 0, "voided": 0,
            "taken_back": 0,
        },
        "usd": {
            "invoiced": 12021, "paid": 8021, "collected": 4001, "otherwise": 4020, "written_off": 4000, "voided": 4000,
            "taken_back": 0,
        },
    }  # fmt: skip
    again = close(world)
    assert not again.now
    assert again.digests == closed.digests
    logged = world.warehouse.rows("SELECT actor, object_id FROM billing.automation_log WHERE action = 'month.close'")
    assert [(row["actor"], row["object_id"]) for row in logged] == [("ann", "2026-10-01")]


@pytest.mark.parametrize(
    ("unsettle", "why"),
    [
        (lambda world: world.miss_payments(), r"payment inpay_\w+ of INV-00000001: missing_here"),
        (lambda world: world.catch_up(), None),
        (
            lambda world: (world.miss_payments(), world.forget("a", claimed=True)),
            "1 difference.*invoice in_.* of INV-00000001: status, ours intended, Stripe's paid",
        ),
        (
            lambda world: (world.catch_up(), world.tamper("UPDATE billing.stripe_payments SET paid_minor = 3999")),
            "payment inpay_.* of INV-00000001: amount_or_currency, ours 3999 usd, Stripe's 4000 usd",
        ),
    ],
)
def test_what_does_not_agree_is_not_closed(world: EventWorld, unsettle: Callable[[EventWorld], Any], why: str) -> None:
    world.bill(Bill("a"))
    world.charge()
    unsettle(world)
    if why is None:
        assert close(world).now
        return
    with pytest.raises(NotClosed, match=why):
        close(world)
    assert world.warehouse.scalar("SELECT count(*) FROM billing.month_books WHERE closed_at IS NOT NULL") == 0


def test_a_month_with_a_draft_is_not_closed(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("held", status="on_hold"))
    world.charge()
    world.catch_up()
    with pytest.raises(NotClosed, match=r"1 draft\(s\) are not finalised"):
        close(world)


def test_a_month_with_an_open_invoice_or_none_at_all_is_not_closed(world: EventWorld) -> None:
    with pytest.raises(NotClosed, match="it has no invoices"):
        close(world)
    world.bill(Bill("a"), Bill("broke", card=None))
    world.charge()
    world.catch_up()
    with pytest.raises(
        NotClosed, match=r"1 charge\(s\) are not settled, such as INV-\d+ of customer broke, which is refused"
    ):
        close(world)


CHANGES = [
    "UPDATE billing.stripe_charges SET reason = 'x' WHERE customer_id = 'lost'",
    seen_at_stripe("state = 'paid', stripe_total_minor = 4000", "customer_id = 'lost'"),
    "UPDATE billing.invoices SET status = 'paid' WHERE customer_id = 'lost'",
    (
        "INSERT INTO billing.invoice_line_items SELECT gen_random_uuid(), line_no, period_id, customer_id, billing_month,"
        " meter, dimensions, kind, description, usage_quantity, included_quantity, quantity, unit_amount, exact_amount,"
        " currency, amount_minor, price_id, price_version, basis, run_id FROM billing.invoice_line_items LIMIT 1"
    ),
    (
        "INSERT INTO billing.invoices (invoice_id, customer_id, period_id, billing_month, revision,"
        " supersedes_invoice_id, currency, total_minor, line_count, run_id)"
        " SELECT gen_random_uuid(), customer_id, period_id, billing_month, 1, invoice_id, currency, 0, 0, 'r'"
        " FROM billing.invoices WHERE status = 'void'"
    ),
]


@pytest.fixture
def closed(world: EventWorld) -> EventWorld:
    settled(world)
    close(world)
    return world


def test_no_record_of_a_closed_month_changes(closed: EventWorld) -> None:
    before = closed.digest()
    for statement in CHANGES:
        with pytest.raises(DBAPIError) as caught:
            closed.execute(statement)
        assert reason_of(caught.value) == "month 2026-10 is closed: its records do not change any more", statement
    for statement, why in (
        ("UPDATE billing.month_books SET closed_at = NULL", "is closed and stays as it was proven"),
        ("UPDATE billing.month_books SET closed_by = 'bob'", "is closed and stays as it was proven"),
        ("DELETE FROM billing.month_books", "a closed month stays closed"),
        ("TRUNCATE billing.month_books", "a closed month stays closed"),
    ):
        with pytest.raises(DBAPIError) as caught:
            closed.execute(statement)
        assert why in reason_of(caught.value)
    assert closed.digest() == before


def test_a_month_that_was_changed_past_the_triggers_is_noticed(closed: EventWorld) -> None:
    closed.tamper("UPDATE billing.stripe_charges SET state = 'paid' WHERE customer_id = 'lost'")
    with pytest.raises(NotClosed, match="its records have another digest today"):
        close(closed)


def test_what_happens_after_the_closing_is_a_record_of_its_own(closed: EventWorld) -> None:
    """A late payment of a write-off and a refund: kept, applied, and the closed invoice stays as it was."""
    closed.stripe.api.invoices.pay(closed.stripe_id("lost"), {"payment_method": "pm_card_visa"})
    closed.stripe.api.refunds.create({"payment_intent": closed.payment_intent("a"), "amount": 7})
    closed.catch_up()
    assert closed.states()["lost"] == ("uncollectible", None)
    assert {row["state"] for row in closed.work()} == {"applied", "ignored"}
    payments = {str(row["invoice_id"]): row["paid_minor"] for row in closed.mirrored("stripe_payments")}
    assert payments[invoice_id_of("lost")] == 4000
    assert [row["amount_minor"] for row in closed.mirrored("stripe_refunds")] == [7]
    assert not close(closed).now
    rebuilt = rebuild(closed.warehouse, CIPHER)
    assert (rebuilt.mismatches, len(rebuilt.after_closing)) == ((), 1)
    assert compare_with_stripe(closed.warehouse, closed.gateway(), "r", datetime.now(UTC)).differences == ()


def _closing(world: EventWorld) -> dict[str, Any]:
    compared = compare_with_stripe(world.warehouse, world.gateway(), "r", datetime.now(UTC), month=MONTH)
    digest = world.warehouse.scalar("SELECT billing.month_digest('2026-10-01')")
    seal(world.warehouse)
    return {"reconciliation": compared.reconciliation_id, "digest": digest}


def close_by_sql(connection: Connection, values: dict[str, Any]) -> int:
    return connection.execute(text(_CLOSE), values).rowcount


@pytest.mark.parametrize("isolation_level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_change_that_comes_while_the_month_is_closed_is_refused(world: EventWorld, isolation_level: Any) -> None:
    settled(world)
    values = _closing(world)
    with two_sessions(world.warehouse) as (closer, _), two_sessions(world.warehouse, isolation_level) as (writer, _):
        writer.do(lambda connection: connection.execute(text("SELECT 1")))
        assert closer.do(lambda connection: close_by_sql(connection, values)) == 1
        waiting = writer.waits(lambda connection: connection.execute(text(CHANGES[1])))
        closer.commit()
        assert any(why in refusal(waiting) for why in ("is closed", "could not serialize access"))
        writer.rollback()
    assert world.states()["lost"] == ("uncollectible", None)


def test_a_month_is_not_closed_over_a_change_that_was_there_first(world: EventWorld) -> None:
    settled(world)
    values = _closing(world)
    with two_sessions(world.warehouse) as (writer, closer):
        writer.do(lambda connection: connection.execute(text(CHANGES[1])))
        waiting = closer.waits(lambda connection: close_by_sql(connection, values))
        writer.commit()
        assert "has changed since it was compared" in refusal(waiting)
        closer.rollback()


def test_two_who_close_at_once_close_once(world: EventWorld) -> None:
    settled(world)
    values = _closing(world)
    with two_sessions(world.warehouse) as (first, second):
        assert first.do(lambda connection: close_by_sql(connection, values)) == 1
        waiting = second.waits(lambda connection: close_by_sql(connection, values))
        first.commit()
        assert waiting.result(20) == 0
        second.commit()


def test_the_database_closes_nothing_that_is_not_proven(world: EventWorld) -> None:
    settled(world)
    good = _closing(world)
    elsewhere = compare_with_stripe(world.warehouse, world.gateway(), "r", datetime.now(UTC)).reconciliation_id
    for values, isolation_level, why in (
        ({**good, "digest": b"x" * 32}, "READ COMMITTED", "has changed since it was compared"),
        ({**good, "reconciliation": elsewhere}, "READ COMMITTED", "comparison of that month without differences"),
        (good, "REPEATABLE READ", "a month is closed in READ COMMITTED"),
    ):
        with world.warehouse.engine.connect().execution_options(isolation_level=isolation_level) as connection:
            with pytest.raises(DBAPIError) as caught:
                close_by_sql(connection, values)
            assert why in reason_of(caught.value)
    world.tamper("UPDATE billing.invoices SET status = 'open' WHERE customer_id = 'gone'")
    with world.warehouse.engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        close_by_sql(connection, good)
    assert "1 invoice(s) that are neither paid, void nor written off" in reason_of(caught.value)
    with pytest.raises(DBAPIError) as caught:
        world.execute(_CLOSED_FROM_THE_START, **good)
    assert "starts open" in reason_of(caught.value)


_CLOSE = """
UPDATE billing.month_books SET closed_at = clock_timestamp(), closed_by = 'sql', reconciliation_id = :reconciliation,
    invoice_count = 6, stripe_invoice_count = 6, payment_count = 2, totals = '{}', invoices_sha256 = :digest,
    stripe_invoices_sha256 = sha256('x'), payments_sha256 = sha256('y'), audit_seal_no = h.seal_no, audit_seal = h.seal
FROM billing.audit_head() AS h
WHERE billing_month = '2026-10-01' AND closed_at IS NULL
"""
_CLOSED_FROM_THE_START = """
INSERT INTO billing.month_books VALUES ('2026-12-01', now(), 'sql', :reconciliation, 0, 0, 0, '{}', :digest,
    sha256('x'), sha256('y'), 1, sha256('z'))
"""
