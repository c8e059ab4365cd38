"""No state moves without what was seen of it: a statement by itself is refused when it is committed."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline_tests.charging.world import Bill, World
from billing_pipeline_tests.month_rows import seen_at_stripe
from billing_pipeline_tests.postgres.invariants.rows import reason_of

LOGGED = "WITH moved AS (%s RETURNING *) SELECT billing.log_action('ann', 'charge.lie', 'invoice', invoice_id::text, "
LATER = "the audit log does not say in this transaction"
PAID = "UPDATE billing.stripe_charges SET state = 'paid' WHERE customer_id = 'refused'"


@pytest.fixture
def charged(world: World) -> World:
    world.bill(Bill("refused", card=None), Bill("paid"))
    world.charge()
    return world


@pytest.mark.parametrize("state", ["paid", "void", "uncollectible", "finalized", "parked"])
def test_a_charge_does_not_move_by_a_statement_alone(charged: World, state: str) -> None:
    also = ", attempt = attempt + 1" if state == "finalized" else ""
    _refused(charged, f"UPDATE billing.stripe_charges SET state = '{state}'{also} WHERE customer_id = 'refused'", LATER)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ('state_after => \'{"state": "paid"}\'', LATER),
        (
            "state_after => jsonb_build_object('state', 'paid', 'stripe_invoice', stripe_invoice_id, 'status', 'open')",
            LATER,
        ),
        ('state_after => \'{"state": "paid", "stripe_invoice": "in_other", "status": "paid"}\'', LATER),
        (
            "state_after => jsonb_build_object('state', 'paid', 'stripe_invoice', stripe_invoice_id, 'status', 'paid')",
            None,
        ),
    ],
)
def test_paid_needs_this_invoice_of_stripes_seen_as_paid(charged: World, seen: str, said: str | None) -> None:
    statement = f"{LOGGED % PAID}{seen}) FROM moved"
    if said is not None:
        _refused(charged, statement, said)
        return
    with charged.warehouse.transaction() as connection:
        connection.execute(text(statement))
    assert charged.states()["refused"][0] == "paid"


def test_what_was_seen_in_another_transaction_is_none_of_this_one(charged: World) -> None:
    with charged.warehouse.transaction() as connection:
        connection.execute(
            text(
                "SELECT billing.log_action('ann', 'charge.look', 'invoice', invoice_id::text, state_after =>"
                " jsonb_build_object('state', 'paid', 'stripe_invoice', stripe_invoice_id, 'status', 'paid'))"
                " FROM billing.stripe_charges"
            )
        )
    _refused(charged, PAID, LATER)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE billing.invoice_numbering SET last_number = 0", "that of the last invoice"),
        ("UPDATE billing.invoice_numbering SET last_number = last_number + 1", "that of the last invoice"),
        ("UPDATE billing.credit_note_numbering SET last_number = 5", "that of the last credit note"),
        (
            "UPDATE billing.customers SET stripe_customer_id = 'cus_x' WHERE customer_id = 'paid'",
            "another one needs a decision",
        ),
        ("UPDATE billing.customers SET stripe_customer_id = 'cus_x' WHERE customer_id = 'new'", "who says so"),
    ],
)
def test_numbers_and_customers_do_not_move_by_a_statement_alone(charged: World, statement: str, said: str) -> None:
    charged.drafts(Bill("new", at_stripe=False))
    _refused(charged, statement, said)


def test_what_is_seen_moves_a_charge(charged: World) -> None:
    with charged.warehouse.transaction() as connection:
        connection.execute(text(seen_at_stripe("state = 'void'", "customer_id = 'refused'")))
    assert charged.states()["refused"][0] == "void"


def _refused(world: World, statement: str, said: str) -> None:
    with pytest.raises(DBAPIError) as caught, world.warehouse.transaction() as connection:
        connection.execute(text(statement))
    assert said in reason_of(caught.value)
