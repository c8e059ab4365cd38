"""Rating as the price list reads, one rule a test. The arithmetic at large: `test_rating_against_oracle`."""

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from billing_pipeline.core.money import format_minor
from billing_pipeline.pricing.price_books import default_book_text
from billing_pipeline.pricing.rules.price_book import PriceBook, load_price_books, price_rows
from billing_pipeline.pricing.rules.rating import price_frame, rate
from billing_pipeline_tests.pricing.rules.rating_oracle import Snapshot, rated

LYCEUM = list(load_price_books(default_book_text(), "lyceum.yaml"))

CALLS = """
name: test
currency: usd
meters:
  fee: {aggregation: constant}
  calls: {aggregation: sum, dimensions: [region]}
versions:
  - id: "1"
    effective_from: 2025-01-01
    prices:
      - %s
"""


def calls(price: str, *, currency: str = "usd", more: str = "") -> list[PriceBook]:
    text = (CALLS % price).replace("currency: usd", f"currency: {currency}")
    return list(load_price_books(text + more, "test"))


def usage(quantity: str | int, region: str = "eu", customer: str = "c", **more: Any) -> Snapshot:
    return Snapshot(customer, "calls", Decimal(quantity), f'{{"region": "{region}"}}', **more)


def bill(snapshots: list[Snapshot], books: list[PriceBook], *columns: str) -> list[tuple[Any, ...]]:
    """Lines as tuples of these columns; decimals and integers compare with either."""
    result = rated(snapshots, books)
    assert len(result.unpriced) == 0
    return [tuple(row) for row in result.lines[list(columns)].itertuples(index=False)]


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


QUANTITIES = ("usage_quantity", "included_quantity", "quantity", "unit_amount", "amount_minor")


def test_a_flat_price_is_due_once_if_there_is_any_usage():
    books = calls("{meter: calls, model: flat, amount: 7}")
    assert bill([usage("0.5"), usage(0, "us")], books, *QUANTITIES) == [
        (Decimal("0.5"), 0, 1, 7, 700),
        (0, 0, 0, 7, 0),
    ]


def test_usage_within_the_allowance_is_a_line_of_zero():
    books = calls("{meter: calls, model: per_unit, included: 10, unit_amount: 2}")
    assert bill([usage(4)], books, *QUANTITIES) == [(4, 4, 0, 2, 0)]
    assert bill([usage("12.5")], books, *QUANTITIES) == [(Decimal("12.5"), 10, Decimal("2.5"), 2, 500)]


GRADUATED = """{meter: calls, model: %s, included: 5, tiers: [{up_to: 100, unit_amount: 1},
    {up_to: 200, unit_amount: 0.5}, {up_to: null, unit_amount: 0.25}]}"""


def test_graduated_bills_each_tier_at_its_own_rate():
    books = calls(GRADUATED % "graduated")
    assert bill([usage(255)], books, *QUANTITIES) == [
        (105, 5, 100, 1, 10000),
        (100, 0, 100, Decimal("0.5"), 5000),
        (50, 0, 50, Decimal("0.25"), 1250),
    ]
    assert bill([usage(105)], books, *QUANTITIES) == [(105, 5, 100, 1, 10000)]
    assert bill([usage(0)], books, *QUANTITIES) == [(0, 0, 0, 1, 0)]


@pytest.mark.parametrize(
    ("quantity", "unit_amount"),
    [("0", "1"), ("5", "1"), ("105", "1"), ("105.000000000001", "0.5"), ("205", "0.5"), ("206", "0.25")],
)
def test_volume_bills_all_of_it_at_the_rate_of_the_tier_reached(quantity, unit_amount):
    [line] = bill([usage(quantity)], calls(GRADUATED % "volume"), *QUANTITIES)
    assert line[2:4] == (max(Decimal(quantity) - 5, Decimal(0)), Decimal(unit_amount))


