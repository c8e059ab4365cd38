"""Which price, version and plan rates what, and how the lines stand. The arithmetic at large: `test_rating_against_oracle`."""

from datetime import date
from decimal import Decimal

import pytest

from billing_pipeline.core.money import format_minor
from billing_pipeline.pricing.price_books import default_book_text
from billing_pipeline.pricing.rules.price_book import load_price_books, price_rows
from billing_pipeline_tests.pricing.rules.rated_bills import GRADUATED, bill, calls, usage
from billing_pipeline_tests.pricing.rules.rating_oracle import Snapshot, rated

LYCEUM = list(load_price_books(default_book_text(), "lyceum.yaml"))


def lyceum_invoice(
    licenses: dict[str, int], clusters: dict[tuple[str, str], int], users: int, storage_gb: int
) -> tuple[list[tuple[str, str]], str]:
    snapshots = [Snapshot("c", "platform_fee", Decimal(1))]
    snapshots += [Snapshot("c", "licenses", Decimal(n), f'{{"tier": "{tier}"}}') for tier, n in licenses.items()]
    snapshots += [
        Snapshot("c", "clusters", Decimal(n), f'{{"size": "{size}", "environment": "{environment}"}}')
        for (size, environment), n in clusters.items()
    ]
    snapshots += [Snapshot("c", "users", Decimal(users)), Snapshot("c", "storage_gb", Decimal(storage_gb))]
    lines = rated(snapshots, LYCEUM).lines
    items = [
        (text, format_minor(amount, "usd")) for text, amount in zip(lines.description, lines.amount_minor, strict=True)
    ]
    return items, format_minor(int(lines.amount_minor.sum()), "usd")


def test_basic_2_basic_licences_and_1_small_development_cluster_cost_40_dollars():
    items, total = lyceum_invoice({"basic": 2}, {("small", "development"): 1}, users=1, storage_gb=40)
    assert items == [
        ("Platform base fee", "10.00 USD"),
        ("basic license", "10.00 USD"),
        ("Clusters (small, development)", "20.00 USD"),
        ("Users", "0.00 USD"),
        ("Storage gb", "0.00 USD"),
    ]
    assert total == "40.00 USD"


def test_professional_5_licences_2_clusters_3_additional_users_and_5_gb_overage_cost_254_50():
    items, total = lyceum_invoice({"professional": 5}, {("medium", "production"): 2}, users=4, storage_gb=105)
    assert items == [
        ("Platform base fee", "10.00 USD"),
        ("professional license", "75.00 USD"),
        ("Clusters (medium, production)", "160.00 USD"),
        ("Users", "9.00 USD"),
        ("Storage gb", "0.50 USD"),
    ]
    assert total == "254.50 USD"


def test_enterprise_10_licences_5_large_clusters_and_10_additional_users_cost_1010():
    items, total = lyceum_invoice(
        {"enterprise": 10}, {("large", "production"): 3, ("large", "analytics"): 2}, users=11, storage_gb=100
    )
    assert items == [
        ("Platform base fee", "10.00 USD"),
        ("enterprise license", "250.00 USD"),
        ("Clusters (large, analytics)", "240.00 USD"),
        ("Clusters (large, production)", "480.00 USD"),
        ("Users", "30.00 USD"),
        ("Storage gb", "0.00 USD"),
    ]
    assert total == "1,010.00 USD"


OVERRIDE = """    customers:
      vip:
        - {meter: calls, model: per_unit, rates: {eu: 0.5}}
      any:
        - {meter: calls, model: per_unit, unit_amount: 0.1}
"""


def test_the_customers_price_comes_before_the_books_and_exact_before_any():
    books = calls("{meter: calls, model: per_unit, rates: {eu: 1, us: 2}}", more=OVERRIDE)
    snapshots = [usage(1, region, customer) for customer in ("vip", "any", "c") for region in ("eu", "us")]
    assert bill(snapshots, books, "customer_id", "unit_amount") == [
        ("vip", Decimal("0.5")),
        ("vip", 2),
        ("any", Decimal("0.1")),
        ("any", Decimal("0.1")),
        ("c", 1),
        ("c", 2),
    ]


