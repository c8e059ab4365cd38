"""The price book: what a file may say, what it becomes, and which version is in force."""

import decimal
import uuid
from datetime import date
from decimal import Decimal

import pytest

from billing_pipeline.pricing.price_books import default_book_text
from billing_pipeline.pricing.rules.descriptions import default_description, dimensions_text, fill
from billing_pipeline.pricing.rules.price_book import (
    Meter,
    Price,
    PriceBookError,
    Rate,
    load_price_books,
    price_rows,
    version_in_force,
)
from billing_pipeline_tests.pricing.rules.books import METERS

BOOK = (
    METERS
    + """\
  - id: "1"
    effective_from: 2025-01-01
    prices:
      - {meter: fee, model: flat, amount: 0.10, minimum: "1", description: Fee}
      - meter: calls
        model: graduated
        included: 10
        tiers:
          - {up_to: 100, unit_amount: 1}
          - {up_to: "1000.5", unit_amount: 0.5}
          - {up_to: null, unit_amount: 0}
      - meter: clusters
        model: per_unit
        rates: {010: {yes: 2, no: 1}, 1.50: {null: 3}}
    customers:
      00123:
        - {meter: clusters, model: per_unit, unit_amount: 0.000000000001}
        - {meter: calls, model: package, package_size: 100, amount: 7}
  - id: "2"
    effective_from: 2026-01-01
    prices: [{meter: calls, model: volume, tiers: [{up_to: ~, unit_amount: 1}]}]
"""
)


def test_the_default_book_is_lyceums_price_list():
    [book] = load_price_books(default_book_text(), "lyceum.yaml")
    assert (book.name, book.currency, list(book.meters)) == (
        "lyceum",
        "usd",
        ["platform_fee", "licenses", "clusters", "users", "storage_gb"],
    )
    assert book.meters["clusters"] == Meter("clusters", "last", ("size", "environment"), "cluster")
    rates = {(r.meter, *r.dimensions.values()): (r.unit_amount, r.included) for r in price_rows(book)}
    assert len(rates) == 1 + 3 + 9 + 1 + 1
    assert rates["platform_fee",] == (Decimal("10.00"), Decimal(0))
    assert rates["licenses", "enterprise"] == (Decimal(25), Decimal(0))
    assert rates["clusters", "large", "analytics"] == (Decimal(120), Decimal(0))
    assert rates["users",] == (Decimal(3), Decimal(1))
    assert rates["storage_gb",] == (Decimal("0.10"), Decimal(100))


def test_scalars_keep_the_characters_of_the_file():
    """YAML 1.1 alone would read 010 as eight, yes as true, 1.50 as a float and the customer as 83."""
    [book] = load_price_books(BOOK, "test")
    fee, calls, clusters = book.versions[0].prices
    assert fee == Price("fee", "flat", (Rate(Decimal("0.10")),), minimum=Decimal(1), description="Fee")
    bounds = [(tier.up_to, tier.unit_amount) for tier in calls.tiers]
    assert bounds == [(100, 1), (Decimal("1000.5"), Decimal("0.5")), (None, 0)]
    assert [rate.dimensions for rate in clusters.rates] == [
        (("size", "010"), ("environment", "yes")),
        (("size", "010"), ("environment", "no")),
        (("size", "1.50"), ("environment", "null")),
    ]
    assert list(book.versions[0].customers) == ["00123"]
    assert book.versions[0].customers["00123"][0].rates[0].amount == Decimal("0.000000000001")


def test_amounts_are_exact_under_any_decimal_context():
    text = default_book_text().replace('"10.00"', "123456789012345678.123456789012")
    with decimal.localcontext() as context:
        context.prec = 3
        [book] = load_price_books(text, "x")
    assert format(book.versions[0].prices[0].rates[0].amount, "f") == "123456789012345678.123456789012"


def test_a_book_flattens_to_one_row_per_rate_or_tier_in_file_order():
    rows = price_rows(load_price_books(BOOK, "test")[0])
    assert [(r.version_id, r.customer_id, r.meter, r.model, r.tier_no, r.position) for r in rows] == [
        ("1", None, "fee", "flat", 0, 0),
        ("1", None, "calls", "graduated", 0, 1),
        ("1", None, "calls", "graduated", 1, 1),
        ("1", None, "calls", "graduated", 2, 1),
        ("1", None, "clusters", "per_unit", 0, 2),
        ("1", None, "clusters", "per_unit", 0, 2),
        ("1", None, "clusters", "per_unit", 0, 2),
        ("1", "00123", "clusters", "per_unit", 0, 2),
        ("1", "00123", "calls", "package", 0, 1),
        ("2", None, "calls", "volume", 0, 0),
    ]
    bounds = [(r.tier_from, r.tier_up_to) for r in rows[1:4]]
    assert bounds == [
        (Decimal(0), Decimal(100)),
        (Decimal(100), Decimal("1000.5")),
        (Decimal("1000.5"), None),
    ]
    assert {r.included for r in rows[1:4]} == {Decimal(10)}
    assert [r.unit_amount for r in rows[1:4]] == [Decimal(1), Decimal("0.5"), Decimal(0)]
    assert (rows[8].package_size, rows[8].unit_amount, rows[7].dimensions) == (Decimal(100), Decimal(7), {})
    assert rows[5].dimensions == {"size": "010", "environment": "no"}


