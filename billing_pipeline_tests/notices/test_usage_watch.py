"""Unusual hours on the table of events: judged once, when the feed has passed them."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alert_signals import signals_now
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.usage_watch import list_unusual, look_at_usage
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.month_rows import add_customer, complete_feed, execute, load_book

TEN = datetime(2026, 10, 28, 10, tzinfo=UTC)
WEEK = timedelta(weeks=1)


@pytest.fixture
def used(warehouse: Warehouse) -> Warehouse:
    """Nine weeks of 40 calls at ten o'clock; dan's last hour is empty, eve's is tenfold, clusters are a level."""
    load_book(warehouse)
    for week in range(9):
        for customer, count in (("ann", 40), ("dan", 40 if week else 0), ("eve", 40 if week else 400)):
            execute(warehouse, _USED, c=customer, m="calls", at=TEN - week * WEEK, n=count)
        execute(warehouse, _USED, c="ann", m="clusters", at=TEN - week * WEEK, n=40 if week else 400)
    return warehouse


def test_what_is_unusual_is_found_once_when_the_feed_has_passed_it(used, monkeypatch, tmp_path):
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    now = TEN + timedelta(hours=3)
    assert look_at_usage(used, now) == 0  # nobody said how far the feed is
    complete_feed(used, TEN + timedelta(minutes=59))
    assert look_at_usage(used, now) == 0
    complete_feed(used, TEN + timedelta(hours=1, minutes=5))
    assert look_at_usage(used, now) == 2
    assert look_at_usage(used, now) == 0
    rows = {row["customer_id"]: row for row in list_unusual(used)}
    assert set(rows) == {"dan", "eve"}
    assert (rows["dan"]["quantity"], rows["dan"]["usual_quantity"]) == (0, 40)
    assert rows["dan"]["spreads"] < 0 < rows["eve"]["spreads"]
    assert [row["customer_id"] for row in list_unusual(used, customer_id="eve")] == ["eve"]
    found = {signal.rule: signal for signal in signals_now(used, load_settings(), load_alert_policy(None), now)}
    assert found["usage_unusual"].count == 2
    assert "customer dan, meter calls, 2026-10-28 10:00 UTC: 0, usually 40" in found["usage_unusual"].example


def test_a_customer_hears_of_more_than_usual_once_a_meter_and_day(used):
    for customer in ("dan", "eve"):
        add_customer(used, customer, timezone="Asia/Tokyo", currency="usd")
    complete_feed(used, TEN + timedelta(hours=1, minutes=5))
    look_at_usage(used, TEN + timedelta(hours=3))
    [notice] = list_notices(used)
    assert (notice["kind"], notice["customer_id"]) == ("usage_unusual", "eve")
    assert notice["facts"] == {
        "meter": "calls", "unit": "call", "quantity": "400", "usual_quantity": "40",
        "used_on": "2026-10-28", "hour_from": "19:00", "hour_to": "20:00",
    }  # fmt: skip
    again = "INSERT INTO billing.unusual_usage SELECT :hour, customer_id, meter, quantity, usual_quantity, spreads"
    for hour in (TEN + timedelta(hours=1), TEN + timedelta(hours=6)):  # the same day, the next one in Tokyo
        execute(used, "INSERT INTO billing.usage_looks (hour, series_count) VALUES (:hour, 1)", hour=hour)
        execute(used, f"{again} FROM billing.unusual_usage WHERE hour = :ten", hour=hour, ten=TEN)
    assert [row["facts"]["used_on"] for row in list_notices(used)] == ["2026-10-29", "2026-10-28"]


def test_hours_that_were_missed_are_made_up_for_a_day_at_most(used):
    complete_feed(used, TEN)
    look_at_usage(used, TEN)
    complete_feed(used, TEN + timedelta(days=3))
    for _ in range(5):
        look_at_usage(used, TEN + timedelta(days=3))
    hours = [row["hour"] for row in used.rows("SELECT hour FROM billing.usage_looks ORDER BY hour")]
    assert (len(hours), hours[1], hours[-1]) == (
        25,
        TEN + timedelta(days=2),
        TEN + timedelta(days=3) - timedelta(hours=1),
    )


_USED = """
INSERT INTO billing.usage_events (event_id, customer_id, meter, quantity, occurred_at)
SELECT concat_ws('-', CAST(:c AS text), CAST(:m AS text), CAST(:at AS timestamptz), n), :c, :m, 1, CAST(:at AS timestamptz) + n * interval '1 second'
FROM generate_series(1, :n) AS n
"""
