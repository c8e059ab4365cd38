"""Every mistake in a price book is named with its path, and nothing is loaded."""

import pytest

from billing_pipeline.pricing.rules.price_book import PriceBookError, load_price_books
from billing_pipeline_tests.pricing.rules.books import METERS

BOOK = (
    METERS
    + """\
  - id: "1"
    effective_from: 2025-01-01
    prices:
      - {meter: fee, model: flat, amount: "10"}
      - {meter: calls, model: graduated, tiers: [{up_to: 10, unit_amount: 2}, {up_to: null, unit_amount: 1}]}
      - {meter: clusters, model: per_unit, rates: {small: {dev: "1"}, large: {dev: "2"}}}
    customers:
      c1: [{meter: calls, model: package, package_size: 100, amount: 7}]
"""
)

FLAT = '{meter: fee, model: flat, amount: "10"}'
TIERS = "[{up_to: 10, unit_amount: 2}, {up_to: null, unit_amount: 1}]"
RATES = '{small: {dev: "1"}, large: {dev: "2"}}'
DECIMAL = "expected a plain decimal such as 0.10, not negative; found"
OPTIONAL = (
    "expected a kind that may be switched off: allowance_reached, budget_reached, credits_expiring, credits_low,"
    " payment_due_soon, payment_succeeded, refund_succeeded, service_resumed, usage_unusual"
)
FOUND = (("small.dev", "'1'"), ("large.dev", "'2'"))
LEVELS = "meter clusters has 2 level(s) of rates: size, environment"

