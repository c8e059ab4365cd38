"""Drafts, lines and snapshots add up and agree with each other: amounts, currencies, periods, revisions."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from billing_pipeline_tests.postgres.invariants.rows import (
    MONTH,
    charged,
    customer,
    draft,
    execute,
    invoice,
    line,
    move,
    period,
    period_of,
    price,
    refused,
    settle,
    snapshot,
    undone,
    value,
)

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def lined(db: Connection) -> tuple[UUID, UUID, UUID]:
    """A period with one line of 10.00 and no invoice yet: invoice, period and price ids."""
    customer(db)
    ids = (uuid4(), period(db), price(db))
    line(db, *ids)
    return ids


def test_a_draft_over_the_sum_of_its_lines_is_accepted(db: Connection, lined: tuple[UUID, UUID, UUID]):
    line(db, *lined, line_no=2, quantity=1, exact_amount=5, amount_minor=500)
    with undone(db):
        invoice(db, *lined[:2], total_minor=1500, line_count=2)


@pytest.mark.parametrize(
    "over", [{"total_minor": 999}, {"total_minor": 1001}, {"total_minor": 0}, {"line_count": 0}, {"line_count": 2}]
)
def test_a_draft_over_another_sum_or_count_is_refused(
    db: Connection, lined: tuple[UUID, UUID, UUID], over: dict[str, Any]
):
    with refused(db, "not the sum of its lines"):
        invoice(db, *lined[:2], **over)


def test_a_draft_without_lines_has_a_total_of_zero(db: Connection):
    customer(db)
    period_id = period(db)
    with refused(db, "not the sum of its lines"):
        invoice(db, uuid4(), period_id)
    with undone(db):
        invoice(db, uuid4(), period_id, total_minor=0, line_count=0)


def test_one_wrong_draft_among_many_refuses_them_all(db: Connection, lined: tuple[UUID, UUID, UUID]):
    customer(db, "c2")
    other = period(db, "c2")
    with refused(db, "not the sum of its lines"):
        execute(
            db,
            "INSERT INTO billing.invoices (invoice_id, customer_id, period_id, billing_month, currency, total_minor,"
            " line_count, run_id) VALUES (:good, 'c1', :p1, :month, 'usd', 1000, 1, 'run'),"
            " (gen_random_uuid(), 'c2', :p2, :month, 'usd', 1, 0, 'run')",
            good=lined[0],
            p1=lined[1],
            p2=other,
            month=MONTH,
        )


def test_a_line_of_another_period_does_not_count(db: Connection, lined: tuple[UUID, UUID, UUID]):
    november = period(db, start=NOVEMBER, end=DECEMBER, previous_end=NOVEMBER)
    with refused(db, "not the sum of its lines"):
        invoice(db, lined[0], november, billing_month=NOVEMBER.date())
    with refused(db, "not the sum of its lines"):
        line(db, lined[0], november, lined[2], line_no=2, billing_month=NOVEMBER.date())
        invoice(db, *lined[:2], total_minor=2000, line_count=2)


def test_a_line_of_another_customers_period_is_refused(db: Connection, lined: tuple[UUID, UUID, UUID]):
    customer(db, "c2")
    with refused(db, "foreign key"):
        line(db, *lined, customer_id="c2", line_no=2)


def test_a_period_has_one_live_invoice(db: Connection):
    invoice_id = draft(db)
    with refused(db, "invoices_one_live|revision_key"):
        invoice(db, uuid4(), period_of(db, invoice_id), total_minor=0, line_count=0)
    with refused(db, "invoices_one_live"):
        again: dict[str, Any] = {"revision": 1, "supersedes_invoice_id": invoice_id, "total_minor": 0, "line_count": 0}
        invoice(db, uuid4(), period_of(db, invoice_id), **again)


def test_a_revision_needs_the_voided_invoice_that_it_replaces(db: Connection, lined: tuple[UUID, UUID, UUID]):
    for supersedes, why in ((None, "name_what_they_supersede"), (uuid4(), "supersede_the_revision_before|voided one")):
        with refused(db, why):
            invoice(db, *lined[:2], revision=1, supersedes_invoice_id=supersedes)
    with refused(db, "name_what_they_supersede"):
        invoice(db, *lined[:2], supersedes_invoice_id=uuid4())


def test_after_a_void_the_period_may_be_invoiced_anew_as_the_next_revision(db: Connection):
    voided = charged(db)
    move(db, voided, "void")
    settle(db)
    period_id = period_of(db, voided)
    with refused(db, "revision_key"):
        invoice(db, uuid4(), period_id, total_minor=0, line_count=0)
    with refused(db, "supersede_the_revision_before"):
        skipping: dict[str, Any] = {"revision": 2, "supersedes_invoice_id": voided, "total_minor": 0, "line_count": 0}
        invoice(db, uuid4(), period_id, **skipping)
    again = uuid4()
    line(db, again, period_id, value(db, "SELECT price_id FROM billing.prices"))
    invoice(db, again, period_id, revision=1, supersedes_invoice_id=voided)
    settle(db)


def test_a_revision_names_the_void_invoice_of_its_own_period(db: Connection):
    voided, other = charged(db), draft(db, "c2")
    with refused(db, "replaces the voided one"):
        again: dict[str, Any] = {"revision": 1, "supersedes_invoice_id": voided, "total_minor": 0, "line_count": 0}
        execute(db, "DROP INDEX billing.invoices_one_live")
        invoice(db, uuid4(), period_of(db, voided), **again)
    move(db, voided, "void")
    settle(db)
    with refused(db, "supersede_the_revision_before"):
        again = {"revision": 1, "supersedes_invoice_id": voided, "total_minor": 0, "line_count": 0}
        execute(db, "DROP INDEX billing.invoices_one_live")
        invoice(db, uuid4(), period_of(db, other), "c2", **again)


def test_the_lines_of_a_void_invoice_stay(db: Connection):
    voided = charged(db)
    move(db, voided, "void")
    settle(db)
    for change in ("DELETE FROM billing.invoice_line_items", "DELETE FROM billing.invoices"):
        with refused(db, "lines of an existing invoice|is finalised and stays"):
            execute(db, change)
    with undone(db):
        execute(db, "DELETE FROM billing.usage_snapshots")
        snapshot(db, period_of(db, voided), quantity=3)


def test_a_supplement_adds_to_a_final_invoice_of_its_period(db: Connection):
    invoice_id = draft(db)
    with refused(db, "adds to a final one of its period"):
        invoice(db, uuid4(), period_of(db, invoice_id), supplement_no=1, total_minor=0, line_count=0)


@pytest.mark.parametrize("status", ["open", "paid", "void", "uncollectible"])
def test_only_drafts_enter(db: Connection, lined: tuple[UUID, UUID, UUID], status: str):
    with refused(db, "starts as a draft"):
        by: dict[str, Any] = {"finalised_at": NOVEMBER, "finalised_by": "ann", "finalised_through": "person"}
        invoice(db, *lined[:2], status=status, invoice_number=1, **by)


@pytest.mark.parametrize(
    "over",
    [{"invoice_number": 1}, {"finalised_at": NOVEMBER}, {"status": "sent"}, {"revision": -1}, {"total_minor": -1}],
)
def test_a_draft_has_no_number_and_no_date_of_finalisation(
    db: Connection, lined: tuple[UUID, UUID, UUID], over: dict[str, Any]
):
    with refused(db, "check"):
        invoice(db, *lined[:2], **over)


@pytest.mark.parametrize(
    ("over", "because"),
    [
        ({"exact_amount": Decimal("10.01"), "amount_minor": 1001}, "line_items_check"),
        ({"exact_amount": Decimal("10.000000000001")}, "line_items_check"),
        ({"amount_minor": 1001}, "line_items_check"),
        ({"amount_minor": 10}, "line_items_check"),
        ({"quantity": Decimal("NaN")}, "exact_decimal_check"),
        ({"unit_amount": Decimal("Infinity")}, "exact_decimal_check"),
        ({"exact_amount": Decimal("NaN")}, "line_items_check"),
        ({"line_no": 0}, "line_no_check"),
        ({"kind": "gift"}, "kind_check"),
        ({"basis": "guessed"}, "basis_check"),
        ({"price_id": uuid4()}, "foreign key"),
        ({"period_id": uuid4()}, "foreign key"),
        ({"currency": "eur"}, "foreign key"),
        ({"billing_month": NOVEMBER.date()}, "foreign key"),
        ({"description": None}, "null value"),
    ],
)
def test_a_line_that_does_not_add_up_or_fit_its_period_is_refused(db: Connection, over: dict[str, Any], because: str):
    customer(db)
    ids = {"invoice_id": uuid4(), "period_id": period(db), "price_id": price(db)}
    with refused(db, because):
        line(db, **{**ids, **over})


@pytest.mark.parametrize(
    ("currency", "unit_amount", "amount_minor", "wrong"),
    [
        ("usd", "0.0125", 3, 2),
        ("usd", "-0.0125", -3, -2),
        ("jpy", "1.25", 3, 2),
        ("kwd", "0.0025", 10, 5),
        ("isk", "0.25", 100, 1),
        ("ugx", "0.25", 100, 1),
    ],
)
def test_a_lines_amount_is_its_exact_amount_rounded_half_away_from_zero(
    db: Connection, currency: str, unit_amount: str, amount_minor: int, wrong: int
):
    customer(db, currency=currency)
    ids = (uuid4(), period(db, currency=currency), price(db, currency=currency))
    amounts: dict[str, Any] = {
        "currency": currency,
        "unit_amount": Decimal(unit_amount),
        "exact_amount": 2 * Decimal(unit_amount),
    }
    with undone(db):
        line(db, *ids, amount_minor=amount_minor, **amounts)
    with refused(db, "line_items_check"):
        line(db, *ids, amount_minor=wrong, **amounts)


def test_an_invoice_in_another_currency_than_its_period_is_refused(db: Connection, lined: tuple[UUID, UUID, UUID]):
    with refused(db, "foreign key"):
        invoice(db, *lined[:2], currency="eur")


def test_a_snapshot_in_another_currency_or_month_than_its_period_is_refused(db: Connection):
    customer(db)
    period_id = period(db)
    for over in ({"currency": "eur"}, {"billing_month": NOVEMBER.date()}):
        with refused(db, "foreign key"):
            snapshot(db, period_id, **over)


@pytest.mark.parametrize(
    "over", [{"event_count": -1}, {"quantity": Decimal("NaN")}, {"basis": "guessed"}, {"as_of": None}]
)
def test_a_snapshot_that_means_nothing_is_refused(db: Connection, over: dict[str, Any]):
    customer(db)
    period_id = period(db)
    with refused(db, "check|null value"):
        snapshot(db, period_id, **over)


def test_a_snapshot_is_one_of_its_period_meter_and_dimensions(db: Connection):
    customer(db)
    period_id = period(db)
    snapshot(db, period_id, dimensions='{"a": "1", "b": "2"}')
    with refused(db, "usage_snapshots_pkey"):
        snapshot(db, period_id, dimensions='{"b": "2", "a": "1"}')


def test_usage_is_quarantined_once_even_without_a_period(db: Connection):
    row = (
        "INSERT INTO billing.usage_quarantine (billing_month, stage, customer_id, meter, dimensions, reason, quantity,"
        " event_count, run_id) VALUES (:month, 'usage_snapshots', 'c1', 'users', '{}', 'unknown customer', 1, 1, 'run')"
    )
    execute(db, row, month=MONTH)
    with refused(db, "usage_quarantine_grain"):
        execute(db, row, month=MONTH)


def test_a_draft_and_its_lines_may_be_rebuilt(db: Connection):
    invoice_id = draft(db)
    period_id = period_of(db, invoice_id)
    execute(db, "DELETE FROM billing.invoices")
    execute(db, "DELETE FROM billing.invoice_line_items")
    execute(db, "DELETE FROM billing.usage_snapshots")
    snapshot(db, period_id)
    line(db, invoice_id, period_id, value(db, "SELECT price_id FROM billing.prices"))
    invoice(db, invoice_id, period_id)
    settle(db)


def test_the_lines_of_a_draft_change_only_after_the_draft_is_dropped(db: Connection):
    invoice_id = draft(db)
    with refused(db, "lines of an existing invoice"):
        line(db, invoice_id, period_of(db, invoice_id), price(db, meter="users"), line_no=2)
    with refused(db, "lines of an existing invoice"):
        execute(db, "DELETE FROM billing.invoice_line_items")
