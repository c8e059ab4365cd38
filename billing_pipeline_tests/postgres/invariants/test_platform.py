"""What the platform tells us is kept as it came: append-only tables, corrections, series, customers."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection

from billing_pipeline_tests.postgres.invariants.rows import (
    START,
    customer,
    draft,
    event,
    execute,
    gate,
    insert,
    refused,
    settle,
    undone,
    value,
)


def correct(db: Connection, event_id: str, corrects: str | None, **over: object) -> None:
    given = {"author": "ann", "reason": "counted wrong", **over}
    insert(db, "usage_corrections", event_id=event_id, corrects_event_id=corrects, **given)


@pytest.fixture
def filled(db: Connection) -> Connection:
    """One row in each append-only table."""
    draft(db)
    event(db, "e1")
    event(db, "e2")
    correct(db, "e2", "e1")
    insert(db, "usage_imports", source="usage.csv", received_at=START, row_count=1, new_event_count=0)
    insert(db, "automation_log", actor="ann", action="usage.correct", object_type="usage_event", object_id="e1")
    gate(db, "invoices", "no_invoice_over_cap")
    return db


APPEND_ONLY = {
    "usage_events": "meter",
    "usage_corrections": "reason",
    "usage_imports": "source",
    "automation_log": "action",
    "gate_results": "run_id",
}


@pytest.mark.parametrize(("table", "column"), APPEND_ONLY.items())
def test_a_row_of_an_append_only_table_is_never_updated(filled: Connection, table: str, column: str):
    with refused(filled, "append-only"):
        execute(filled, f"UPDATE billing.{table} SET {column} = 'other'")


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["DELETE FROM", "TRUNCATE", "TRUNCATE ONLY"])
def test_an_append_only_table_is_never_emptied(filled: Connection, table: str, statement: str):
    with refused(filled, "append-only|referenced in a foreign key"):
        execute(filled, f"{statement} billing.{table}")


def test_truncate_cascade_does_not_get_round_append_only(filled: Connection):
    with refused(filled, "append-only"):
        execute(filled, "TRUNCATE billing.usage_events CASCADE")


def test_an_upsert_does_not_get_round_append_only(filled: Connection):
    with refused(filled, "append-only"):
        execute(
            filled,
            "INSERT INTO billing.usage_events (event_id, customer_id, meter, quantity, occurred_at)"
            " VALUES ('e1', 'c1', 'licenses', 9, now()) ON CONFLICT (event_id) DO UPDATE SET quantity = 9",
        )


def test_the_same_event_twice_is_one_event(db: Connection):
    event(db)
    with refused(db, "usage_events_pkey"):
        event(db)


@pytest.mark.parametrize(
    "over",
    [
        {"quantity": Decimal("NaN")},
        {"quantity": Decimal("Infinity")},
        {"quantity": Decimal("0.0000000000001")},
        {"dimensions": "[]"},
        {"dimensions": "null"},
        {"occurred_at": "infinity"},
        {"occurred_at": "-infinity"},
        {"event_id": ""},
    ],
)
def test_an_event_has_a_finite_quantity_an_instant_and_an_object_of_dimensions(db: Connection, over: dict[str, Any]):
    with refused(db, "check"):
        event(db, **over)


def test_usage_of_a_customer_that_is_not_known_yet_is_kept(db: Connection):
    with undone(db):
        event(db, customer_id="nobody")


def test_an_event_is_corrected_once(db: Connection):
    for event_id in ("e1", "e2", "e3"):
        event(db, event_id)
    correct(db, "e2", "e1")
    with refused(db, "corrects_event_id_key"):
        correct(db, "e3", "e1")


def test_a_correction_may_itself_be_corrected(db: Connection):
    for event_id in ("e1", "e2", "e3"):
        event(db, event_id)
    correct(db, "e2", "e1")
    with undone(db):
        correct(db, "e3", "e2")


def test_an_event_does_not_correct_itself(db: Connection):
    event(db)
    with refused(db, "usage_corrections_check|corrects no other"):
        correct(db, "e1", "e1")


def test_two_events_do_not_correct_each_other(db: Connection):
    event(db, "e1")
    event(db, "e2")
    correct(db, "e2", "e1")
    with refused(db, "corrects no other"):
        correct(db, "e1", "e2")


def test_corrections_form_no_ring_within_one_statement(db: Connection):
    for event_id in ("e1", "e2", "e3"):
        event(db, event_id)
    with refused(db, "corrects no other"):
        execute(
            db,
            "INSERT INTO billing.usage_corrections (event_id, corrects_event_id, author, reason)"
            " VALUES ('e1', 'e2', 'ann', 'x'), ('e2', 'e3', 'ann', 'x'), ('e3', 'e1', 'ann', 'x')",
        )


def test_several_corrections_may_add_missing_events(db: Connection):
    event(db, "e1")
    event(db, "e2")
    with undone(db):
        correct(db, "e1", None)
        correct(db, "e2", None)


@pytest.mark.parametrize("over", [{"author": ""}, {"reason": ""}, {"author": None}, {"reason": None}])
def test_a_correction_names_its_author_and_reason(db: Connection, over: dict[str, Any]):
    event(db, "e1")
    event(db, "e2")
    with refused(db, "check|null value"):
        correct(db, "e2", "e1", **over)


def test_a_correction_is_of_events_that_exist(db: Connection):
    event(db, "e1")
    with refused(db, "foreign key"):
        correct(db, "e1", "gone")


def test_no_event_is_without_its_series_and_the_series_knows_its_first_event(db: Connection):
    event(db, "e1", dimensions='{"tier": "basic", "Region": "eu"}')
    event(db, "e2", dimensions='{"tier": "basic", "Region": "eu"}', occurred_at=START - timedelta(days=40))
    event(db, "e3", dimensions='{"tier": "basic", "Region": "eu"}', occurred_at=START + timedelta(days=1))
    assert value(db, "SELECT count(*) FROM billing.usage_series") == 1
    assert value(db, "SELECT dimension_names FROM billing.usage_series") == ["Region", "tier"]
    assert value(db, "SELECT first_occurred_at FROM billing.usage_series") == START - timedelta(days=40)
    assert (
        value(
            db,
            "SELECT count(DISTINCT series_id) FROM billing.usage_events JOIN billing.usage_series USING (series_id)",
        )
        == 1
    )


@pytest.mark.parametrize(
    "change",
    [
        "first_occurred_at = first_occurred_at + interval '1 second'",
        "first_occurred_at = 'infinity'",
        "meter = 'users'",
        "customer_id = 'c2'",
        "dimension_names = '{tier}'",
        'dimensions = \'{"tier": "basic"}\'',
        "series_id = md5('x')::uuid",
    ],
)
def test_a_series_changes_in_no_way_that_would_drop_usage(db: Connection, change: str):
    event(db)
    with refused(db, "would drop usage|series_id_check|usage_series_check"):
        execute(db, f"UPDATE billing.usage_series SET {change}")


@pytest.mark.parametrize("statement", ["DELETE FROM", "TRUNCATE"])
def test_a_series_stays(db: Connection, statement: str):
    event(db)
    with refused(db, "would drop its usage"):
        execute(db, f"{statement} billing.usage_series")


def test_a_series_cannot_be_given_to_another_customer_before_its_first_event(db: Connection):
    event(db, "e1", customer_id="c1")
    series_id = value(db, "SELECT series_id FROM billing.usage_series")
    with refused(db, "usage_series_check"):
        insert(
            db, "usage_series", series_id=series_id, customer_id="c2", meter="licenses", dimensions="{}",
            dimension_names=[], first_occurred_at=START,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("over", "because"),
    [
        ({"currency": "USD"}, "currency_code"),
        ({"name": ""}, "name_check"),
        ({"email": "nobody"}, "email_check"),
        ({"timezone": ""}, "timezone_check"),
        ({"status": "gone"}, "status_check"),
        ({"billing_cycle": "weekly"}, "billing_cycle_check"),
        ({"billing_cycle": "0_days", "cycle_anchor": START.date()}, "billing_cycle_check"),
        ({"billing_cycle": "30_days"}, "customers_check"),
        ({"billing_cycle": "30_days", "cycle_anchor": "infinity"}, "cycle_anchor_check"),
        ({"stripe_customer_id": ""}, "stripe_customer_id_check"),
    ],
)
def test_a_customer_that_cannot_be_billed_is_refused(db: Connection, over: dict[str, Any], because: str):
    with refused(db, because):
        customer(db, **over)


def test_customers_are_not_two_in_one_at_stripe(db: Connection):
    customer(db, "c1", stripe_customer_id="cus_1")
    with refused(db, "stripe_customer_id_key"):
        customer(db, "c2", stripe_customer_id="cus_1")


def test_a_customer_keeps_leading_zeros_and_may_have_a_cycle_of_days(db: Connection):
    with undone(db):
        assert customer(db, "007", billing_cycle="30_days", cycle_anchor=START.date()) == "007"
        assert value(db, "SELECT customer_id FROM billing.customers") == "007"


def test_a_customer_with_periods_stays(db: Connection):
    draft(db)
    settle(db)
    with refused(db, "foreign key"):
        execute(db, "DELETE FROM billing.customers")
    with refused(db, "kept|rebuilt|refused"):
        execute(db, "TRUNCATE billing.customers CASCADE")


@pytest.mark.parametrize(
    "over",
    [
        {"row_count": 1, "new_event_count": 2, "oldest_new_at": START},
        {"row_count": -1, "new_event_count": 0},
        {"row_count": 1, "new_event_count": 1},
        {"row_count": 1, "new_event_count": 0, "oldest_new_at": START},
        {"row_count": 1, "new_event_count": 0, "complete_through": "infinity"},
    ],
)
def test_an_import_does_not_claim_what_cannot_be(db: Connection, over: dict[str, Any]):
    with refused(db, "check"):
        insert(db, "usage_imports", source="f", received_at=datetime(2026, 11, 1, tzinfo=UTC), **over)
