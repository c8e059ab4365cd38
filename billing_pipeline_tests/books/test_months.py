"""Where each month stands, and which of them is owed."""

from datetime import date

import pytest

from billing_pipeline.books.months import ended_last, month_states, months_to_bill, months_to_charge, overdue_months
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    OCTOBER,
    SEPTEMBER,
    add_usage,
    at,
    bill,
    event_of_ann,
    execute,
    pass_gates,
)

AUGUST, NOVEMBER, DECEMBER = date(2025, 8, 1), date(2025, 11, 1), date(2025, 12, 1)


def states(warehouse: Warehouse, now: str) -> dict[str, str]:
    return {f"{month.billing_month:%Y-%m}": month.state for month in month_states(warehouse, at(now))}


@pytest.fixture
def drafted(billed: Warehouse) -> Warehouse:
    """September drafted, October and November not."""
    for number, month in enumerate((9, 10, 11)):
        add_usage(billed, [event_of_ann(f"e{number}", "calls", 100, f"2025-{month:02}-15")])
    bill(billed, SEPTEMBER)
    return billed


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2025-11-01T11:59", SEPTEMBER),
        ("2025-11-01T12:00", OCTOBER),
        ("2026-01-31", DECEMBER),
        ("2026-01-01", NOVEMBER),
    ],
)
def test_a_month_has_ended_when_it_has_in_the_last_time_zone(now: str, month: date) -> None:
    assert ended_last(at(now)) == month


def test_every_month_since_the_last_billed_one_is_owed(drafted: Warehouse) -> None:
    """The daemon was down on the 1st of November and of December; only December's tick is evaluated."""
    tick = at("2025-12-01T12:00")
    assert states(drafted, "2025-12-01T12:00") == {
        "2025-09": "not_charged", "2025-10": "not_billed", "2025-11": "not_billed"
    }  # fmt: skip
    assert months_to_bill(drafted, tick) == [OCTOBER, NOVEMBER]
    assert months_to_charge(drafted, tick, 62) == [SEPTEMBER]
    assert months_to_charge(drafted, tick, 60) == [], "too old: a run would be told so again and again"
    bill(drafted, NOVEMBER)
    assert months_to_bill(drafted, tick) == [OCTOBER, NOVEMBER], "a gap before a billed month is owed as well"


def test_where_nothing_was_billed_yet_only_the_month_that_ended_last_is_owed(billed: Warehouse) -> None:
    assert months_to_bill(billed, at("2025-12-01T12:00")) == [NOVEMBER]
    assert month_states(billed, at("2025-12-01T12:00")) == []


def test_a_month_is_overdue_a_day_after_its_end_without_drafts_and_later_without_charges(drafted: Warehouse) -> None:
    assert overdue_months(drafted, at("2025-10-05T11:59"), 5 - 1) == []
    assert [str(late) for late in overdue_months(drafted, at("2025-10-05T12:00"), 4)] == [
        "2025-09: 1 draft(s) were never finalised and charged"
    ]
    late = overdue_months(drafted, at("2025-11-02T12:00"), 62)
    assert [str(month) for month in late] == ["2025-10: was never billed"]


def test_drafts_on_hold_and_charges_without_an_answer_are_told_apart(drafted: Warehouse) -> None:
    execute(
        drafted,
        "INSERT INTO billing.holds (subject_type, subject, reason, author) VALUES ('customer', 'ann', 'why', 'bob')",
    )
    assert states(drafted, "2025-10-05") == {"2025-09": "on_hold"}
    execute(drafted, "UPDATE billing.holds SET released_at = now(), released_by = 'bob', release_reason = 'well'")
    pass_gates(drafted, SEPTEMBER)
    assert finalise_month(drafted, SEPTEMBER, "run").count == 1
    assert states(drafted, "2025-10-05") == {"2025-09": "charging"}
    assert months_to_charge(drafted, at("2025-10-05"), 62) == [SEPTEMBER]