@pytest.mark.parametrize(
    ("quantity", "packages"),
    [("0", 0), ("10", 0), ("10.000000000001", 1), ("110", 1), ("110.1", 2), ("1010", 10)],
)
def test_a_begun_package_is_billed_whole(quantity, packages):
    books = calls("{meter: calls, model: package, package_size: 100, amount: 3, included: 10}")
    [line] = bill([usage(quantity)], books, *QUANTITIES)
    assert line[2:] == (packages, 3, packages * 300)


def test_packages_of_a_third_are_counted_exactly():
    books = calls("{meter: calls, model: package, package_size: 0.333333333333, amount: 1}")
    assert bill([usage("0.999999999999")], books, "quantity") == [(3,)]
    assert bill([usage("1")], books, "quantity") == [(4,)]


MINIMUM = "{meter: calls, model: per_unit, minimum: 5, rates: {eu: 1, us: 2}}"
KINDS = ("kind", "description", "dimensions", "quantity", "unit_amount", "amount_minor", "line_no")


def test_a_minimum_tops_up_the_meters_lines_of_an_invoice_together():
    eu, us = '{"region": "eu"}', '{"region": "us"}'
    assert bill([usage(1, "us"), usage(2)], calls(MINIMUM), *KINDS) == [
        ("usage", "Calls (eu)", eu, 2, 1, 200, 1),
        ("usage", "Calls (us)", us, 1, 2, 200, 2),
        ("minimum", "Minimum for calls", "{}", 1, 1, 100, 3),
    ]
    assert [kind for (kind,) in bill([usage(5)], calls(MINIMUM), "kind")] == ["usage"]


def test_without_any_usage_there_is_no_minimum():
    assert [kind for (kind,) in bill([usage(0), usage(0, "us")], calls(MINIMUM), "kind")] == [
        "usage",
        "usage",
    ]


def test_usage_within_the_allowance_owes_the_minimum():
    books = calls("{meter: calls, model: per_unit, included: 10, unit_amount: 1, minimum: 5}")
    assert bill([usage(3)], books, "kind", "amount_minor") == [("usage", 0), ("minimum", 500)]


@pytest.mark.parametrize("unit_amount", ["0.004", "0.005", "0.0049999"])
@pytest.mark.parametrize("regions", [1, 2, 7, 1000])
@pytest.mark.parametrize(("currency", "minimum_minor"), [("usd", 500), ("jpy", 5), ("kwd", 5000), ("isk", 500)])
def test_what_the_customer_adds_up_is_the_minimum_however_the_lines_were_rounded(
    unit_amount, regions, currency, minimum_minor
):
    books = calls(f"{{meter: calls, model: per_unit, minimum: 5, unit_amount: {unit_amount}}}", currency=currency)
    lines = rated([usage(1, f"r{number}", currency=currency) for number in range(regions)], books).lines
    rounded = sum(lines[lines.kind == "usage"].amount_minor)
    assert sum(lines.amount_minor) == max(rounded, minimum_minor)


def test_a_minimum_finer_than_the_currencys_step_is_rounded_as_an_amount_is():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1, minimum: 5.005}")
    assert bill([usage(3)], books, "kind", "unit_amount", "amount_minor") == [
        ("usage", 1, 300),
        ("minimum", Decimal("2.01"), 201),
    ]


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


LARGE = 10**17 - 1


def set_aside(snapshots: list[Snapshot], books: list[PriceBook]) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """What is billed, and who is set aside for which reason."""
    result = rated(snapshots, books)
    lines, aside = result.lines, result.unpriced
    return (
        list(zip(lines.customer_id, lines.amount_minor, strict=True)),
        list(zip(aside.customer_id, aside.reason, strict=True)),
    )


def test_an_amount_that_does_not_fit_is_set_aside_and_the_others_are_billed():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}")
    snapshots = [usage(1), usage(LARGE, customer="big"), usage(2, "us", customer="big")]
    reason = "an amount larger than can be billed"
    assert set_aside(snapshots, books) == ([("c", 100), ("big", 200)], [("big", reason)])


