"""Distinct values and changes of levels, from usage to a final invoice, its explanation and its drift."""

from datetime import UTC, datetime

import pytest

from billing_pipeline.books.audit_chain import verify
from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.core.signature import Signature
from billing_pipeline.gates.data_quality import gate_parameters, run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import load_settings
from billing_pipeline.usage.correction import correct_usage, remove_usage
from billing_pipeline_tests.month_rows import (
    OCTOBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    complete_feed,
    event_of_ann,
    load_book,
    pass_gates,
)

BOOK = """
name: users
currency: usd
meters:
  active: {aggregation: unique, property: user, unit: user}
  seats:  {aggregation: time_weighted, events: deltas, unit: seat}
  users:  {aggregation: last, events: deltas, unit: user}
versions:
  - id: "2025"
    effective_from: 2025-01-01
    prices:
      - {meter: active, model: per_unit, unit_amount: "2"}
      - {meter: seats, model: per_unit, unit_amount: "10"}
      - {meter: users, model: per_unit, unit_amount: "1"}
"""
ANN = Signature("ann", "counted wrong")


def of_user(event_id: str, user: str | None, day: str) -> Event:
    return event_of_ann(event_id, "active", 1, day, properties=None if user is None else {"user": user})


@pytest.fixture
def october(warehouse: Warehouse) -> Warehouse:
    load_book(warehouse, BOOK)
    add_customer(warehouse, "ann")
    add_usage(
        warehouse,
        [
            of_user("a1", "a", "2025-10-02"),
            of_user("a2", "a", "2025-10-03"),
            of_user("b1", "b", "2025-10-04"),
            of_user("nobody", None, "2025-10-05"),
            of_user("old", "c", "2025-09-30"),
            event_of_ann("joined", "seats", 10, "2025-08-15"),
            event_of_ann("left", "seats", -4, "2025-10-16T12:00"),  # the middle of October
            event_of_ann("u1", "users", 5, "2025-09-15"),
            event_of_ann("u2", "users", 3, "2025-10-15"),
        ],
    )
    complete_feed(warehouse, at("2025-12-02"))
    return warehouse


def lines(warehouse: Warehouse) -> dict[str, int]:
    rows = warehouse.rows("SELECT meter, amount_minor FROM billing.invoice_line_items")
    return {row["meter"]: row["amount_minor"] for row in rows}


def drift(warehouse: Warehouse) -> set[tuple[str, int, str]]:
    bill(warehouse, OCTOBER)
    billing_drift.build(warehouse, OCTOBER, "again")
    rows = warehouse.rows("SELECT meter, difference_minor, reason FROM billing.billing_drift")
    return {(row["meter"], row["difference_minor"], row["reason"]) for row in rows}


def test_what_has_no_property_is_set_aside_and_the_rest_is_billed_explained_and_conserved(october: Warehouse) -> None:
    bill(october, OCTOBER)
    assert lines(october) == {"active": 400, "seats": 8_000, "users": 800}
    aside = october.rows("SELECT meter, reason, event_count FROM billing.usage_quarantine")
    assert [tuple(row.values()) for row in aside] == [("active", "expected the property user", 1)]
    results = run_gates(october, gates_of("usage_snapshots"), OCTOBER, "run", gate_parameters(load_settings()))
    assert [result.gate.name for result in results if not result.passed] == []
    pass_gates(october, OCTOBER)
    finalise_month(october, OCTOBER, "run")
    [explained] = explain_all(october)
    assert explained.problems == []
    [seats] = [snapshot for snapshot in explained.snapshots if snapshot.meter == "seats"]
    assert (seats.opening_level, seats.aggregation) == (10, "time_weighted of deltas")
    assert [problem for problem in verify(october).problems if "series" in problem] == []


def test_corrections_removals_and_late_changes_move_what_is_billed_by_their_reason(october: Warehouse) -> None:
    bill(october, OCTOBER)
    pass_gates(october, OCTOBER)
    finalise_month(october, OCTOBER, "run")
    assert drift(october) == set()
    remove_usage(october, ANN, event_id="b1")
    correct_usage(october, ANN, event_id="u1", quantity="6")
    add_usage(october, [event_of_ann("late", "seats", 2, "2025-07-01", received_at=datetime.now(UTC))])
    assert drift(october) == {
        ("active", -200, "corrected_event"),
        ("users", 100, "corrected_event"),
        ("seats", 2_000, "late_event"),
    }
    # what is kept of the levels is what the events come to
    kept = october.rows(
        "SELECT s.meter, l.month, l.level FROM billing.usage_delta_levels AS l JOIN billing.usage_series AS s"
        " USING (series_id) ORDER BY 1, 2"
    )
    assert [(row["meter"], f"{row['month']:%m}", int(row["level"])) for row in kept] == [
        ("seats", "07", 2), ("seats", "08", 12), ("seats", "10", 8), ("users", "09", 6), ("users", "10", 9),
    ]  # fmt: skip
    [explained] = explain_all(october)
    assert explained.problems == []


def test_a_book_that_no_longer_counts_changes_forgets_what_was_kept(october: Warehouse) -> None:
    load_book(october, BOOK.replace(", events: deltas", ""))
    assert october.scalar("SELECT count(*) FROM billing.usage_delta_levels") == 0
    bill(october, OCTOBER)
    assert lines(october)["users"] == 300
    load_book(october, BOOK)
    bill(october, OCTOBER)
    assert lines(october)["users"] == 800