MISTAKES = [
    ("name: test\n", "", "name: missing"),
    ("name: test", "nam: test", ["name: missing", "nam: unknown key; expected one of name, currency, meters, versions, cards"]),
    ("name: test", "name:", "name: expected text without blanks around it, found nothing"),
    ("currency: eur", "currency: EUR", "currency: expected a lower-case ISO 4217 code that Stripe charges, found 'EUR'; write eur"),
    ("currency: eur", "currency: xxx", "currency: expected a lower-case ISO 4217 code that Stripe charges, found 'xxx'"),
    ("aggregation: sum", "aggregation: avg", "meters.calls.aggregation: expected one of constant, sum, count, unique, last, max, time_weighted; found 'avg'"),
    ("aggregation: sum, ", "", "meters.calls.aggregation: missing"),
    ("unit: call", "units: call", "meters.calls.units: unknown key; expected one of aggregation, dimensions, unit, property, events"),
    ("[size, environment]", "[size, 1st]", "meters.clusters.dimensions[1]: a dimension's name has letters, digits and _, no digit first; found '1st'"),
    ("[size, environment]", "[size, size]", "meters.clusters.dimensions[1]: 'size' is listed already"),
    ("[size, environment]", "size", ["meters.clusters.dimensions: expected a list with one entry per dimension, found 'size'",
        "versions[0].prices[2].rates: meter clusters has no dimensions; write unit_amount"]),
    ("{aggregation: constant}", "{aggregation: constant, dimensions: [a]}", "meters.fee.dimensions: a constant meter has no usage, hence no dimensions"),
    ("  fee: {", "  a b: {aggregation: sum}\n  fee: {", "meters.a b: a meter's name has letters, digits and any of _ . : / - after the first"),
    ('id: "1"', "id: ''", "versions[0].id: expected text without blanks around it, found ''"),
    ("2025-01-01", "01/01/2025", "versions[0].effective_from: expected a date such as 2025-01-01, found '01/01/2025'"),
    ("2025-01-01", "2025-02-30", "versions[0].effective_from: expected a date such as 2025-01-01, found '2025-02-30'"),
    ("    effective_from: 2025-01-01\n", "", "versions[0].effective_from: missing"),
    ("    prices:\n", "    notices_off: [credits_low, invoice_issued]\n    prices:\n",
        f"versions[0].notices_off[1]: {OPTIONAL}; found 'invoice_issued', which is due anyway"),
    ("    prices:\n", "    notices_off: [credit]\n    prices:\n", f"versions[0].notices_off[0]: {OPTIONAL}; found 'credit'"),
    ("    prices:\n", "    notices_off: [credits_low, credits_low]\n    prices:\n", "versions[0].notices_off[1]: credits_low is listed already"),
    ("    prices:\n", "    notices_off: credits_low\n    prices:\n", "versions[0].notices_off: expected a list with one entry per kind of notices, found 'credits_low'"),
    ('  - id: "1"\n', f'  - {{id: "0", effective_from: 2025-01-01, prices: [{FLAT}]}}\n  - id: "1"\n', "versions[1].effective_from: versions[0] has 2025-01-01 already"),
    ('  - id: "1"\n', f'  - {{id: "1", effective_from: 2024-01-01, prices: [{FLAT}]}}\n  - id: "1"\n', "versions[1].id: versions[0] has 1 already"),
    ("model: flat", "model: fixed", "versions[0].prices[0].model: expected one of flat, per_unit, graduated, volume, package; found 'fixed'"),
    ("meter: fee", "meter: fees", "versions[0].prices[0].meter: unknown meter 'fees'; the book's meters: fee, calls, clusters"),
    ("meter: fee, ", "", "versions[0].prices[0].meter: missing"),
    (', amount: "10"', "", "versions[0].prices[0].amount: missing"),
    ('amount: "10"', 'unit_amount: "10"', [
        "versions[0].prices[0].unit_amount: a flat price has no such key; it takes meter, model, minimum, maximum, description, prorate, lines, amount",
        "versions[0].prices[0].amount: missing"]),
    ('amount: "10"', "amount: -1", f"versions[0].prices[0].amount: {DECIMAL} '-1'"),
    ('amount: "10"', "amount: .nan", f"versions[0].prices[0].amount: {DECIMAL} '.nan'"),
    ('amount: "10"', "amount: 1e3", f"versions[0].prices[0].amount: {DECIMAL} '1e3'"),
    ('amount: "10"', "amount: 1_000", f"versions[0].prices[0].amount: {DECIMAL} '1_000'"),
    ('amount: "10"', "amount: 1,000", ["versions[0].prices[0].000: a flat price has no such key; it takes meter, model, minimum, maximum, description, prorate, lines, amount"]),
    ('amount: "10"', "amount: ", f"versions[0].prices[0].amount: {DECIMAL} nothing"),
    ('amount: "10"', "amount: [1]", f"versions[0].prices[0].amount: {DECIMAL} a list"),
    ('amount: "10"', "amount: 0.1234567890123", "versions[0].prices[0].amount: at most 12 decimals, found 13 in 0.1234567890123"),
    ('amount: "10"', "amount: 1234567890123456789", "versions[0].prices[0].amount: at most 18 digits before the point, found 1234567890123456789"),
    ('amount: "10"', "amount: 1, minimum: x", f"versions[0].prices[0].minimum: {DECIMAL} 'x'"),
    ('amount: "10"', "amount: 1, included: 1", "versions[0].prices[0].included: a flat price has no such key; it takes meter, model, minimum, maximum, description, prorate, lines, amount"),
    ("{meter: fee, model: flat", "{meter: fee, description: '{tier}', model: flat", "versions[0].prices[0].description: {tier} is no dimension of fee; its dimensions: none"),
    ("{meter: fee, model: flat", "{meter: fee, description: 'a {', model: flat", "versions[0].prices[0].description: a brace at character 3 that holds no dimension's name; write {{ and }} for literal braces"),
    ("{meter: fee, model: flat", "{meter: fee, description: '{0}', model: flat", "versions[0].prices[0].description: a brace at character 1 that holds no dimension's name; write {{ and }} for literal braces"),
    ("rates: " + RATES, "description: '{size}', lines: merged, rates: " + RATES, "versions[0].prices[2].description: {size} has no one value on a merged line"),
    ("rates: " + RATES, "lines: each, rates: " + RATES, "versions[0].prices[2].lines: expected one of merged; found 'each'"),
    (FLAT, FLAT + "\n      - " + FLAT, "versions[0].prices[1].meter: versions[0].prices[0] has fee already"),
    (FLAT, "fee", "versions[0].prices[0]: expected a mapping with meter, model; found 'fee'"),
    (", tiers: " + TIERS, "", "versions[0].prices[1].tiers: missing; a graduated price needs it"),
    (TIERS, "[]", "versions[0].prices[1].tiers: expected a list with one entry per tier, found an empty list"),
    ("up_to: null", "up_to: 20", "versions[0].prices[1].tiers[1].up_to: the last tier is open-ended; write null"),
    ("up_to: 10", "up_to: null", "versions[0].prices[1].tiers[0].up_to: only the last tier is open-ended; expected a quantity"),
    ("up_to: 10", "up_to: 0", "versions[0].prices[1].tiers[0].up_to: tiers must rise: 0 is not above 0"),
    ("{up_to: null", "{up_to: 10, unit_amount: 1}, {up_to: null", "versions[0].prices[1].tiers[1].up_to: tiers must rise: 10 is not above 10"),
    ("{up_to: null, unit_amount: 1}", "{unit_amount: 1}", "versions[0].prices[1].tiers[1].up_to: missing"),
    (RATES, '{small: "1"}', f"versions[0].prices[2].rates.small: expected one entry per environment, found '1'; {LEVELS}"),
    (RATES, "{small: {dev: {eu: 1}}}", f"versions[0].prices[2].rates.small.dev: expected an amount, found a mapping; {LEVELS}"),
    (RATES, "{large: {dev: x}}", f"versions[0].prices[2].rates.large.dev: {DECIMAL} 'x'"),
    (RATES, "{large: }", f"versions[0].prices[2].rates.large: expected one entry per environment, found nothing; {LEVELS}"),
    (RATES, '{"": {dev: 1}}', "versions[0].prices[2].rates: an empty size"),
    ("rates: " + RATES, "unit_amount: 1, rates: " + RATES, "versions[0].prices[2]: has both unit_amount and rates; keep one"),
    (", rates: " + RATES, "", "versions[0].prices[2].unit_amount: missing (or rates)"),
    (TIERS, TIERS + ", rates: {a: 1}", ["versions[0].prices[1]: has both tiers and rates; keep one", "versions[0].prices[1].rates: meter calls has no dimensions; write tiers"]),
    ("per_unit, rates: " + RATES, "volume, rates: " + RATES, [f"versions[0].prices[2].rates.{at}: expected a list of tiers, found {amount}; {LEVELS}" for at, amount in FOUND]),
    (RATES, "{small: {dev: []}}", f"versions[0].prices[2].rates.small.dev: expected an amount, found an empty list; {LEVELS}"),
    ("per_unit, rates: " + RATES, "graduated, rates: {small: {dev: []}}", "versions[0].prices[2].rates.small.dev: expected a list with one entry per tier, found an empty list"),
    ("per_unit, rates: " + RATES, "graduated, rates: {small: {dev: [{up_to: 1, unit_amount: 1}]}}", "versions[0].prices[2].rates.small.dev[0].up_to: the last tier is open-ended; write null"),
    (FLAT, "{card: basic}", "versions[0].prices[0].card: expected a card of the book (none), found 'basic'"),
    ("package_size: 100", "package_size: 0", "versions[0].customers.c1[0].package_size: must be above 0"),
    ("package_size: 100", "package_size: 0.000", "versions[0].customers.c1[0].package_size: must be above 0"),
    ("package_size: 100, ", "", "versions[0].customers.c1[0].package_size: missing"),
    ("      c1: [", "      c1: x\n      c2: [", "versions[0].customers.c1: expected a list with one entry per price, found 'x'"),
    ("      c1: [", "      '': [", "versions[0].customers: a customer's name is empty or has blanks around it"),
    ("name: test", "name: test\nname: again", "name: written twice (lines 1 and 2)"),
    ('large: {dev: "2"}', 'small: {dev: "2"}', "versions[0].prices[2].rates.small: written twice (lines 13 and 13)"),
    ('amount: "10"', "amount: !!python/name:os.system x", ["versions[0].prices[0].amount: the tag !!python/name:os.system has no place in a price book", f"versions[0].prices[0].amount: {DECIMAL} nothing"]),
    ("{aggregation: constant}", "&m {aggregation: constant, <<: {unit: x}}", "meters.fee: merge keys (<<) have no place in a price book (line 4)"),
    ("{aggregation: constant}", "&m {aggregation: constant, unit: *m}", ["meters.fee.unit: an alias that contains itself", "meters.fee.unit: expected text without blanks around it, found nothing"]),
    ("{aggregation: constant}", "{aggregation: constant, [a]: b}", "meters.fee: a key must be text (line 4)"),
]  # fmt: skip