def test_packages_beyond_counting_are_set_aside_and_the_others_are_billed():
    books = calls("{meter: calls, model: package, package_size: 0.000000000001, amount: 1}")
    snapshots = [usage("0.000000000001"), usage(1000000, customer="big")]
    assert set_aside(snapshots, books) == ([("c", 100)], [("big", "more packages than can be billed")])


def test_an_invoice_whose_lines_fit_and_whose_total_does_not_is_set_aside_whole():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}")
    snapshots = [usage(6 * 10**16, region, "big") for region in ("eu", "us")] + [usage(1)]
    reason = "an invoice total larger than can be billed"
    assert set_aside(snapshots, books) == ([("c", 100)], [("big", reason)] * 2)


def test_usage_that_owes_a_minimum_that_does_not_fit_is_set_aside():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1, minimum: 100000000000000000}")
    assert set_aside([usage(1), usage(0, customer="idle")], books) == (
        [("idle", 0)],
        [("c", "an amount larger than can be billed")],
    )


def test_no_snapshots_make_no_lines_and_no_prices_leave_all_unpriced():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}")
    empty = rated([], books)
    assert (len(empty.lines), len(empty.unpriced)) == (0, 0)
    assert str(empty.lines.exact_amount.dtype) == "decimal256(61, 24)[pyarrow]"
    assert len(rated([usage(1)], []).unpriced) == 1


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}")
    snapshots = rated([Snapshot("c", "other", Decimal(1))], books).unpriced.drop(columns="reason")
    return snapshots, price_frame(price_rows(books[0]))


def test_floats_nulls_and_missing_columns_are_refused_by_name():
    snapshots, prices = frames()
    with pytest.raises(ValueError, match=r"snapshots\.quantity holds floats: expected exact decimals"):
        rate(snapshots.assign(quantity=[1.5]), prices)
    with pytest.raises(ValueError, match=r"snapshots\.meter has 1 null\(s\)"):
        rate(snapshots.assign(meter=pd.Series([None], dtype="string[pyarrow]")), prices)
    with pytest.raises(ValueError, match=r"snapshots lack the column\(s\) meter"):
        rate(snapshots.drop(columns="meter"), prices)
    with pytest.raises(ValueError, match=r"snapshots\.quantity: expected decimal256\(30, 12\)"):
        rate(snapshots.assign(quantity=pd.Series([Decimal("1e-13")], dtype="object")), prices)


def test_whole_quantities_may_be_integers():
    snapshots, prices = frames()
    lines = rate(snapshots.assign(quantity=[3], meter="calls"), prices).lines
    assert lines.amount_minor.tolist() == [300]


def test_a_price_that_is_there_twice_is_refused():
    snapshots, prices = frames()
    with pytest.raises(ValueError, match=r"tier 0 of meter calls \{\} twice"):
        rate(snapshots, pd.concat([prices, prices]))
    with pytest.raises(ValueError, match="unknown model 'barter'"):
        rate(snapshots, prices.assign(model="barter"))


def test_tiers_and_packages_may_have_a_rate_for_each_combination_of_dimensions() -> None:
    tiers = "[{up_to: 10, unit_amount: %s}, {up_to: null, unit_amount: 1}]"
    books = calls(f"{{meter: calls, model: graduated, rates: {{eu: {tiers % 3}, us: {tiers % 2}}}}}")
    used = [usage(12), usage(11, "us")]
    assert bill(used, books, "dimensions", "quantity", "amount_minor") == [
        ('{"region": "eu"}', 10, 3000),
        ('{"region": "eu"}', 2, 200),
        ('{"region": "us"}', 10, 2000),
        ('{"region": "us"}', 1, 100),
    ]
    books = calls("{meter: calls, model: package, package_size: 10, rates: {eu: 5, us: 7}}")
    assert bill(used, books, "quantity", "amount_minor") == [(2, 1000), (2, 1400)]


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
