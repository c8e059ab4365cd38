"""Unusual months on the table of invoices: each version of a month that has ended is judged once."""

from datetime import UTC, datetime, timedelta

from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alert_signals import signals_now
from billing_pipeline.notices.revenue_watch import list_unusual_revenue, look_at_revenue
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.month_rows import add_customer, replica

ENDED = datetime(2026, 11, 1, 13, tzinfo=UTC)


def months(customer_id: str, count: int, last_minor: int, *, last_days: int = 31) -> tuple[str, str]:
    """So many months of 100.00 each, and October, which comes to something and bills so many days."""
    period = (
        "INSERT INTO billing.billing_periods (customer_id, billing_month, currency, period_start, period_end, previous_end,"
        f" start_date, end_date, timezone) SELECT '{customer_id}', m, 'usd', m, e, nullif(m, DATE '2026-10-01' - {count} * interval '1 month'), m,"
        " e::date, 'UTC' FROM (SELECT n, (DATE '2026-10-01' - n * interval '1 month')::date AS m,"
        f" CASE n WHEN 0 THEN DATE '2026-10-01' + {last_days} ELSE DATE '2026-11-01' - n * interval '1 month' END AS e"
        f" FROM generate_series(0, {count}) AS n) AS s"
    )
    invoice = (
        "INSERT INTO billing.invoices (invoice_id, customer_id, period_id, billing_month, currency, total_minor,"
        f" line_count, run_id) SELECT period_id, customer_id, period_id, billing_month, 'usd', CASE WHEN billing_month ="
        f" '2026-10-01' THEN {last_minor} ELSE 10000 END, 0, 'r' FROM billing.billing_periods"
        f" WHERE customer_id = '{customer_id}'"
    )
    return period, invoice


def test_a_month_is_judged_when_it_has_ended_and_once_a_version(warehouse, monkeypatch, tmp_path):
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    for customer_id in ("ann", "bob", "cat", "dan", "eve"):
        add_customer(warehouse, customer_id)
    replica(
        warehouse,
        *months("ann", 8, 50000),
        *months("bob", 8, 12000),
        *months("cat", 8, 3200, last_days=10),  # the contract ended on the tenth
        *months("dan", 3, 90000),  # nobody knows yet
        *months("eve", 6, 0),
        "INSERT INTO billing.asset_months (asset, billing_month, version) VALUES ('invoices', '2026-10-01', 4)",
    )
    assert look_at_revenue(warehouse, ENDED - timedelta(days=1)) == 0
    assert look_at_revenue(warehouse, ENDED) == 2
    assert look_at_revenue(warehouse, ENDED + timedelta(hours=2)) == 0
    rows = {row["customer_id"]: row for row in list_unusual_revenue(warehouse)}
    assert set(rows) == {"ann", "eve"}
    assert (rows["ann"]["amount_minor"], rows["ann"]["spreads"] > 0 > rows["eve"]["spreads"]) == (50000, True)
    assert [row["customer_id"] for row in list_unusual_revenue(warehouse, customer_id="eve")] == ["eve"]

    def alerts(now: datetime) -> dict[str, str]:
        found = signals_now(warehouse, load_settings(), load_alert_policy(None), now)
        return {signal.rule: signal.summary for signal in found}

    assert "2 customer(s) come to unusually much or little in 2026-10, most of all" in alerts(ENDED)["revenue_unusual"]
    assert "customer eve: 0.00 USD, usually 101.67 USD" in alerts(ENDED)["revenue_unusual"]
    assert "revenue_unusual" not in alerts(ENDED + timedelta(days=8))
    replica(
        warehouse,
        "UPDATE billing.invoices SET total_minor = 10000 WHERE billing_month = '2026-10-01'",
        "UPDATE billing.asset_months SET version = 5",
    )
    assert look_at_revenue(warehouse, ENDED + timedelta(minutes=30)) == 0  # not twice an hour
    look_at_revenue(warehouse, ENDED + timedelta(hours=2))
    assert [row["customer_id"] for row in list_unusual_revenue(warehouse)] == ["cat"]