def problems_of(text: str) -> list[str]:
    with pytest.raises(PriceBookError) as caught:
        load_price_books(text, "book.yaml")
    assert str(caught.value) == "\n".join(f"book.yaml: {problem}" for problem in caught.value.problems)
    return list(caught.value.problems)


def test_the_book_that_the_mistakes_are_made_in_is_right():
    assert len(load_price_books(BOOK, "book.yaml")) == 1


@pytest.mark.parametrize(("right", "wrong", "problems"), MISTAKES, ids=[str(m[2])[:60] for m in MISTAKES])
def test_a_mistake_is_named_with_its_path(right, wrong, problems):
    assert BOOK.count(right) >= 1
    assert problems_of(BOOK.replace(right, wrong, 1)) == ([problems] if isinstance(problems, str) else problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no price book in the file"),
        ("# nothing\n", "no price book in the file"),
        ("just text", "expected a mapping with name, currency, meters, versions; found 'just text'"),
        ("name: [", "line 1, column 8: not valid YAML: while parsing a flow node expected the node content, but found '<stream end>'"),
        ("a: b: c", "line 1, column 5: not valid YAML: mapping values are not allowed here"),
        ("a\0", "not valid YAML: unacceptable character #x0000: special characters are not allowed in \"<unicode string>\", position 1"),
    ],
)  # fmt: skip
def test_text_that_is_no_book_is_one_problem(text, problem):
    assert problems_of(text) == [problem]


