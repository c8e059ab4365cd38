"""Minor units and rounding: https://docs.stripe.com/currencies and half away from zero."""

import decimal
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.core.money import (
    AMOUNT_MINOR_MAX,
    AMOUNT_MINOR_MIN,
    CURRENCIES,
    AmountOutOfRangeError,
    exponent,
    format_minor,
    is_currency,
    parse_minor,
    rounding_step_minor,
    to_minor,
)
from billing_pipeline.core.money_columns import to_minor_array

EXACT = pa.decimal256(61, 24)
KINDS = ["usd", "jpy", "kwd", "isk", "ugx"]


@pytest.mark.parametrize(
    ("currency", "digits", "step"),
    [
        ("usd", 2, 1),
        ("eur", 2, 1),
        ("jpy", 0, 1),
        ("mga", 0, 1),
        ("kwd", 3, 10),
        ("tnd", 3, 10),
        ("isk", 2, 100),
    ],
)
def test_a_currency_has_stripes_exponent_and_step(currency, digits, step):
    assert (exponent(currency), rounding_step_minor(currency)) == (digits, step)


def test_five_ugx_are_500_as_stripes_special_case_says():
    assert to_minor(Decimal(5), "ugx") == 500


@pytest.mark.parametrize("code", ["USD", "xyz", "", "us", "usd ", "btc"])
def test_only_lower_case_codes_that_stripe_charges_are_currencies(code):
    assert not is_currency(code)
    with pytest.raises(ValueError, match="unknown currency"):
        exponent(code)


def test_every_currency_has_three_letters_and_an_exponent():
    assert all(len(code) == 3 and code.islower() and exponent(code) in (0, 2, 3) for code in CURRENCIES)
    assert len(CURRENCIES) == 140


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.005", "usd", 1),
        ("-0.005", "usd", -1),
        ("0.00499999999999999999999999999", "usd", 0),
        ("1.005", "usd", 101),
        ("2.5", "jpy", 3),
        ("-2.5", "jpy", -3),
        ("5.124", "kwd", 5120),
        ("5.125", "kwd", 5130),
        ("40.10", "isk", 4000),
        ("40.50", "isk", 4100),
        ("0E+99", "usd", 0),
        ("1E-1000000", "usd", 0),
        ("0." + "4" * 5000, "jpy", 0),
        ("1E+10", "jpy", 10_000_000_000),
        ("92233720368547758.07", "usd", AMOUNT_MINOR_MAX),
        ("-92233720368547758.08", "usd", AMOUNT_MINOR_MIN),
    ],
)
def test_amounts_round_half_away_from_zero_to_the_step(amount, currency, minor):
    assert to_minor(Decimal(amount), currency) == minor


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity", "92233720368547758.075", "1E+999999"])
def test_what_does_not_fit_64_bits_is_an_error(amount):
    with pytest.raises(AmountOutOfRangeError, match="usd"):
        to_minor(Decimal(amount), "usd")


@given(coefficient=st.integers(-(10**38), 10**38), currency=st.sampled_from(KINDS), precision=st.integers(1, 60))
def test_rounding_is_exact_under_any_decimal_context(coefficient, currency, precision):
    sign = "-" if coefficient < 0 else ""
    amount = Decimal(f"{sign}{abs(coefficient)}e-24")
    with decimal.localcontext() as context:
        context.prec = precision
        minor = to_minor(amount, currency)
    step = rounding_step_minor(currency)
    steps = Fraction(coefficient, 10**24) * 10 ** exponent(currency) / step
    assert minor % step == 0
    distance = abs(Fraction(minor, step)) - abs(steps)
    assert -Fraction(1, 2) < distance <= Fraction(1, 2)
    assert minor == 0 or (minor < 0) == (coefficient < 0)


@given(
    coefficients=st.lists(
        st.one_of(st.integers(-9 * 10**39, 9 * 10**39), st.integers(-(10**6), 10**6).map(lambda n: n * 5 * 10**20)),
        max_size=20,
    ),
    currency=st.sampled_from(KINDS),
)
def test_the_column_rule_is_the_scalar_rule(coefficients, currency):
    amounts = [Decimal(f"{c}e-24") for c in coefficients]
    expected = [to_minor(amount, currency) for amount in amounts]
    array = pa.array(amounts, EXACT)
    assert to_minor_array(array, currency).to_pylist() == expected
    assert to_minor_array(pa.chunked_array([array, array]), currency).to_pylist() == expected * 2


@pytest.mark.parametrize("amount", ["92233720368547758.08", "9" * 36, "-92233720368547758.09"])
def test_a_column_never_wraps_around(amount):
    with pytest.raises(AmountOutOfRangeError, match="does not fit 64 bits"):
        to_minor_array(pa.array([Decimal(1), Decimal(amount)], EXACT), "usd")


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (101000, "usd", "1,010.00 USD"),
        (-5, "usd", "-0.05 USD"),
        (1010, "jpy", "1,010 JPY"),
        (1234560, "kwd", "1,234.560 KWD"),
        (500, "isk", "5.00 ISK"),
    ],
)
def test_amounts_read_as_people_write_them(minor, currency, text):
    assert format_minor(minor, currency) == text


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [("12.50", "usd", 1250), ("-3", "usd", -300), (" 7 ", "jpy", 7), ("1.230", "kwd", 1230), ("12.500", "usd", 1250)],
)
def test_an_amount_that_a_person_wrote_is_taken_exactly(written, currency, minor):
    assert parse_minor(written, currency) == minor


@pytest.mark.parametrize(
    ("written", "currency", "says"),
    [
        ("ten", "usd", "expected an amount in USD"),
        ("nan", "usd", "expected an amount"),
        ("1e400", "usd", "does not fit"),
        ("0.005", "usd", "finer than the smallest step of USD"),
        ("0.5", "jpy", "finer"),
        ("1.234", "kwd", "finer"),
    ],
)
def test_an_amount_that_would_have_to_be_rounded_is_refused(written, currency, says):
    with pytest.raises(ValueError, match=says):
        parse_minor(written, currency)
