"""Coupons granted by hand: which invoices they reduce, how often, whoever is first, and what a void gives back."""

import threading
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy.exc import DBAPIError

from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.comparison.rules.month_diff import differences
from billing_pipeline.comparison.shadow import month_lines, shadow_month
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import Finalised, finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.discounts import (
    Coupon,
    DiscountRefused,
    coupons,
    create_coupon,
    end_discount,
    grant_coupon,
    grants,
)
from billing_pipeline.pricing.rules.price_book import load_price_books
from billing_pipeline_tests.month_rows import (
    BOOK,
    LONG_AFTER,
    NOVEMBER,
    OCTOBER,
    add_customer,
    at,
    bill,
    complete_feed,
    execute,
    move_charges,
    pass_gates,
)

BY = Signature("ann", "spring")


@pytest.fixture
def granted(billed: Warehouse) -> Warehouse:
    """ann has half off one invoice, from October on; bob could have it too, nobody else."""
    add_customer(billed, "bob")
    add_customer(billed, "cyd")
    complete_feed(billed, at("2026-01-01"))
    create_coupon(billed, Coupon("SPRING", "usd", percent=Decimal(50), periods_max=1, redemptions_max=2), BY)
    grant_coupon(billed, "SPRING", "ann", BY, from_on=date(2025, 10, 1))
    return billed


def totals(warehouse: Warehouse) -> dict[tuple[str, date], int]:
    rows = warehouse.rows("SELECT customer_id, billing_month, total_minor FROM billing.invoices WHERE status <> 'void'")
    return {(row["customer_id"], row["billing_month"]): row["total_minor"] for row in rows}


def finalised(warehouse: Warehouse, month: date) -> Finalised:
    pass_gates(warehouse, month)
    return finalise_month(warehouse, month, "run")


def outdated(warehouse: Warehouse, month: date) -> set[tuple[str, str]]:
    rows = warehouse.rows(
        "SELECT i.customer_id, o.reason FROM billing.outdated_drafts(:month) AS o"
        " JOIN billing.invoices AS i USING (invoice_id)",
        month=month,
    )
    return {(row["customer_id"], row["reason"]) for row in rows}


def test_drafts_use_nothing_and_the_first_final_invoice_does(granted: Warehouse) -> None:
    bill(granted, OCTOBER)
    bill(granted, NOVEMBER)
    assert totals(granted)["ann", OCTOBER] == totals(granted)["ann", NOVEMBER] == 500
    assert finalised(granted, OCTOBER).count == 3
    assert outdated(granted, NOVEMBER) == {("ann", "term_change")}
    assert finalised(granted, NOVEMBER).skipped == {"outdated": ("ann",)}
    bill(granted, NOVEMBER)
    assert totals(granted)["ann", NOVEMBER] == 1_000
    assert outdated(granted, NOVEMBER) == set()
    [grant] = grants(granted, coupon="SPRING")
    assert (grant["invoices"], grant["discounted_minor"]) == (1, 500)
    assert [explained.problems for explained in explain_all(granted)] == [[]] * 5


def test_what_is_billed_is_no_drift_and_a_shadow_bills_the_same(granted: Warehouse) -> None:
    for month in (OCTOBER, NOVEMBER):
        bill(granted, month)
        finalised(granted, month)
        shadow = shadow_month(granted, month, load_price_books(BOOK, "book.yaml"), LONG_AFTER)
        assert differences(month_lines(granted, month), shadow.lines) == []
        billing_drift.build(granted, month, "again")
    assert granted.rows("SELECT * FROM billing.billing_drift") == []


def test_a_void_invoice_gives_its_use_back_to_the_next(granted: Warehouse) -> None:
    bill(granted, OCTOBER)
    finalised(granted, OCTOBER)
    move_charges(granted, "state = 'void'", "customer_id = 'ann'")
    bill(granted, OCTOBER)
    assert totals(granted)["ann", OCTOBER] == 500
    finalised(granted, OCTOBER)
    bill(granted, NOVEMBER)
    assert totals(granted)["ann", NOVEMBER] == 1_000


def test_two_months_at_once_use_a_discount_once(granted: Warehouse) -> None:
    months = (OCTOBER, NOVEMBER)
    for month in months:
        bill(granted, month)
        pass_gates(granted, month)
    done: list[Finalised] = []
    threads = [
        threading.Thread(target=lambda month=month: done.append(finalise_month(granted, month, "run")))
        for month in months
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.count for each in done) == [2, 3]
    assert granted.scalar("SELECT count(*) FROM billing.discount_uses") == 1


