"""Which pictures a measure has, and in which order their bars stand."""

from datetime import date

from billing_pipeline.books.rules.measure_pictures import PICTURES_MAX, pictures

OCTOBER, SEPTEMBER = date(2025, 10, 1), date(2025, 9, 1)


def test_each_currency_and_meter_is_a_picture_from_the_oldest_month_to_the_newest() -> None:
    rows = [
        {"month": month, "currency": currency, "meter": meter, "minor": minor}
        for month, currency, meter, minor in (
            (OCTOBER, "eur", "calls", 5), (OCTOBER, "usd", "calls", 30), (OCTOBER, "usd", "storage", 40),
            (SEPTEMBER, "usd", "calls", 20), (SEPTEMBER, "usd", "storage", None),
        )
    ]  # fmt: skip
    found = [(one.currency, one.of, one.bars) for one in pictures(rows, ("minor",), "month", "meter")]
    assert found == [
        ("usd", "storage", [(OCTOBER, 40)]),
        ("usd", "calls", [(SEPTEMBER, 20), (OCTOBER, 30)]),
        ("eur", "calls", [(OCTOBER, 5)]),
    ]


def test_of_many_meters_those_are_drawn_whose_newest_bar_is_highest() -> None:
    rows = [{"month": OCTOBER, "meter": f"m{number}", "hours": number} for number in range(PICTURES_MAX + 5)]
    found = pictures(rows, ("hours",), "month", "meter")
    assert [one.of for one in found] == [f"m{number}" for number in range(PICTURES_MAX + 4, 4, -1)]
    assert {one.currency for one in found} == {None}
