"""What is wrong is seen: each rule on rows of the real tables."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billing_pipeline.charging.brakes import pause_charging
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alert_signals import signals_now
from billing_pipeline.notices.rules.alert_policy import read_alert_policy
from billing_pipeline.notices.rules.alert_rules import Signal
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.month_rows import complete_feed, execute, replica

WHO = Signature("ann", "prices look wrong")
NOW = datetime.now(UTC)


def seen(warehouse: Warehouse, after: timedelta = timedelta(0), **own: dict[str, int]) -> dict[str, Signal]:
    from billing_pipeline.notices.alert_policies import PACKAGED

    text = "rules: {" + ", ".join(f"{rule}: {thresholds}" for rule, thresholds in own.items()) + "}" if own else None
    policy = read_alert_policy(PACKAGED.read_text(encoding="utf-8"), text)
    found = signals_now(warehouse, load_settings(), policy, datetime.now(UTC) + after)
    return {signal.rule: signal for signal in found}


@pytest.fixture(autouse=True)
def state_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    return tmp_path


def test_an_empty_database_has_nothing_wrong(warehouse):
    assert seen(warehouse) == {}


def test_stopped_charging_is_seen(warehouse):
    pause_charging(warehouse, WHO)
    assert seen(warehouse)["charging_stopped"].summary == "No charge is made: stopped by ann: prices look wrong"
    replica(
        warehouse, "UPDATE billing.charge_brakes SET charges_enabled = true, probe_at = now(), consecutive_failures = 5"
    )
    assert seen(warehouse)["stripe_unavailable"].summary == "Stripe does not answer: 5 calls in a row had no answer"


def test_a_feed_that_stopped_is_seen(warehouse):
    complete_feed(warehouse, NOW)
    assert "feed_stopped" not in seen(warehouse, feed_stopped={"silent_h": 100_000})
    assert seen(warehouse, timedelta(days=400))["feed_stopped"].summary.startswith("No usage came since ")


def test_events_that_are_dead_or_late_are_seen(warehouse):
    for number, state in enumerate(("dead", "dead", "pending")):
        replica(
            warehouse,
            "INSERT INTO billing.stripe_events (event_id, type, source, body, key_id, body_sha256, content_sha256)"
            f" VALUES ('evt_{number}', 'invoice.paid', 'webhook', '', 'k', sha256('{number}'), sha256('{number}'))",
            "INSERT INTO billing.stripe_event_work (event_id, state, last_error, pending_since)"
            f" VALUES ('evt_{number}', '{state}', 'no such invoice', now() - interval '40 minutes')",
        )
    found = seen(warehouse)
    assert found["events_dead"].summary == "2 event(s) of Stripe's were given up, such as evt_0: no such invoice"
    assert found["events_late"].summary == "1 event(s) of Stripe's wait to be applied, such as evt_2"
    assert "events_late" not in seen(warehouse, events_late={"late_min": 45})


def test_books_that_differ_or_were_not_compared_are_seen(charging):
    warehouse = charging.warehouse
    charging.charged(Bill("ann"))
    assert "books_not_compared" not in seen(warehouse)
    assert seen(warehouse, timedelta(hours=51))["books_not_compared"].example == "the first charge"
    replica(
        warehouse,
        "INSERT INTO billing.stripe_reconciliations (window_start, charge_count, stripe_invoice_count,"
        " stripe_payment_count, stripe_refund_count, stripe_credit_note_count, difference_count, run_id)"
        " VALUES (now(), 1, 1, 1, 0, 0, 1, 'r')",
        "INSERT INTO billing.stripe_differences (reconciliation_id, difference_no, object_type, kind, stripe_id, theirs,"
        " proposed_action) SELECT reconciliation_id, 1, 'invoice', 'missing_here', 'in_1', '40.00 USD', 'look_at_it'"
        " FROM billing.stripe_reconciliations",
    )
    found = seen(warehouse)
    assert "invoice missing_here: ours none, Stripe's 40.00 USD" in found["books_differ"].summary
    assert "UTC" in seen(warehouse, timedelta(hours=51))["books_not_compared"].example


def test_disputes_are_seen_open_and_lost(charging):
    warehouse = charging.warehouse
    charging.charged(Bill("ann"))
    execute(
        warehouse,
        "INSERT INTO billing.stripe_disputes (dispute_id, invoice_id, stripe_invoice_id, charge_id, amount_minor, currency,"
        " status, reason, created_at, taken_back_minor)"
        " SELECT 'du_1', invoice_id, stripe_invoice_id, 'ch_1', 4000, 'usd', 'needs_response', 'fraudulent', now(), 4000"
        " FROM billing.stripe_charges",
    )
    assert "du_1, invoice INV-" in seen(warehouse)["dispute_open"].summary
    execute(warehouse, "UPDATE billing.stripe_disputes SET status = 'lost'")
    found = seen(warehouse)
    assert "dispute_open" not in found
    assert found["dispute_lost"].subject == "du_1"
    assert f"{found['dispute_lost'].month:%Y-%m}" == "2026-10"


def test_refusals_above_the_usual_are_seen(charging):
    warehouse = charging.warehouse
    charging.bill(Bill("pays"), *(Bill(f"c{number}", card="pm_card_chargeCustomerFail") for number in range(3)))
    charging.charge()
    assert "refusals_above_usual" not in seen(warehouse)  # ten at least
    few = {"at_least": 3}
    found = seen(warehouse, refusals_above_usual=few)["refusals_above_usual"]
    assert found.count == 3
    assert found.example == "3 of 4 attempts, usually 0.0 %, most often declined"
    assert "refusals_above_usual" not in seen(warehouse, refusals_above_usual={**few, "floor_percent": 80})
    replica(
        warehouse,
        "UPDATE billing.notices SET written_at = now() - interval '3 days' WHERE customer_id IN ('c0', 'pays')",
    )
    # usually 50 %, now 100 %: not three times as many
    assert "refusals_above_usual" not in seen(warehouse, refusals_above_usual={"at_least": 2})
    assert "refusals_above_usual" in seen(warehouse, refusals_above_usual={"at_least": 2, "times": 1})


def test_notices_that_are_late_or_given_up_are_seen(charging):
    warehouse = charging.warehouse
    charging.bill(Bill("ann"), Bill("bob"))
    assert not {"notices_late", "notices_given_up"} & seen(warehouse).keys()
    replica(
        warehouse,
        "UPDATE billing.notice_sendings SET due_at = now() - interval '2 hours'",
        "UPDATE billing.notice_sendings SET state = 'failed', last_error = '550 nobody' WHERE notice_id ="
        " (SELECT max(notice_id) FROM billing.notices)",
    )
    found = seen(warehouse)
    assert (found["notices_late"].count, found["notices_given_up"].count) == (1, 1)
    assert found["notices_given_up"].example.endswith("550 nobody")


def test_a_month_that_nobody_billed_and_a_gate_that_failed_are_seen(warehouse):
    complete_feed(warehouse, NOW)
    replica(
        warehouse,
        "INSERT INTO billing.asset_months (asset, billing_month, version) VALUES ('invoices', '2026-01-01', 3)",
        "INSERT INTO billing.gate_results (asset, billing_month, version, check_name, passed, blocking, failing_rows,"
        " evidence, run_id) VALUES ('invoices', '2026-01-01', 2, 'one_invoice_per_period', false, true, 1, '{}', 'r'),"
        " ('invoices', '2026-01-01', 3, 'one_currency', false, true, 3, '{}', 'r'),"
        " ('invoices', '2026-01-01', 3, 'no_invoice_over_cap', false, true, 2, '{}', 'r'),"
        " ('invoices', '2026-01-01', 3, 'no_invoice_over_cap', true, true, 0, '{}', 'r')",
    )
    found = seen(warehouse)
    assert found["gate_failed"].summary == "1 gate(s) of 2026-01 failed: invoices.one_currency, 3 row(s)"
    assert found["month_not_billed"].summary.endswith("was never billed")


def test_a_token_that_expires_soon_is_seen_unless_it_has_a_successor(warehouse):
    execute(
        warehouse,
        "INSERT INTO billing.api_tokens (token_id, digest, owner, role, scopes, created_at, created_by, expires_at) VALUES"
        " ('00000000000a', sha256('a'), 'platform', 'platform', '{x}', now() - interval '1 year', 'ann', now() + interval '3 days'),"
        " ('00000000000b', sha256('b'), 'guest', 'analyst', '{x}', now(), 'ann', now() + interval '3 days')",
    )
    found = seen(warehouse)["token_expires"]
    assert (found.count, found.example.partition(",")[0]) == (1, "00000000000a of platform")
    execute(
        warehouse,
        "INSERT INTO billing.api_tokens (token_id, digest, owner, role, scopes, created_by, replaces) VALUES"
        " ('00000000000c', sha256('c'), 'platform', 'platform', '{x}', 'ann', '00000000000a')",
    )
    assert "token_expires" not in seen(warehouse)


def test_a_full_disk_is_seen(warehouse, state_dir):
    assert seen(warehouse, disk_full={"free_percent": 100})["disk_full"].subject == str(state_dir)
    assert load_alert_policy(None).threshold("disk_full", "free_percent") == 10


def test_a_rule_that_is_switched_off_sees_nothing(warehouse):
    pause_charging(warehouse, WHO)
    assert "charging_stopped" not in seen(warehouse, charging_stopped="off")  # type: ignore[arg-type]
