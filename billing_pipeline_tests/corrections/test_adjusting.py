"""Adjustments: on exactly one live invoice, through every rebuild, and no credit makes a total negative."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import AdjustmentRefused, adjust
from billing_pipeline.corrections.holds import Subject, customer_subject, invoice_subject, place_hold
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.gates.data_quality import run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.invoicing import invoices
from billing_pipeline.invoicing.rules.adjustments import Waiting, allocate, left_over, oldest_charged
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.month_rows import BOOK, DECEMBER, NOVEMBER, OCTOBER, at, checksums, load_book
from billing_pipeline_tests.postgres.invariants import rows
from billing_pipeline_tests.postgres.invariants.rows import execute, refused, settle, undone
from billing_pipeline_tests.postgres.invariants.sessions import refusal, two_sessions


@pytest.fixture(scope="module")
def more() -> Callable[[Platform], None]:
    """Ann made 210 calls in October, which is 3.00, and pays 10.00 a month; Bob used nothing."""

    def fill(platform: Platform) -> None:
        platform.customer("bob")

    return fill


def give(platform: Platform, amount_minor: int, customer_id: str = "ann", reason: str = "goodwill") -> str:
    return adjust(platform.warehouse, customer_id, amount_minor, Signature("ops", reason)).adjustment_id


def totals(platform: Platform, customer_id: str = "ann") -> dict[str, int]:
    return {
        f"{row['billing_month']:%m}{'v' * (row['status'] == 'void')}": row["total_minor"]
        for row in platform.warehouse.rows(
            "SELECT * FROM billing.invoices WHERE customer_id = :c ORDER BY billing_month, revision", c=customer_id
        )
    }


def test_an_adjustment_lands_on_the_next_draft_beside_the_metered_lines(platform: Platform) -> None:
    give(platform, 250)
    platform.bill()
    [invoice] = platform.invoices("ann")
    assert (invoice["total_minor"], invoice["line_count"], invoice["status"]) == (1550, 3, "paid")
    at_stripe = platform.stripe.api.invoices.retrieve(invoice["stripe_invoice_id"])
    assert at_stripe.total == 1550
    assert sorted(line.amount for line in at_stripe.lines.data) == [250, 300, 1000]
    platform.bill(NOVEMBER)
    assert totals(platform) == {"10": 1550, "11": 1000}


def test_a_draft_that_stands_takes_it_up_when_its_month_is_built_again(platform: Platform) -> None:
    platform.draft()
    give(platform, 250)
    assert totals(platform) == {"10": 1300}
    platform.draft()
    assert totals(platform) == {"10": 1550}
    before = checksums(platform.warehouse, ["invoices", "invoice_adjustments", "invoice_line_items"])
    platform.draft()
    assert checksums(platform.warehouse, ["invoices", "invoice_adjustments", "invoice_line_items"]) == before


def test_it_survives_that_the_month_comes_out_differently(platform: Platform) -> None:
    give(platform, 250)
    platform.draft()
    platform.use("ann", 100)
    platform.draft()
    assert totals(platform) == {"10": 1700}
    platform.draft(NOVEMBER)
    assert totals(platform) == {"10": 1700, "11": 1000}


def test_a_credit_larger_than_the_invoice_goes_on_to_the_next(platform: Platform) -> None:
    give(platform, -1800)
    platform.draft()
    platform.draft(NOVEMBER)
    assert totals(platform) == {"10": 0, "11": 500}
    platform.use("ann", 100)  # 1.50 more room in October, but the rest is November's by now
    platform.draft()
    platform.draft(NOVEMBER)
    assert totals(platform) == {"10": 150, "11": 500}


def test_credits_that_a_smaller_invoice_has_no_room_for_go_on(platform: Platform) -> None:
    give(platform, -1300)
    event = platform.use("ann", 100)
    platform.draft()
    assert totals(platform) == {"10": 150}
    platform.use("ann", 0, corrects=event)
    platform.use("ann", -210)
    platform.draft()
    platform.draft(NOVEMBER)
    assert totals(platform) == {"10": 0, "11": 700}


def test_charges_make_an_invoice_where_there_was_no_usage_and_credits_do_not(platform: Platform) -> None:
    without_fee = re.sub(r".*(fee:|meter: fee).*\n", "", BOOK)
    load_book(platform.warehouse, without_fee)
    give(platform, -500, "bob")
    platform.draft()
    assert totals(platform, "bob") == {}
    give(platform, 800, "bob", "setting up")
    platform.draft()
    assert totals(platform, "bob") == {"10": 300}
    platform.charge()
    assert platform.paid_minor("bob") == 300


def test_what_was_on_a_void_invoice_is_on_the_one_that_replaces_it(platform: Platform) -> None:
    give(platform, 250)
    platform.draft()
    platform.finalise()
    [invoice] = platform.invoices("ann")
    void_invoice(platform.warehouse, platform.gateway(), invoice["number"], Signature("a", "r"))
    platform.draft()
    assert totals(platform) == {"10v": 1550, "10": 1550}
    assert platform.warehouse.rows("SELECT * FROM billing.waiting_adjustments") == []


def test_the_gates_count_adjustments_with_the_lines(platform: Platform) -> None:
    give(platform, 250)
    platform.draft()
    gates = run_gates(
        platform.warehouse, gates_of("invoices"), OCTOBER, "run", {"invoice_cap_minor": 10**9, "price_factor_max": 10}
    )
    assert [result.gate.name for result in gates if result.failing_rows] == []
    with platform.warehouse.transaction() as connection:
        execute(connection, "SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        execute(connection, "UPDATE billing.invoice_adjustments SET amount_minor = 251")
    gates = run_gates(
        platform.warehouse, gates_of("invoices"), OCTOBER, "run", {"invoice_cap_minor": 10**9, "price_factor_max": 10}
    )
    assert [result.gate.name for result in gates if result.failing_rows] == ["total_is_sum_of_lines"]


def test_the_same_adjustment_twice_is_refused(platform: Platform) -> None:
    give(platform, 250)
    with pytest.raises(AdjustmentRefused, match="was made already"):
        give(platform, 250)
    give(platform, 250, reason="another goodwill")
    with pytest.raises(AdjustmentRefused, match="another amount than 0"):
        give(platform, 0)
    with pytest.raises(AdjustmentRefused, match="expected the id of a customer"):
        give(platform, 1, "nobody")


amounts = st.integers(-(10**9), 10**9).filter(bool)


@given(st.integers(0, 10**9), st.lists(amounts, max_size=8))
def test_no_total_is_negative_and_nothing_is_lost(lines: int, waiting: list[int]) -> None:
    given_ = [Waiting(str(place), amount, "d") for place, amount in enumerate(waiting)]
    taken = allocate(lines, given_)
    rest = left_over(given_, taken)
    assert lines + sum(one.left_minor for one in taken) >= 0
    assert sum(one.left_minor for one in taken) + sum(one.left_minor for one in rest) == sum(waiting)
    assert all(one.left_minor < 0 for one in rest), "charges never wait"
    if rest:
        assert lines + sum(one.left_minor for one in taken) == 0


@pytest.fixture
def period(db: Connection) -> Any:
    rows.customer(db)
    return rows.period(db)


def test_an_adjustment_is_on_one_live_invoice(db: Connection, period: Any) -> None:
    one = rows.adjustment(db)
    rows.adjusted_draft(db, one, period)
    later = rows.period(
        db, start=rows.END, end=at("2026-12-01"), previous_end=rows.END, billing_month=at("2026-11-01").date()
    )
    with refused(db, "over 200 is on invoices with 400"):
        rows.adjusted_draft(
            db, one, later, billing_month=at("2026-11-01").date(), header={"billing_month": at("2026-11-01").date()}
        )
    with undone(db):
        execute(db, "DELETE FROM billing.invoices")
        rows.adjusted_draft(
            db, one, later, billing_month=at("2026-11-01").date(), header={"billing_month": at("2026-11-01").date()}
        )


def test_a_charge_is_not_split_and_a_credit_is_not_exceeded(db: Connection, period: Any) -> None:
    with refused(db, "over 200 is on invoices with 100"):
        rows.adjusted_draft(db, rows.adjustment(db), period, 100)
    rows.line(db, invoice_id := uuid4(), period, rows.price(db))
    credit = rows.adjustment(db, -200)
    header = {"total_minor": 900, "line_count": 2}
    with undone(db):
        rows.adjusted_draft(db, credit, period, -100, invoice_id=invoice_id, line_no=2, header=header)
    with refused(db, "over -200 is on invoices with -201"):
        rows.adjusted_draft(db, credit, period, -201, invoice_id=invoice_id, line_no=2, header=header)
    with refused(db, "over -200 is on invoices with 5"):
        rows.adjusted_draft(db, credit, period, 5, invoice_id=invoice_id, line_no=2, header=header)


def test_no_invoice_is_negative(db: Connection, period: Any) -> None:
    with refused(db, "check constraint"):
        rows.adjusted_draft(db, rows.adjustment(db, -200), period, -200)


def test_an_adjustment_joins_no_invoice_that_exists_and_leaves_none(db: Connection, period: Any) -> None:
    invoice_id = rows.adjusted_draft(db, rows.adjustment(db), period)
    settle(db)
    with refused(db, "lines of an existing invoice"):
        rows.adjusted_draft(db, rows.adjustment(db), period, invoice_id=invoice_id, line_no=2, header=None)
    with refused(db, "lines of an existing invoice"):
        execute(db, "DELETE FROM billing.invoice_adjustments")
    with refused(db, "rebuilt by delete and insert"):
        execute(db, "UPDATE billing.invoice_adjustments SET amount_minor = 1")
    with refused(db, "rebuilt by delete and insert"):
        execute(db, "TRUNCATE billing.invoice_adjustments")
    with undone(db):
        execute(db, "DELETE FROM billing.invoices")


def test_an_adjustment_is_its_customers_in_its_currency_and_has_an_invoice(db: Connection, period: Any) -> None:
    rows.customer(db, "c2")
    with refused(db, "foreign key"):
        rows.adjusted_draft(db, rows.adjustment(db, customer_id="c2"), period)
    with refused(db, "foreign key"):
        rows.adjusted_draft(db, rows.adjustment(db, currency="eur"), period)
    with refused(db, "foreign key"):
        rows.adjusted_draft(db, rows.adjustment(db), period, header=None)
    with refused(db, "not the sum of its lines"):
        rows.adjusted_draft(db, rows.adjustment(db), period, header={"total_minor": 300})


@pytest.mark.parametrize("change", ["amount_minor = 1", "customer_id = 'x'", "reason = 'x'", "guard = -1"])
def test_an_adjustment_is_frozen(db: Connection, period: Any, change: str) -> None:
    assert period
    rows.adjustment(db)
    with refused(db, "is frozen"):
        execute(db, f"UPDATE billing.adjustments SET {change}")
    for statement in ("DELETE FROM billing.adjustments", "TRUNCATE billing.adjustments CASCADE"):
        with refused(db, "is frozen|rebuilt by delete"):
            execute(db, statement)


def test_a_supplement_carries_only_what_is_meant_for_it(db: Connection) -> None:
    final = rows.charged(db)
    period_id = rows.period_of(db, final)
    meant = rows.adjustment(db, corrects_period_id=period_id, on_supplement=True)
    with undone(db):
        rows.adjusted_draft(db, meant, period_id, header={"supplement_no": 1})
    with refused(db, "carries the adjustments that are meant for it"):
        rows.adjusted_draft(db, rows.adjustment(db), period_id, header={"supplement_no": 1})
    with refused(db, "supplements_charge_a_period"):
        rows.adjustment(db, -5, corrects_period_id=period_id, on_supplement=True)
    with refused(db, "supplements_charge_a_period"):
        rows.adjustment(db, on_supplement=True)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
def test_two_months_at_once_do_not_both_take_one_adjustment(warehouse: Warehouse, level: str) -> None:
    november = at("2026-11-01").date()
    with warehouse.transaction() as db:
        rows.customer(db)
        first_period = rows.period(db)
        later = rows.period(db, start=rows.END, end=at("2026-12-01"), previous_end=rows.END, billing_month=november)
        one = rows.adjustment(db)
    with two_sessions(warehouse, level) as (first, second):
        first.do(lambda db: rows.adjusted_draft(db, one, first_period))
        waiting = second.waits(
            lambda db: rows.adjusted_draft(db, one, later, billing_month=november, header={"billing_month": november})
        )
        first.commit()
        assert re.search("is on invoices with 400|could not serialize", refusal(waiting))


def build_again(platform: Platform, month: date, oldest: date = date.min) -> None:
    invoices.build(platform.warehouse, month, "again", oldest=oldest)


def test_a_draft_of_a_month_that_is_too_old_to_be_charged_takes_nothing(platform: Platform) -> None:
    platform.draft()
    give(platform, -250)
    build_again(platform, OCTOBER, oldest=NOVEMBER)
    assert totals(platform) == {"10": 1300}
    platform.draft(NOVEMBER)
    assert totals(platform) == {"10": 1300, "11": 750}


def test_a_draft_that_grew_too_old_gives_its_adjustment_to_the_next_one(platform: Platform) -> None:
    give(platform, -250)
    platform.draft()
    assert totals(platform) == {"10": 1050}
    platform.draft(NOVEMBER)
    build_again(platform, NOVEMBER, oldest=NOVEMBER)
    assert totals(platform) == {"10": 1300, "11": 750}


def test_a_draft_of_a_month_before_the_one_that_was_charged_takes_nothing(platform: Platform) -> None:
    platform.draft()
    platform.bill(NOVEMBER)
    give(platform, -250)
    build_again(platform, OCTOBER)
    assert totals(platform) == {"10": 1300, "11": 1000}
    platform.draft(DECEMBER)
    assert totals(platform)["12"] == 750


@pytest.mark.parametrize(
    ("held", "november"),
    [
        (lambda _, __: Subject("month", "2025-10-01", "October"), 750),
        (lambda warehouse, draft: invoice_subject(warehouse, draft), 750),
        (lambda warehouse, _: customer_subject(warehouse, "ann"), 1000),
    ],
    ids=["month", "invoice", "customer"],
)
def test_a_draft_on_hold_takes_nothing_and_gives_back_what_it_took(
    platform: Platform, held: Callable[[Warehouse, str], Subject], november: int
) -> None:
    give(platform, -250)
    platform.draft()
    assert totals(platform) == {"10": 1050}
    [draft] = platform.invoices("ann")
    subject = held(platform.warehouse, str(draft["invoice_id"]))
    place_hold(platform.warehouse, subject, Signature("ops", "look"))
    platform.draft(NOVEMBER)
    assert totals(platform) == {"10": 1300, "11": november}


def test_the_oldest_month_that_is_charged_ended_no_longer_ago_than_the_setting_says() -> None:
    assert oldest_charged(date(2026, 3, 4), 62) == date(2025, 12, 1)
    assert oldest_charged(date(2026, 3, 3), 61) == date(2025, 12, 1)
    assert oldest_charged(date(2026, 3, 4), 61) == date(2026, 1, 1)
    assert oldest_charged(date(2026, 1, 1), 1) == date(2025, 12, 1)
