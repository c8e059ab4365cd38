"""The JSON of commands and the API: what becomes of each kind of value, and of each name."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum

from billing_pipeline.core.shapes import shaped


class Colour(StrEnum):
    RED = "red"


def test_amounts_carry_their_currency_and_a_text_for_people():
    assert shaped({"currency": "usd", "total_minor": 101000, "paid_minor": None}) == {
        "currency": "usd",
        "total": {"amount_minor": 101000, "currency": "usd", "display": "1,010.00 USD"},
        "paid": None,
    }


def test_amounts_take_the_currency_of_the_mapping_around_theirs():
    shown = shaped({"currency": "jpy", "lines": [{"amount_minor": 5}]})
    assert shown["lines"] == [{"amount": {"amount_minor": 5, "currency": "jpy", "display": "5 JPY"}}]


def test_amounts_without_a_currency_stay_numbers():
    assert shaped({"total_minor": 5}) == {"total_minor": 5}


def test_a_billing_month_is_its_year_and_month():
    assert shaped({"billing_month": date(2026, 10, 1)}) == {"month": "2026-10"}
    assert shaped({"billing_month": None}) == {"month": None}


def test_instants_are_utc_with_microseconds_and_dates_stay_dates():
    noon = datetime(2026, 10, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert shaped({"at": noon, "on": date(2026, 10, 1)}) == {"at": "2026-10-01T10:00:00.000000Z", "on": "2026-10-01"}
    assert shaped(datetime(2026, 10, 1, tzinfo=UTC)) == "2026-10-01T00:00:00.000000Z"


def test_exact_numbers_are_texts_without_zeros_at_their_end():
    assert shaped({"rate": Decimal("0.2500"), "count": 3, "of": (Decimal("1E+2"),)}) == {
        "rate": "0.25",
        "count": 3,
        "of": ["100"],
    }


def test_what_the_database_keeps_as_json_goes_out_unchanged():
    kept = {"seats_minor": 3, "billing_month": "x"}
    assert shaped({"currency": "usd", "dimensions": kept, "evidence": None}) == {
        "currency": "usd",
        "dimensions": kept,
        "evidence": None,
    }


def test_names_are_texts_each_its_own_and_enums_stay_what_they_are_written_as():
    assert shaped({1: Colour.RED}) == {"1": "red"}
    assert shaped({True: 1}) == {"True": 1}
