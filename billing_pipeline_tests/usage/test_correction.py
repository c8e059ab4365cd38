"""A correction is another event with an author and a reason; what it corrects stays as it was."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.correction import MissingEvent, correct_usage, remove_usage
from billing_pipeline.usage.correction_store import CorrectionRefused
from billing_pipeline.usage.importing import import_usage
from billing_pipeline_tests.month_rows import Event, add_customer, add_usage, execute, load_book

AT = datetime(2026, 10, 5, tzinfo=UTC)
BY: dict[str, Any] = {"signature": Signature("ada", "meter was stuck")}
MISSING: dict[str, Any] = {
    "customer_id": "0042",
    "meter": "licenses",
    "dimensions": {"tier": "basic"},
    "occurred_at": AT,
}


@pytest.fixture
def imported(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    file = tmp_path / "usage.csv"
    file.write_text(
        "event_id,customer_id,meter,dimensions,quantity,occurred_at\n"
        'wrong,0042,licenses,"{""tier"": ""basic""}",5,2026-10-05T00:00:00Z\n'
    )
    import_usage(warehouse, file)
    add_customer(warehouse, "0042")
    return warehouse


def event(warehouse: Warehouse, event_id: str) -> dict[str, Any]:
    (row,) = warehouse.rows("SELECT * FROM billing.usage_events WHERE event_id = :id", id=event_id)
    return row


def counts(warehouse: Warehouse) -> tuple[int, ...]:
    tables = ("usage_events", "usage_corrections", "usage_imports", "automation_log")
    return tuple(warehouse.scalar(f"SELECT count(*) FROM billing.{table}") for table in tables)


def correct(
    warehouse: Warehouse, signature: Signature, *, quantity: Any, event_id: str | None = None, **missing: Any
) -> str:
    return correct_usage(warehouse, signature, quantity=quantity, event_id=event_id, missing=MissingEvent(**missing))


def refusal(warehouse: Warehouse, **given: Any) -> str:
    before = counts(warehouse)
    with pytest.raises(CorrectionRefused) as caught:
        correct(warehouse, **(BY | given))
    assert counts(warehouse) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_correction_takes_the_place_of_its_event_in_the_same_series_at_the_same_instant(imported: Warehouse) -> None:
    wrong = event(imported, "wrong")
    event_id = correct(imported, **BY, event_id="wrong", quantity="7.50")
    right = event(imported, event_id)
    same = ("customer_id", "meter", "dimensions", "occurred_at", "series_id")
    assert [right[name] for name in same] == [wrong[name] for name in same]
    assert right["quantity"] == Decimal("7.5")
    assert event(imported, "wrong") == wrong
    [written] = imported.rows("SELECT * FROM billing.usage_corrections")
    assert written == {
        "event_id": event_id, "corrects_event_id": "wrong", "author": "ada", "reason": "meter was stuck",
        "removes": False, "place_event_id": "wrong", "place_received_at": wrong["received_at"],
    }  # fmt: skip
    (record,) = imported.rows("SELECT * FROM billing.usage_imports WHERE source = 'correction'")
    assert (record["row_count"], record["new_event_count"], record["content_sha256"]) == (1, 1, None)
    assert (record["oldest_new_at"], record["newest_at"], record["complete_through"]) == (AT, AT, None)
    assert record["received_at"] == right["received_at"] > wrong["received_at"]


def test_a_correction_is_in_the_audit_log_with_before_and_after(imported: Warehouse) -> None:
    event_id = correct(imported, **BY, event_id="wrong", quantity=7)
    (entry,) = imported.rows("SELECT * FROM billing.automation_log")
    assert (entry["actor"], entry["action"], entry["reason"]) == ("ada", "usage.correct", "meter was stuck")
    assert (entry["object_type"], entry["object_id"]) == ("usage_event", "wrong")
    assert (entry["state_before"]["event_id"], entry["state_before"]["quantity"]) == ("wrong", 5)
    assert (entry["state_after"]["event_id"], entry["state_after"]["quantity"]) == (event_id, 7)


def test_a_correction_is_corrected_by_correcting_the_correction(imported: Warehouse) -> None:
    first = correct(imported, **BY, event_id="wrong", quantity="7")
    said = refusal(imported, event_id="wrong", quantity="8")
    assert said == f'event_id "wrong": already corrected by {first}, correct that one instead'
    second = correct(imported, **BY, event_id=first, quantity="5")
    assert event(imported, second)["quantity"] == 5


def test_a_correction_of_a_correction_keeps_the_place_of_the_first_event(imported: Warehouse) -> None:
    wrong = event(imported, "wrong")
    first = correct(imported, **BY, event_id="wrong", quantity="7")
    correct(imported, **BY, event_id=first, quantity="8")
    places = imported.rows("SELECT DISTINCT place_event_id, place_received_at FROM billing.usage_corrections")
    assert places == [{"place_event_id": "wrong", "place_received_at": wrong["received_at"]}]


def test_an_event_is_removed_once_and_the_log_says_by_whom(imported: Warehouse) -> None:
    removal = remove_usage(imported, BY["signature"], event_id="wrong")
    gone = imported.rows("SELECT event_id, corrected_by FROM billing.corrected_events ORDER BY event_id")
    assert gone == [{"event_id": removal, "corrected_by": removal}, {"event_id": "wrong", "corrected_by": removal}]
    (entry,) = imported.rows("SELECT * FROM billing.automation_log")
    assert (entry["actor"], entry["action"], entry["object_id"]) == ("ada", "usage.remove", "wrong")
    assert (entry["state_before"]["quantity"], entry["state_after"]) == (5, None)
    again = f'event_id "wrong": removed already by {removal}; add it again as a missing event'
    assert refusal(imported, event_id="wrong", quantity="3") == again
    with pytest.raises(CorrectionRefused, match="removed already"):
        remove_usage(imported, BY["signature"], event_id="wrong")
    assert "it removes another event" in refusal(imported, event_id=removal, quantity="3")


def test_a_correction_can_be_removed_and_what_it_corrected_stays_away(imported: Warehouse) -> None:
    correction = correct(imported, **BY, event_id="wrong", quantity="7")
    remove_usage(imported, BY["signature"], event_id=correction)
    left = "SELECT event_id FROM billing.usage_events WHERE event_id NOT IN (SELECT event_id FROM billing.corrected_events)"
    assert imported.rows(left) == []


def test_the_database_takes_no_correction_of_a_removal(imported: Warehouse) -> None:
    removal = remove_usage(imported, BY["signature"], event_id="wrong")
    add_usage(imported, [Event("x", "0042", "licenses", 1, AT, {"tier": "basic"})])
    with pytest.raises(IntegrityError, match="a removal is not corrected"):
        execute(imported, "INSERT INTO billing.usage_corrections VALUES ('x', :removal, 'ada', 'why')", removal=removal)


def test_a_missing_event_is_added(imported: Warehouse) -> None:
    event_id = correct(imported, **BY, **MISSING, quantity=Decimal("0.000000000001"))
    added = event(imported, event_id)
    assert (added["customer_id"], added["quantity"], added["occurred_at"]) == ("0042", Decimal("1e-12"), AT)
    assert added["series_id"] == event(imported, "wrong")["series_id"]
    assert imported.scalar("SELECT corrects_event_id FROM billing.usage_corrections") is None
    (entry,) = imported.rows("SELECT * FROM billing.automation_log")
    assert (entry["object_id"], entry["state_before"]) == (event_id, None)


def test_the_same_addition_given_twice_counts_once(imported: Warehouse) -> None:
    event_id = correct(imported, **BY, **MISSING, quantity="3")
    assert refusal(imported, **MISSING, quantity="3.0") == (
        f"this event was added already, as {event_id}; a second one needs a reason of its own"
    )
    other = correct(imported, Signature("ada", "and another"), **MISSING, quantity="3")
    assert other != event_id


def test_an_added_event_is_of_a_meter_of_the_customers_price_book(imported: Warehouse) -> None:
    load_book(imported)
    assert refusal(imported, **MISSING | {"meter": "minutes"}, quantity="3").startswith(
        'meter "minutes": expected one of calls, '
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"event_id": "nobody", "quantity": "1"}, 'event_id "nobody": expected a stored event, found none'),
        ({"event_id": "wrong", "quantity": "5.0"}, 'event_id "wrong": its quantity is 5.0 already'),
        ({"event_id": "wrong", "quantity": "many"}, 'quantity "many": expected a decimal number with at most 12 places'),
        ({"event_id": "wrong", "quantity": Decimal("NaN")}, 'quantity "NaN": expected a decimal number with at most 12 places'),
        ({"event_id": "wrong", "quantity": "1", "meter": "users"}, "expected either an event_id, or the customer_id, meter, dimensions and occurred_at of a missing event"),
        ({"quantity": "1"}, "expected an event_id to correct, or the customer_id, meter and occurred_at of a missing event"),
        (MISSING | {"quantity": "1", "customer_id": "0043"}, 'customer_id "0043": expected a customer, found none'),
        (MISSING | {"quantity": "1", "meter": ""}, 'meter "": expected 1 to 255 characters without control characters'),
        (MISSING | {"quantity": "1", "customer_id": "a\nb"}, 'customer_id "a\\nb": expected 1 to 255 characters without control characters'),
        (MISSING | {"quantity": "1", "occurred_at": datetime(2026, 10, 5)}, 'occurred_at "2026-10-05T00:00:00": expected an instant'),
        (MISSING | {"quantity": "1", "dimensions": {"tier": 1}}, 'dimensions "{"tier": 1}": expected a JSON object of texts'),
    ],
)  # fmt: skip
def test_a_wrong_correction_is_refused_in_one_line(imported: Warehouse, given: dict[str, Any], said: str) -> None:
    assert refusal(imported, **given).startswith(said)


def test_a_correction_keeps_the_properties_and_a_missing_event_may_have_some(imported: Warehouse) -> None:
    users = "SELECT properties FROM billing.usage_events WHERE event_id = :event_id"
    missing: dict[str, Any] = {"customer_id": "0042", "meter": "users", "occurred_at": AT, "properties": {"user": "u1"}}
    added = correct(imported, **BY, quantity=1, **missing)
    corrected = correct(imported, **BY, event_id=added, quantity=2)
    assert [imported.scalar(users, event_id=one) for one in (added, corrected)] == [{"user": "u1"}] * 2
    assert "either an event_id" in refusal(imported, event_id="wrong", quantity=3, properties={"user": "u1"})