def test_a_problem_in_one_of_several_documents_names_the_document():
    second = BOOK.replace("eur", "usd").replace('amount: "10"', "amount: x")
    assert problems_of(BOOK + "---\n" + second) == [f"document 2: versions[0].prices[0].amount: {DECIMAL} 'x'"]


def test_two_books_of_one_currency_are_refused():
    assert problems_of(BOOK + "---\n" + BOOK) == ["document 2: currency: document 1 is the book of eur already"]


def test_all_problems_are_reported_at_once():
    wrong = (
        BOOK.replace("currency: eur", "currency: xx")
        .replace("model: flat", "model: f")
        .replace("up_to: null", "up_to: 5")
    )
    assert len(problems_of(wrong)) == 3


def test_a_book_nested_without_end_is_refused():
    assert problems_of("[" * 5000) == ["not valid as a price book: nested too deeply"]


def test_a_card_that_leads_to_itself_is_refused():
    cards = "cards: {a: [{card: b}], b: {card: a}, c: x, d: [{meter: fee, model: flat, amount: 1}]}\nname: test"
    for used, problem in (
        ("{card: a}", "versions[0].prices[0].card[0].card: expected a card of the book (c, d), found 'a'"),
        ("{card: c}", "cards.c: expected a price, or a list of prices, found 'x'"),
        (
            "{card: d, amount: 2}",
            "versions[0].prices[0]: expected no other key beside a card of several prices, found a mapping",
        ),
    ):
        assert problems_of(BOOK.replace("name: test", cards).replace(FLAT, used)) == [problem]
