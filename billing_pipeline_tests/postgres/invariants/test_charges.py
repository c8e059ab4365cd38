"""A charge is an invoice's, frozen with it; its state moves along the transitions and the invoice follows."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from billing_pipeline.charging.rules import charging
from billing_pipeline_tests.month_rows import seen_at_stripe
from billing_pipeline_tests.postgres.invariants.rows import (
    charged,
    checked_draft,
    customer,
    draft,
    execute,
    finalise,
    intent,
    move,
    refused,
    settle,
    undone,
    value,
)

STATES = sorted(charging.STATES)
FOLLOWED = ("paid", "void", "uncollectible")


@pytest.fixture
def final(db: Connection) -> UUID:
    """A finalised invoice that still lacks its intent."""
    invoice_id = checked_draft(db)
    finalise(db, invoice_id)
    return invoice_id


def change(db: Connection, **values: object) -> None:
    execute(db, seen_at_stripe(", ".join(f"{name} = :{name}" for name in values)), **values)


def test_a_draft_is_not_charged(db: Connection):
    invoice_id = draft(db)
    with refused(db, "is not finalised and cannot be charged"):
        intent(db, invoice_id)


def test_an_invoice_that_does_not_exist_is_not_charged(db: Connection, final: UUID):
    with refused(db, "is not finalised and cannot be charged"):
        execute(
            db,
            "INSERT INTO billing.stripe_charges (invoice_id, billing_month, customer_id, amount_minor, currency,"
            " request_body, run_id) VALUES (gen_random_uuid(), '2026-10-01', 'c1', 1000, 'usd', '{}', 'run')",
        )
    intent(db, final)
    settle(db)


@pytest.mark.parametrize(
    "over",
    [
        {"amount_minor": 999},
        {"amount_minor": 0},
        {"currency": "eur"},
        {"customer_id": "c2"},
        {"billing_month": "2026-11-01"},
    ],
)
def test_an_intent_is_over_the_invoices_amount_currency_customer_and_month(
    db: Connection, final: UUID, over: dict[str, Any]
):
    customer(db, "c2")
    with refused(db, "foreign key"):
        intent(db, final, **over)


def test_an_invoice_is_charged_once(db: Connection):
    invoice_id = charged(db)
    with refused(db, "stripe_charges_pkey"):
        intent(db, invoice_id)


@pytest.mark.parametrize(
    "over",
    [
        {"state": "drafted"},
        {"state": "paid"},
        {"attempt": 2},
        {"stripe_invoice_id": "in_1", "stripe_customer_id": "cus_1"},
    ],
)
def test_a_charge_starts_as_an_intent(db: Connection, final: UUID, over: dict[str, Any]):
    with refused(db, "starts as an intent"):
        intent(db, final, **over)


@pytest.mark.parametrize(
    "over",
    [
        {"request_body": b"{} "},
        {"amount_minor": 1},
        {"currency": "eur"},
        {"customer_id": "c2"},
        {"billing_month": "2026-11-01"},
        {"run_id": "other"},
        {"created_at": "2020-01-01"},
    ],
)
def test_an_intent_is_frozen(db: Connection, over: dict[str, Any]):
    charged(db)
    with refused(db, "the intent is frozen"):
        change(db, **over)


def test_the_digest_of_the_request_is_the_databases_own(db: Connection):
    charged(db)
    assert value(db, "SELECT request_sha256 = sha256(request_body) FROM billing.stripe_charges")
    with refused(db, "can only be updated to DEFAULT"):
        change(db, request_sha256=b"0")


@pytest.mark.parametrize("column", ["stripe_invoice_id", "stripe_customer_id"])
@pytest.mark.parametrize("other", ["other_1", None])
def test_ids_at_stripe_are_set_once(db: Connection, column: str, other: str | None):
    invoice_id = charged(db)
    move(db, invoice_id, "drafted")
    with refused(db, "ids at Stripe are set once"):
        change(db, **{column: other})


def test_two_charges_do_not_share_an_invoice_at_stripe(db: Connection):
    first = charged(db, "c1", 1)
    second = charged(db, "c2", 2)
    move(db, first, "drafted", stripe_invoice_id="in_1")
    with refused(db, "stripe_invoice_id_key"):
        move(db, second, "drafted", stripe_invoice_id="in_1")


def test_an_invoice_at_stripe_is_of_a_known_customer_there(db: Connection):
    invoice_id = charged(db)
    with refused(db, "stripe_charges_check"):
        move(db, invoice_id, "drafted", stripe_customer_id=None)


@pytest.mark.parametrize("state", sorted(charging.STATES - {"intended", "parked", "void"}))
def test_a_state_beyond_the_intent_needs_the_invoice_at_stripe(db: Connection, state: str):
    invoice_id = charged(db)
    with refused(db, "stripe_charges_check"):
        move(db, invoice_id, state, stripe_invoice_id=None)


@pytest.mark.parametrize("state", ["lines_added", "finalized", "refused", "paid", "uncollectible"])
@pytest.mark.parametrize("total", [999, 1001, 0, None])
def test_nothing_goes_on_at_stripe_over_another_total_than_ours(db: Connection, state: str, total: int | None):
    invoice_id = charged(db)
    with refused(db, "stripe_total_equals_ours"):
        move(db, invoice_id, state, stripe_total_minor=total)


def test_a_total_that_changes_afterwards_is_refused(db: Connection):
    invoice_id = charged(db)
    move(db, invoice_id, "finalized")
    with refused(db, "stripe_total_equals_ours"):
        change(db, stripe_total_minor=999)


@pytest.mark.parametrize("state", ["drafted", "parked", "void"])
def test_another_total_may_be_remembered_where_nothing_is_paid(db: Connection, state: str):
    invoice_id = charged(db)
    with undone(db):
        move(db, invoice_id, state, stripe_total_minor=999)


@pytest.mark.parametrize("state", ["refused", "parked"])
def test_a_refused_or_parked_charge_has_a_reason(db: Connection, state: str):
    invoice_id = charged(db)
    with refused(db, "stripe_charges_check"):
        move(db, invoice_id, state, reason_code=None)
    move(db, invoice_id, state)
    with refused(db, "stripe_charges_check"):
        change(db, reason_code=None)


def test_the_table_of_transitions_is_the_programs(db: Connection):
    rows = db.execute(text("SELECT from_state, to_state FROM billing.charge_transitions"))
    assert {(row.from_state, row.to_state) for row in rows} == charging.TRANSITIONS


@pytest.mark.parametrize("before", STATES)
def test_a_state_moves_along_the_transitions_and_no_other_way(db: Connection, before: str):
    invoice_id = charged(db)
    if before != "intended":
        move(db, invoice_id, before)
    for after in STATES:
        if after == before or (before, after) in charging.TRANSITIONS:
            with undone(db):
                move(db, invoice_id, after, **({"attempt": 2} if (before, after) == ("refused", "finalized") else {}))
                expected = after if after in FOLLOWED else "open"
                assert value(db, "SELECT status FROM billing.invoices") == expected
        else:
            with refused(db, f"state does not go from {before} to {after}"):
                move(db, invoice_id, after)


@pytest.mark.parametrize("final_state", ["paid", "void"])
def test_a_terminal_state_is_terminal(db: Connection, final_state: str):
    assert not [after for before, after in charging.TRANSITIONS if before == final_state]
    invoice_id = charged(db)
    move(db, invoice_id, final_state)
    for after in sorted(charging.STATES - {final_state}):
        with refused(db, f"state does not go from {final_state}"):
            move(db, invoice_id, after)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO billing.charge_transitions VALUES ('paid', 'void')",
        "DELETE FROM billing.charge_transitions",
        "UPDATE billing.charge_transitions SET to_state = 'paid'",
        "TRUNCATE billing.charge_transitions",
    ],
)
def test_the_transitions_change_only_by_a_migration(db: Connection, statement: str):
    with refused(db, "change by a migration"):
        execute(db, statement)


def test_an_unknown_state_is_refused(db: Connection):
    charged(db)
    with refused(db, "state does not go|state_check"):
        change(db, state="lost")


@pytest.mark.parametrize("attempt", [0, 1, 2, 5, None])
def test_attempts_are_counted_one_by_one(db: Connection, attempt: int | None):
    invoice_id = charged(db)
    for number in (2, 3):
        move(db, invoice_id, "refused")
        move(db, invoice_id, "finalized", attempt=number)
    move(db, invoice_id, "refused")
    with refused(db, "counted one by one|null value"):
        move(db, invoice_id, "finalized", attempt=attempt)


@pytest.mark.parametrize("state", ["intended", "drafted", "lines_added", "finalized"])
def test_an_attempt_rises_only_after_a_definite_answer(db: Connection, state: str):
    invoice_id = charged(db)
    if state != "intended":
        move(db, invoice_id, state)
    with refused(db, "only after a definite answer"):
        change(db, attempt=2)
    change(db, outcome_unknown_since="2026-11-01Z")
    with refused(db, "only after a definite answer"):
        change(db, attempt=2)
    change(db, attempt=2, outcome_unknown_since=None)  # Stripe was asked, and the key is used up


def test_what_was_refused_is_tried_again_as_another_attempt(db: Connection):
    invoice_id = charged(db)
    move(db, invoice_id, "refused")
    with refused(db, "tried again as another attempt"):
        move(db, invoice_id, "finalized")
    move(db, invoice_id, "finalized", attempt=2)


@pytest.mark.parametrize("state", ["lines_added", "finalized", "refused", "paid", "uncollectible"])
@pytest.mark.parametrize("currency", ["eur", None])
def test_nothing_goes_on_at_stripe_in_another_currency_than_ours(db: Connection, state: str, currency: str | None):
    invoice_id = charged(db)
    with refused(db, "stripe_total_equals_ours"):
        move(db, invoice_id, state, stripe_currency=currency)


def test_the_invoices_status_follows_an_uncollectible_charge_that_is_paid_after_all(db: Connection):
    invoice_id = charged(db)
    move(db, invoice_id, "uncollectible")
    assert value(db, "SELECT status FROM billing.invoices") == "uncollectible"
    move(db, invoice_id, "paid")
    assert value(db, "SELECT status FROM billing.invoices") == "paid"
    settle(db)


@pytest.mark.parametrize("status", FOLLOWED)
def test_an_invoice_is_not_paid_or_void_while_its_charge_may_still_be_tried(db: Connection, status: str):
    charged(db)
    with refused(db, f"is {status}, its charge intended: the status follows the charge"):
        execute(db, "UPDATE billing.invoices SET status = :status", status=status)


@pytest.mark.parametrize("statement", ["DELETE FROM billing.stripe_charges", "TRUNCATE billing.stripe_charges CASCADE"])
def test_charges_are_kept(db: Connection, statement: str):
    charged(db)
    with refused(db, "charges are kept"):
        execute(db, statement)


def test_a_charges_last_change_is_dated_by_the_database(db: Connection):
    charged(db)
    execute(db, "UPDATE billing.stripe_charges SET updated_at = '2020-01-01'")
    assert value(db, "SELECT updated_at > '2020-01-02' FROM billing.stripe_charges")
