"""Commitments and discounts in the price book file: what may stand there, what is refused, and in which words."""

from datetime import date
from decimal import Decimal

import pytest

from billing_pipeline.pricing.rules.price_book import PriceBookError, load_price_books
from billing_pipeline.pricing.rules.price_book_words import words_of
from billing_pipeline.pricing.rules.terms import term_rows
from billing_pipeline_tests.pricing.rules.books import METERS

BOOK = (
    METERS
    + """\
  - id: "1"
    effective_from: 2025-01-01
    prices:
      - {meter: fee, model: flat, amount: "10"}
    commitments:
      - {name: base, amount: "100", meters: [calls, clusters], plan: pro, prorate: none}
    discounts:
      - {name: loyal, percent: "10", customer: c1, until: 2025-06-30}
      - {name: all, amount: "5", description: Welcome}
"""
)


def test_terms_are_read_in_the_order_of_the_file_with_ids_of_their_content() -> None:
    [book] = load_price_books(BOOK, "book.yaml")
    rows = term_rows(book)
    assert [(row.kind, row.name, row.position) for row in rows] == [
        ("commitment", "base", 0),
        ("discount", "loyal", 1),
        ("discount", "all", 2),
    ]
    assert (rows[0].meters, rows[0].amount, rows[0].plan) == (("calls", "clusters"), Decimal(100), "pro")
    assert (rows[1].percent, rows[1].customer_id, rows[1].until_on) == (Decimal(10), "c1", date(2025, 6, 30))
    same = term_rows(load_price_books(BOOK.replace('"100"', '"100.00"'), "book.yaml")[0])
    other = term_rows(load_price_books(BOOK.replace('"100"', '"101"'), "book.yaml")[0])
    assert [row.term_id for row in same] == [row.term_id for row in rows]
    assert [a.term_id == b.term_id for a, b in zip(rows, other, strict=True)] == [False, True, True]


def test_the_books_words_say_what_a_term_takes() -> None:
    words = "\n".join(words_of(load_price_books(BOOK, "book.yaml")[0]))
    assert "commitment base of plan pro: at least 100 EUR for calls, clusters; whole in short periods too" in words
    assert (
        "discount loyal of customer c1: 10 % off all of the invoice; for periods that start until 2025-06-30" in words
    )
    assert "discount all of everybody: 5 EUR off all of the invoice" in words


MISTAKES = [
    ("name: base, ", "", "versions[0].commitments[0].name: missing"),
    (', amount: "100"', "", "versions[0].commitments[0].amount: missing"),
    ("[calls, clusters]", "[calls, call]", "versions[0].commitments[0].meters[1]: expected a meter of the book (fee, calls, clusters), found 'call'"),
    ("plan: pro", "plan: pro, customer: c1", "versions[0].commitments[0]: has both customer and plan; keep one"),
    ('percent: "10"', 'percent: "101"', "versions[0].discounts[0].percent: expected more than 0 and at most 100, found 101"),
    ('percent: "10"', 'percent: "10", amount: "1"', "versions[0].discounts[0]: expected either amount or percent"),
    ('percent: "10", ', "", "versions[0].discounts[0]: expected either amount or percent"),
    ('percent: "10"', 'percent: "10", prorate: days', "versions[0].discounts[0].prorate: a percentage is a share already; only an amount is prorated"),
    ("until: 2025-06-30", "until: soon", "versions[0].discounts[0].until: expected a date such as 2025-01-01, found 'soon'"),
    ("{name: all,", "{name: loyal, customer: c1,", "versions[0].discounts[1].name: versions[0].discounts[0] is loyal of the same customers already"),
    ("amount: \"100\"", "amount: \"100\", percent: \"5\"", "versions[0].commitments[0].percent: unknown key; expected one of name, amount, customer, plan, meters, description, prorate"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "problem"), MISTAKES)
def test_each_mistake_is_named_with_its_path(old: str, new: str, problem: str) -> None:
    assert old in BOOK
    with pytest.raises(PriceBookError) as error:
        load_price_books(BOOK.replace(old, new, 1), "book.yaml")
    assert list(error.value.problems) == [problem]
