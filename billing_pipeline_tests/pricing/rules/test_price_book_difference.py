"""What a price book changes against another one, and what it would take away."""

import pytest

from billing_pipeline.pricing.rules.price_book import PriceBook, load_price_books
from billing_pipeline.pricing.rules.price_book_difference import difference, losses

BOOK = """\
name: test
currency: eur
meters:
  fee: {aggregation: constant}
  calls: {aggregation: sum, dimensions: [size], unit: call}
  traffic: {aggregation: sum}
versions:
  - id: "2025"
    effective_from: 2025-01-01
    prices:
      - {meter: fee, model: flat, amount: "10"}
      - {meter: calls, model: per_unit, rates: {small: "1", large: "2"}}
      - {meter: traffic, model: graduated, tiers: [{up_to: 100, unit_amount: 3}, {up_to: null, unit_amount: 2}]}
    customers:
      ann:
        - {meter: fee, model: flat, amount: "5"}
"""
ANNS = '    customers:\n      ann:\n        - {meter: fee, model: flat, amount: "5"}\n'
PLANS = '    plans:\n      pro:\n        - {meter: fee, model: flat, amount: "50"}\n'
VERSION = '  - {id: "2026", effective_from: 2026-01-01, prices: [{meter: fee, model: flat, amount: "11"}]}\n'


def books(text: str) -> tuple[PriceBook, ...]:
    return load_price_books(text, "book.yaml")


def told(new: str, old: str = BOOK) -> list[str]:
    return [
        f"{c.what} {c.currency} {c.version} {c.subject}: {c.before} -> {c.after}"
        for c in difference(books(old), books(new))
    ]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('amount: "10"', 'amount: "10.00"', []),
        ("name: test", "# a comment\nname: test", []),
        (
            "    prices:\n",
            "    notices_off: [credits_low, usage_unusual]\n    prices:\n",
            ["new eur 2025 notices_off:  -> credits_low, usage_unusual"],
        ),
        ('amount: "10"', 'amount: "12.5"', ["changed eur 2025 price of fee: unit_amount 10 -> unit_amount 12.5"]),
        (
            'amount: "10"',
            'amount: "10", minimum: "20"',
            ["changed eur 2025 price of fee: none -> minimum 20"],
        ),
        (
            'large: "2"',
            'huge: "2"',
            [
                "ended eur 2025 price of calls (large): model per_unit, unit_amount 2 -> ",
                "new eur 2025 price of calls (huge):  -> model per_unit, unit_amount 2",
            ],
        ),
        (
            "unit_amount: 2}]",
            "unit_amount: 1}]",
            ["changed eur 2025 price of traffic, above 100: unit_amount 2 -> unit_amount 1"],
        ),
        ('amount: "5"', 'amount: "6"', ["changed eur 2025 price of fee, customer ann: unit_amount 5 -> unit_amount 6"]),
        ("traffic: {aggregation: sum}", "traffic: {aggregation: max}", [
            "changed eur  meter traffic: aggregation sum -> aggregation max"
        ]),
        ("effective_from: 2025-01-01", "effective_from: 2025-02-01", [
            "changed eur 2025 effective_from: 2025-01-01 -> 2025-02-01"
        ]),
        ("name: test", "name: other", ["changed eur  name: test -> other"]),
    ],
)  # fmt: skip
def test_each_change_is_said_once(before: str, after: str, says: list[str]) -> None:
    assert before in BOOK
    assert told(BOOK.replace(before, after, 1)) == says


def test_a_new_version_says_when_it_begins_and_what_it_charges() -> None:
    assert told(BOOK + VERSION) == [
        "new eur 2026 effective_from:  -> 2026-01-01",
        "new eur 2026 price of fee:  -> model flat, unit_amount 11",
    ]
    assert [line.split()[0] for line in told(BOOK, BOOK + VERSION)] == ["ended", "ended"]


def test_lines_in_another_order_are_a_change() -> None:
    fee, calls = (
        '      - {meter: fee, model: flat, amount: "10"}\n',
        '      - {meter: calls, model: per_unit, rates: {small: "1", large: "2"}}\n',
    )
    assert told(BOOK.replace(fee + calls, calls + fee)) == ["changed eur 2025 order of the lines: as it was -> another"]


def test_another_currency_is_new_and_takes_nothing_away() -> None:
    both = BOOK + "---\n" + BOOK.replace("eur", "usd")
    assert {line.split()[1] for line in told(both)} == {"usd"}
    assert losses(books(BOOK), books(both)) == []
    assert losses((), books(both)) == []


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (BOOK.replace("eur", "usd"), "it has no book in eur, which test has now"),
        (BOOK.replace("name: test", "name: live"), "its book in eur is live, the one that is loaded is test"),
        (BOOK.replace(ANNS, ""), "its last version in eur has no prices of their own for ann"),
        (BOOK + VERSION, "its last version in eur has no prices of their own for ann"),
        (BOOK + PLANS.replace("pro", "gold"), "its last version in eur has no plan pro"),
    ],
)
def test_what_nobody_takes_away_by_accident_is_named(new: str, says: str) -> None:
    old = BOOK + PLANS if "plan" in says else BOOK
    assert losses(books(old), books(new)) == [says]
