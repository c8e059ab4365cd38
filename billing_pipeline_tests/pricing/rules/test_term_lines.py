"""What commitments and discounts add to an invoice, to the cent, and against plain arithmetic for any of them."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_pipeline.pricing.rules.term_lines import term_lines
from billing_pipeline.pricing.rules.terms import Term
from billing_pipeline.pricing.rules.terms_in_force import TermPeriod, TermsInForce, in_order

LINES = [("gpu", 12_000), ("clusters", 8_000), ("fee", 1_000)]


def term(kind: Any, name: str, **values: Any) -> Term:
    base = Term(
        f"id-{name}", kind, name, "usd", "1", date(2025, 1, 1), None, None, None, None, None, None, None, None, 0
    )
    return replace(base, **values)


def made(*terms: Term, lines: Any = LINES, currency: str = "usd", days: int = 31, full_days: int | None = None) -> Any:
    found = term_lines(lines, in_order(terms), currency, days, full_days)
    return [(line.meter, line.description, line.amount_minor) for line in found]


def test_the_line_of_a_commitment_is_what_its_meters_lack_of_it() -> None:
    base = term("commitment", "compute", amount=Decimal(250), meters=("gpu", "clusters"))
    assert made(base) == [("commitments", "Commitment compute: up to 250.00 USD for gpu, clusters", 5_000)]
    assert made(replace(base, amount=Decimal(200))) == []
    assert made(replace(base, meters=None, description="Yearly contract")) == [
        ("commitments", "Yearly contract: up to 250.00 USD for all of this invoice", 4_000)
    ]


def test_a_commitment_of_a_short_period_is_its_share_by_days_unless_it_says_otherwise() -> None:
    base = term("commitment", "base", amount=Decimal(1000))
    told = "Commitment base: up to 354.84 USD (11 of 31 days) for all of this invoice"
    assert made(base, lines=[], days=11, full_days=31) == [("commitments", told, 35_484)]
    assert made(replace(base, prorate="none"), lines=[], days=11, full_days=31)[0][2] == 100_000


def test_two_commitments_look_at_usage_and_not_at_each_other() -> None:
    one = term("commitment", "gpu", amount=Decimal(150), meters=("gpu",))
    whole = term("commitment", "all", amount=Decimal(300), position=1)
    assert [amount for _, _, amount in made(one, whole)] == [3_000, 9_000]


def test_discounts_follow_each_other_and_each_takes_of_what_is_left() -> None:
    tenth = term("discount", "tenth", percent=Decimal(10), meters=("gpu",))
    amount = term("discount", "welcome", amount=Decimal(50), position=1)
    half = term("discount", "half", percent=Decimal(50), meters=("fee",), position=2)
    # 120.00 of gpu -> 108.00; then 50.00 off 198.00, of which the fee bears 50 * 10 / 198 = 2.53; half of 7.47 is 3.74
    assert made(tenth, amount, half) == [
        ("discounts", "Discount tenth: 10 % off 120.00 USD for gpu", -1_200),
        ("discounts", "Discount welcome: off 198.00 USD for all of this invoice", -5_000),
        ("discounts", "Discount half: 50 % off 7.47 USD for fee", -374),
    ]


def test_a_discount_of_the_whole_invoice_reduces_the_commitment_too() -> None:
    committed = term("commitment", "base", amount=Decimal(300))
    tenth = term("discount", "tenth", percent=Decimal(10))
    assert [amount for _, _, amount in made(committed, tenth)] == [9_000, -3_000]
    assert [amount for _, _, amount in made(committed, replace(tenth, meters=("gpu", "clusters", "fee")))] == [
        9_000,
        -2_100,
    ]


def test_no_discount_takes_more_than_there_is() -> None:
    much = term("discount", "much", amount=Decimal(1000))
    more = term("discount", "more", percent=Decimal(100), position=1)
    assert [amount for _, _, amount in made(much, more)] == [-21_000]
    assert made(much, lines=[]) == []


def test_amounts_keep_to_the_step_of_the_currency() -> None:
    third = term("discount", "third", percent=Decimal("33.3333"))
    assert [amount for _, _, amount in made(third, lines=[("gpu", 1_000)], currency="kwd")] == [-330]
    assert [amount for _, _, amount in made(third, lines=[("gpu", 1_000)], currency="isk")] == [-300]


METERS = ("a", "b", "c")
CHOSEN = st.none() | st.lists(st.sampled_from(METERS), min_size=1, unique=True).map(tuple)
AMOUNTS = st.decimals(0, 500, places=2)
TERMS = st.one_of(
    st.builds(lambda m, a: term("commitment", "c", meters=m, amount=a), CHOSEN, AMOUNTS),
    st.builds(lambda m, a: term("discount", "d", meters=m, amount=a), CHOSEN, AMOUNTS),
    st.builds(lambda m, p: term("discount", "d", meters=m, percent=p), CHOSEN, st.decimals("0.01", 100, places=2)),
)


@given(
    st.lists(st.tuples(st.sampled_from(METERS), st.integers(0, 50_000)), max_size=6),
    st.lists(TERMS, max_size=5),
    st.none() | st.integers(8, 31),
)
@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault of the rules
def test_any_terms_come_to_what_plain_arithmetic_gives(
    lines: list[tuple[str, int]], terms: list[Term], full_days: int | None
) -> None:
    found = term_lines(lines, in_order(terms), "usd", 7, full_days)
    by_meter = {meter: sum(amount for m, amount in lines if m == meter) for meter in dict(lines)}
    left = sum(by_meter.values())
    expected = []
    for each in in_order(terms):
        if each.kind == "discount":
            continue
        due = _rounded(Fraction(each.amount or 0) * 100 * Fraction(7, full_days or 7))
        lacks = due - sum(v for m, v in by_meter.items() if each.meters is None or m in each.meters)
        if lacks > 0:
            expected.append(lacks)
            left += lacks
    assert [line.amount_minor for line in found if line.term.kind == "commitment"] == expected
    for line in found:
        if line.term.kind == "discount" and line.term.meters is None:
            share = Fraction(7, full_days or 7)
            percent, amount = line.term.percent, line.term.amount
            off = _rounded(Fraction(percent) * left / 100 if percent else Fraction(amount or 0) * 100 * share)
            assert -line.amount_minor == min(off, left)
        if line.term.kind == "discount":
            assert line.amount_minor < 0
            left += line.amount_minor
    assert left >= 0
    assert left == sum(v for _, v in lines) + sum(line.amount_minor for line in found)


def _rounded(value: Fraction) -> int:
    return int((Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal(1), ROUND_HALF_UP))


def test_the_customers_own_term_takes_the_place_of_the_plans_and_of_everybodys() -> None:
    everybody = term("commitment", "base", amount=Decimal(1))
    plan = term("commitment", "base", amount=Decimal(2), plan="pro", position=1)
    own = term("commitment", "base", amount=Decimal(3), customer_id="ann", position=2)
    other = term("commitment", "more", amount=Decimal(4), version_id="2", effective_from=date(2025, 6, 1))
    in_force = TermsInForce([own, everybody, plan, other], {"usd": [("1", date(2025, 1, 1)), ("2", date(2025, 6, 1))]})

    def of(customer_id: str, plan: str | None, day: date = date(2025, 5, 1)) -> list[Term]:
        return in_force.of(TermPeriod(customer_id, "usd", day, 31, None, plan))

    assert of("bob", None) == [everybody]
    assert of("bob", "pro") == [plan]
    assert of("ann", "pro") == [own]
    assert of("ann", "pro", date(2025, 6, 1)) == [other]
    assert of("ann", None, date(2024, 12, 31)) == []


def test_a_granted_term_holds_for_periods_that_start_within_its_days_and_may_take_it() -> None:
    book = term("discount", "tenth", percent=Decimal(10), position=5)
    granted = term(
        "discount", "welcome", percent=Decimal(20), version_id=None, customer_id="ann", until_on=date(2025, 3, 31)
    )
    in_force = TermsInForce([granted, book], {"usd": [("1", date(2025, 1, 1))]})

    def of(day: date, *ids: str) -> list[Term]:
        return in_force.of(TermPeriod("ann", "usd", day, 31, None, None, frozenset(ids)))

    assert of(date(2025, 3, 1), "id-welcome") == [book, granted]
    assert of(date(2025, 3, 1)) == [book]
    assert of(date(2025, 4, 1), "id-welcome") == [book]