def test_a_rate_for_exactly_these_dimensions_comes_before_one_for_any():
    """No book has both (one price a meter), yet the table could."""
    exact = calls("{meter: calls, model: per_unit, rates: {eu: 1}}")
    general = calls("{meter: calls, model: per_unit, unit_amount: 2}")
    for books in (exact + general, general + exact):
        assert bill([usage(1), usage(1, "us")], books, "unit_amount") == [(1,), (2,)]


def test_lines_are_sorted_by_price_meter_dimensions_and_tier():
    books = calls(GRADUATED % "graduated" + "\n      - {meter: fee, model: flat, amount: 1}")
    snapshots = [Snapshot("c", "fee", Decimal(1)), usage(150, "us"), usage(150, "eu"), usage(1, customer="a")]
    assert bill(snapshots, books, "customer_id", "description", "unit_amount", "line_no") == [
        ("c", "Calls (eu)", 1, 1),
        ("c", "Calls (eu)", Decimal("0.5"), 2),
        ("c", "Calls (us)", 1, 3),
        ("c", "Calls (us)", Decimal("0.5"), 4),
        ("c", "Fee", 1, 5),
        ("a", "Calls (eu)", 1, 1),
    ]


VERSIONS = """  - id: "2"
    effective_from: 2025-06-01
    prices: [{meter: calls, model: per_unit, unit_amount: 9}]
"""


def test_the_version_in_force_at_the_periods_start_prices_the_whole_period():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}", more=VERSIONS)
    snapshots = [usage(1, start_date=date(2025, 5, 31)), usage(1, start_date=date(2025, 6, 1))]
    assert bill(snapshots, books, "price_version", "amount_minor") == [("1", 100), ("2", 900)]


def test_what_has_no_price_is_reported_with_its_reason():
    books = calls("{meter: calls, model: per_unit, rates: {eu: 1}}")
    early, other, unknown, negative = (
        usage(1, start_date=date(2024, 12, 31)),
        usage(1, currency="eur"),
        usage(1, "us"),
        usage(-1),
    )
    result = rated([early, usage(1), other, unknown, negative, Snapshot("c", "fee", Decimal(1))], books)
    assert len(result.lines) == 1
    assert result.unpriced.reason.tolist() == [
        "no price version in force",
        "no price version in force",
        "no price for meter calls",
        "negative quantity",
        "no price for meter fee",
    ]
    assert result.unpriced.quantity.tolist() == [1, 1, 1, -1, 1]


def test_the_order_of_a_snapshots_json_keys_does_not_matter():
    one = Snapshot("c", "clusters", Decimal(1), '{"size": "small", "environment": "analytics"}')
    other = Snapshot("c", "clusters", Decimal(1), '{"environment":"analytics","size":"small"}')
    assert bill([one], LYCEUM, "unit_amount", "description") == bill([other], LYCEUM, "unit_amount", "description")


def test_a_template_keeps_braces_that_are_in_a_value():
    books = calls('{meter: calls, model: per_unit, unit_amount: 1, description: "{region} {{calls}}"}')
    assert bill([usage(1, "{eu}")], books, "description") == [("{eu} {calls}",)]


@pytest.mark.parametrize(("currency", "minor"), [("jpy", 3), ("usd", 250), ("kwd", 2500), ("isk", 300)])
def test_a_line_is_rounded_once_to_its_currencys_step(currency, minor):
    books = calls("{meter: calls, model: per_unit, unit_amount: 0.5}", currency=currency)
    assert bill([usage(5, currency=currency)], books, "amount_minor") == [(minor,)]


def test_a_price_may_name_a_card_and_say_what_differs() -> None:
    card = """
cards:
  standard: {model: per_unit, rates: {eu: 3, us: 2}, included: 1}
  all:
    - {meter: fee, model: flat, amount: 10}
    - {meter: calls, card: standard}
"""
    more = "    customers:\n      c: [{meter: calls, card: standard, included: 0}]\n      d: [{card: all}]\n" + card
    books = calls("{meter: calls, card: standard}", more=more)
    assert bill([usage(5), usage(5, customer="b")], books, "amount_minor") == [(1500,), (1200,)]
    fee = Snapshot("d", "fee", Decimal(1))
    assert bill([fee, usage(5, customer="d")], books, "amount_minor") == [(1200,), (1000,)]
    plain = calls("{meter: calls, model: per_unit, rates: {eu: 3, us: 2}, included: 1}")
    own = [row.price_id for row in price_rows(books[0]) if row.customer_id is None]
    assert own == [row.price_id for row in price_rows(plain[0])]
