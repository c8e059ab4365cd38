"""What a value may be: the domains, and the one rounding rule."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from billing_pipeline.core import money
from billing_pipeline_tests.postgres.invariants.rows import refused, value


@pytest.mark.parametrize(
    "literal", ["NaN", "Infinity", "-Infinity", "0.0000000000001", "1e18", "-1e18", "1234567890123456789"]
)
def test_an_exact_decimal_is_finite_with_18_digits_before_the_point_and_12_after(db: Connection, literal: str):
    with refused(db, "exact_decimal_check"):
        value(db, "SELECT cast(cast(:literal AS text) AS billing.exact_decimal)", literal=literal)


@pytest.mark.parametrize(
    "literal", ["999999999999999999.999999999999", "-999999999999999999.999999999999", "0", "0.000000000001"]
)
def test_an_exact_decimal_keeps_every_digit(db: Connection, literal: str):
    assert value(db, "SELECT cast(cast(:literal AS text) AS billing.exact_decimal)", literal=literal) == Decimal(
        literal
    )


@pytest.mark.parametrize("literal", ["USD", "us", "usdx", "", " usd", "us1", "usd\n"])
def test_a_currency_is_three_lower_case_letters(db: Connection, literal: str):
    with refused(db, "currency_code_check"):
        value(db, "SELECT cast(cast(:literal AS text) AS billing.currency_code)", literal=literal)


@pytest.mark.parametrize("literal", ["2026-10-02", "2026-10-31", "infinity", "-infinity"])
def test_a_month_is_its_first_day(db: Connection, literal: str):
    with refused(db, "month_start_check"):
        value(db, "SELECT cast(cast(:literal AS text) AS billing.month_start)", literal=literal)


@pytest.mark.parametrize("literal", ["", "a\nb", "a\tb", "\x7f", "x" * 256])
def test_a_platform_key_has_1_to_255_characters_and_no_control_character(db: Connection, literal: str):
    with refused(db, "platform_key_check"):
        value(db, "SELECT cast(cast(:literal AS text) AS billing.platform_key)", literal=literal)


@pytest.mark.parametrize("literal", ["007", "x" * 255, "Größe 3", "a b"])
def test_a_platform_key_is_kept_as_it_is(db: Connection, literal: str):
    assert value(db, "SELECT cast(cast(:literal AS text) AS billing.platform_key)", literal=literal) == literal


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.005", "usd", 1),
        ("-0.005", "usd", -1),
        ("0.004999999999", "usd", 0),
        ("10.25", "usd", 1025),
        ("0.5", "jpy", 1),
        ("-0.5", "jpy", -1),
        ("1.005", "kwd", 1010),
        ("-1.005", "kwd", -1010),
        ("1.0049", "kwd", 1000),
        ("0.5", "isk", 100),
        ("-0.5", "isk", -100),
        ("5", "ugx", 500),
    ],
)
def test_the_database_rounds_half_away_from_zero_to_the_currencys_step(
    db: Connection, amount: str, currency: str, minor: int
):
    assert value(db, "SELECT billing.to_minor(:amount, :currency)", amount=Decimal(amount), currency=currency) == minor


def _halves(draw_from: int) -> st.SearchStrategy[Decimal]:
    """Exact ties and their neighbours, where roundings differ."""
    return st.builds(
        lambda units, places, nudge: (
            Decimal(units).scaleb(-places) + Decimal(5).scaleb(-places - 1) + Decimal(nudge).scaleb(-24)
        ),
        st.integers(-(10**draw_from), 10**draw_from),
        st.integers(0, 3),
        st.integers(-1, 1),
    )


@given(amount=st.one_of(st.decimals(-(10**12), 10**12, places=24), _halves(9)))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_database_rounds_as_the_program_does_in_every_currency(db: Connection, amount: Decimal):
    currencies = sorted(money.CURRENCIES)
    rows = db.execute(
        text("SELECT c, billing.to_minor(:amount, c) FROM unnest(cast(:currencies AS text[])) AS c"),
        {"amount": amount, "currencies": currencies},
    )
    assert {row[0]: row[1] for row in rows} == {code: money.to_minor(amount, code) for code in currencies}


def test_the_program_and_the_database_have_the_same_steps(db: Connection):
    rows = db.execute(
        text("SELECT c, billing.rounding_step_minor(c) FROM unnest(cast(:currencies AS text[])) AS c"),
        {"currencies": sorted(money.CURRENCIES)},
    )
    assert {row[0]: row[1] for row in rows} == {code: money.rounding_step_minor(code) for code in money.CURRENCIES}


def test_an_amount_beyond_64_bits_is_refused_not_wrapped(db: Connection):
    largest = Decimal(2**63 - 1).scaleb(-2)
    assert value(db, "SELECT billing.to_minor(:a, 'usd')", a=largest) == 2**63 - 1
    with refused(db, "out of range"):
        value(db, "SELECT billing.to_minor(:a, 'usd')", a=largest + Decimal("0.01"))


def test_rounding_of_a_long_fraction_equals_the_decimal_modules(db: Connection):
    amount = Decimal("0.014999999999999999999999")
    assert value(db, "SELECT billing.to_minor(:a, 'usd')", a=amount) == int(
        amount.quantize(Decimal("0.01"), ROUND_HALF_UP) * 100
    )