def test_price_ids_are_distinct_and_never_change():
    rows = price_rows(load_price_books(BOOK, "test")[0])
    assert len({row.price_id for row in rows}) == len(rows)
    assert rows == price_rows(load_price_books(BOOK, "another file")[0])
    lyceum = price_rows(load_price_books(default_book_text(), "x")[0])
    assert lyceum[0].price_id == uuid.UUID("76347e0b-d076-5c4c-96c6-f4ac461fdccb")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("amount: 0.10", "amount: 0.11"),
        ('minimum: "1"', 'minimum: "2"'),
        ("description: Fee", "description: Charge"),
        ("name: test", "name: other"),
        ("2025-01-01", "2025-02-01"),
        ("included: 10", "included: 11"),
        ("up_to: 100,", "up_to: 101,"),
        ("package_size: 100", "package_size: 101"),
    ],
)
def test_a_price_id_follows_the_whole_content_of_its_row(before, after):
    """A line names the very row that priced it: a changed price that kept its id would rewrite old invoices."""
    old = {row.price_id: row for row in price_rows(load_price_books(BOOK, "test")[0])}
    new = {row.price_id: row for row in price_rows(load_price_books(BOOK.replace(before, after), "test")[0])}
    assert old.keys() != new.keys()
    assert all(old[price_id] == new[price_id] for price_id in old.keys() & new.keys())


def test_the_same_number_spelled_differently_is_the_same_price():
    old = price_rows(load_price_books(BOOK, "test")[0])
    new = price_rows(load_price_books(BOOK.replace("amount: 0.10", 'amount: "0.100000"'), "test")[0])
    assert [row.price_id for row in old] == [row.price_id for row in new]


def test_several_documents_are_several_books_one_a_currency():
    books = load_price_books(BOOK + "---\n" + BOOK.replace("eur", "jpy"), "test")
    assert [book.currency for book in books] == ["eur", "jpy"]


@pytest.mark.parametrize(
    ("day", "version"),
    [
        ("2024-12-31", None),
        ("2025-01-01", "a"),
        ("2025-05-31", "a"),
        ("2025-06-01", "b"),
        ("2030-01-01", "c"),
    ],
)
def test_the_latest_version_that_has_begun_is_in_force(day, version):
    versions = [("c", date(2026, 1, 1)), ("a", date(2025, 1, 1)), ("b", date(2025, 6, 1))]
    assert version_in_force(versions, date.fromisoformat(day)) == version


def test_descriptions_are_filled_with_values_taken_literally():
    assert fill("{{x}} {tier} of {tier}: {size}", {"tier": "{size} %s", "size": "S"}) == "{x} {size} %s of {size} %s: S"
    assert fill("{tier}", {}) == "{tier}"
    assert default_description("storage_GB", {}) == "Storage GB"
    assert default_description("clusters", {"environment": "prod", "size": "small"}) == "Clusters (small, prod)"
    assert dimensions_text({"environment": "ü", "size": 'a"b'}) == '{"size": "a\\"b", "environment": "ü"}'


RETIRING = """
name: r
currency: usd
meters: {calls: {aggregation: sum}, tokens: {aggregation: sum, dimensions: [model]}}
versions:
  - id: "1"
    effective_from: 2025-01-01
    prices: [{meter: tokens, model: per_unit, rates: {small: 1}}]
    retired: [%s]
"""


def test_a_version_retires_a_meter_or_one_of_its_rates():
    text = RETIRING % "{meter: calls}, {meter: tokens, dimensions: {model: large}}"
    [book] = load_price_books(text, "book.yaml")
    assert [(r.meter, r.dimensions) for r in book.versions[0].retired] == [
        ("calls", ()),
        ("tokens", (("model", "large"),)),
    ]


@pytest.mark.parametrize(
    ("retired", "problem"),
    [
        (
            "{meter: seats}",
            "versions[0].retired[0].meter: expected a meter of the book, also a retired one: calls, tokens",
        ),
        ("{meter: tokens}", "versions[0].retired[0].meter: tokens has a price in this version"),
        (
            "{meter: tokens, dimensions: {size: large}}",
            "versions[0].retired[0].dimensions: expected exactly the dimensions of tokens: model",
        ),
    ],
)
def test_a_wrong_retirement_is_reported_with_its_path(retired, problem):
    with pytest.raises(PriceBookError) as caught:
        load_price_books(RETIRING % retired, "book.yaml")
    assert list(caught.value.problems) == [problem]