def test_of_two_customers_at_once_one_gets_the_last_redemption(granted: Warehouse) -> None:
    said: list[str] = []

    def redeem(customer_id: str) -> None:
        try:
            grant_coupon(granted, "SPRING", customer_id, BY, from_on=date(2025, 10, 1))
        except DiscountRefused as error:
            said.append(str(error))

    threads = [threading.Thread(target=redeem, args=(customer_id,)) for customer_id in ("bob", "cyd")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [refused] = said
    assert refused.endswith("it has been granted to as many customers as it may be")
    assert [row["redemptions"] for row in coupons(granted)] == [2]
    assert len(grants(granted)) == 2


def test_as_many_at_once_as_it_may_have_all_get_it(granted: Warehouse) -> None:
    names = [f"at-once-{number}" for number in range(6)]
    for name in names:
        add_customer(granted, name)
    create_coupon(granted, Coupon("ALL", "usd", percent=Decimal(10), redemptions_max=len(names)), BY)
    together, refused = threading.Barrier(len(names)), list[str]()

    def redeem(name: str) -> None:
        together.wait()
        try:
            grant_coupon(granted, "ALL", name, BY, from_on=date(2025, 10, 1))
        except DiscountRefused as error:
            refused.append(str(error))

    threads = [threading.Thread(target=redeem, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []


def test_a_grant_that_is_ended_holds_for_no_later_period(granted: Warehouse) -> None:
    create_coupon(granted, Coupon("FIVE", "usd", amount=Decimal(5), meters=("fee",)), BY)
    grant_coupon(granted, "FIVE", "bob", BY, from_on=date(2025, 10, 1))
    bill(granted, OCTOBER)
    bill(granted, NOVEMBER)
    end_discount(granted, "FIVE", "bob", date(2025, 10, 31), BY)
    assert outdated(granted, NOVEMBER) == {("bob", "term_change")}
    bill(granted, NOVEMBER)
    assert (totals(granted)["bob", OCTOBER], totals(granted)["bob", NOVEMBER]) == (500, 1_000)
    with pytest.raises(DiscountRefused, match="expected a grant"):
        end_discount(granted, "FIVE", "bob", date(2025, 11, 30), BY)


def test_mistakes_are_one_line_and_leave_nothing(granted: Warehouse) -> None:
    for new, words in [
        (Coupon("X", "usd"), "expected either an amount or a percentage"),
        (Coupon("X", "usd", percent=Decimal(5), meters=("call",)), r'meter "call": expected a meter of the book'),
        (Coupon("SPRING", "usd", percent=Decimal(5)), "there is a coupon of this code already"),
    ]:
        with pytest.raises(DiscountRefused, match=words):
            create_coupon(granted, new, BY)
    create_coupon(granted, Coupon("OLD", "usd", percent=Decimal(5), redeem_until=date(2020, 1, 1)), BY)
    create_coupon(granted, Coupon("EURO", "eur", percent=Decimal(5)), BY)
    for coupon, customer_id, words in [
        ("NONE", "bob", "expected one of `billing discounts list`"),
        ("SPRING", "zoe", "expected the id of a customer"),
        ("SPRING", "ann", "the customer has it already"),
        ("OLD", "bob", "is granted until 2020-01-01"),
        ("EURO", "bob", "is in eur, customer bob is billed in usd"),
    ]:
        with pytest.raises(DiscountRefused, match=words):
            grant_coupon(granted, coupon, customer_id, BY, from_on=date(2025, 10, 1))
    assert len(grants(granted)) == granted.scalar("SELECT count(*) FROM billing.terms") == 1


USE_OF_BOB = """
INSERT INTO billing.discount_uses
SELECT g.term_id, i.invoice_id FROM billing.discount_grants AS g, billing.invoices AS i WHERE i.customer_id = 'bob'
"""


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing.coupons SET redemptions = 0",
        "UPDATE billing.coupons SET percent = 100",
        "DELETE FROM billing.discount_grants",
        "DELETE FROM billing.discount_uses",
        "UPDATE billing.terms SET percent = 100",
        "UPDATE billing.terms SET until_on = NULL",
        USE_OF_BOB,
    ],
)  # fmt: skip
def test_postgres_keeps_what_was_granted_and_used(granted: Warehouse, change: str) -> None:
    bill(granted, OCTOBER)
    finalised(granted, OCTOBER)
    end_discount(granted, "SPRING", "ann", date(2026, 1, 1), BY)
    with pytest.raises(DBAPIError):
        execute(granted, change)
