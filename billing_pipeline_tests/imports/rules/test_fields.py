"""What a cell may hold: one canonical text for every good spelling, one reason for every bad one."""

import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing_pipeline.customers.rules.fields import CUSTOMER_FIELDS
from billing_pipeline.imports.rules import fields as rules
from billing_pipeline.imports.rules.fields import Field
from billing_pipeline.usage.rules.fields import USAGE_FIELDS

PLAIN_FIELDS = [field for field in (*USAGE_FIELDS, *CUSTOMER_FIELDS) if field.plain is not None]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("0", "0"),
        ("-0", "-0"),
        ("1.50", "1.50"),
        ("007", "007"),
        ("+1", "1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1E-12", "0.000000000001"),
        ("-2.5e-1", "-0.25"),
        ("1.0000000000000", "1"),
        ("0e-99", "0"),
        ("999999999999999999.999999999999", "999999999999999999.999999999999"),
        ("0000000000000000000001", "1"),
    ],
)
def test_quantity_counts_by_value_not_by_spelling(text: str, stored: str) -> None:
    assert rules.quantity(text) == stored


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, rules.DECIMAL) for text in ["", "1e", "NaN", "inf", "1,000", "1_000", "0x1", " 1", "1\n", "٣", "--1"]),
        ("0.0000000000001", rules.DECIMAL),
        ("1e-13", rules.DECIMAL),
        ("1" * 1001, rules.DECIMAL),
        ("1e18", rules.LARGE_DECIMAL),
        ("1000000000000000000", rules.LARGE_DECIMAL),
        ("1e999", rules.LARGE_DECIMAL),
    ],
)
def test_quantity_that_would_be_rounded_or_guessed_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        rules.quantity(text)


@given(st.integers(-(10**33), 10**33), st.integers(-20, 20))
def test_quantity_is_exact_or_refused(coefficient: int, exponent: int) -> None:
    number = Decimal((int(coefficient < 0), tuple(map(int, str(abs(coefficient)))), exponent))
    fits = abs(number) < 10**18 and number == number.quantize(Decimal("1e-12"), context=_exact()) if number else True
    for text in (str(number), f"{number:f}", f"{number:e}"):
        if fits:
            stored = rules.quantity(text)
            assert Decimal(stored) == number
            assert re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,12})?", stored)
        else:
            with pytest.raises(ValueError, match="a decimal number"):
                rules.quantity(text)


def _exact():
    import decimal

    return decimal.Context(prec=100)


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-31T23:59:59Z",
        "2026-10-31 23:59:59.123456+05:30",
        "2024-02-29T00:00:00-1400",
        "2026-10-31T23:59+02",
    ],
)
def test_instant_keeps_the_spellings_of_iso_8601(text: str) -> None:
    assert rules.instant(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-10-31",
        "2026-10-31T23:59:59",
        "2026-10-31T23:59:59.1234567Z",
        "2026-02-29T00:00:00Z",
        "2026-10-31T24:00:00Z",
        "2026-10-31T23:59:60Z",
        "31.10.2026 23:59:59Z",
        "20261031T235959Z",
        "1793491199",
        "2026-10-31T23:59:59+15:00",
        "1899-10-31T00:00:00Z",
        "2026-10-31T23:59:59Z\n",
    ],
)
def test_instant_without_offset_or_with_digits_to_lose_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601 with an offset"):
        rules.instant(text)


def test_dimensions_are_sorted_and_compact_and_blank_means_none() -> None:
    assert rules.dimensions(' {"b": "2", "a": "é"} ') == '{"a":"é","b":"2"}'
    assert rules.dimensions("") == rules.dimensions("  ") == rules.dimensions("{}") == "{}"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '"a"',
        "null",
        '{"a": 1}',
        '{"a": null}',
        '{"a": {"b": "c"}}',
        '{"a": "1", "a": "2"}',
        '{"": "x"}',
        '{"a": "\\u0000"}',
        '{"a": "\\ud800"}',
        '{"a": "' + "x" * 256 + '"}',
        "[" * 100_000,
    ],
)
def test_dimensions_are_texts_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="a JSON object of texts"):
        rules.dimensions(text)


@pytest.mark.parametrize("text", ["0", "000123", "ü" * 255, "a b", "customer/1"])
def test_key_is_kept_to_the_letter(text: str) -> None:
    assert rules.key(text) == text


@pytest.mark.parametrize("text", ["", "x" * 256, "a\tb", "a\0", "a\x85b", "\x7f", "\ud800"])
def test_key_has_1_to_255_characters_and_no_control_character(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 characters without control characters"):
        rules.key(text)


@settings(max_examples=500)
@given(
    field=st.sampled_from(PLAIN_FIELDS),
    text=st.one_of(
        st.text("0123456789.-+eE ", max_size=24),
        st.from_regex(
            re.compile(
                r"[12][09][0-9]{2}-[0-3][0-9]-[0-3][0-9][T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,7})?(Z|[+-][01][0-9]:[0-9]{2})"
            ),
            fullmatch=True,
        ),
        st.from_regex(re.compile(r"[a-z0-9._+-]{1,9}@[a-z0-9.-]{1,40}\.[a-z]{2,3}"), fullmatch=True),
        st.text(max_size=8),
        st.just("a" * 256),
    ),
)
@example(PLAIN_FIELDS[0], "a\n")
@example(PLAIN_FIELDS[-1], "x" * 255)
def test_the_shortcut_of_a_column_passes_only_what_the_rule_returns_unchanged(field: Field, text: str) -> None:
    assert field.plain is not None
    if (
        pc.match_substring_regex(pa.array([text]), field.plain)[0].as_py()
        and len(text.encode()) <= field.plain_length_max
    ):
        assert field.rule(text) == text


@given(day=st.dates(), offset=st.sampled_from(["Z", "+00:00", "-11:00", "+14:00"]))
def test_the_shortcut_covers_every_ordinary_day(day, offset: str) -> None:
    plain = next(field.plain for field in USAGE_FIELDS if field.name == "occurred_at")
    assert plain is not None
    text = f"{day.isoformat()}T00:00:00{offset}"
    if 1900 <= day.year <= 2099 and (day.month, day.day) != (2, 29):
        assert pc.match_substring_regex(pa.array([text]), plain)[0].as_py()
