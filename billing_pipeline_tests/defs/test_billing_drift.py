"""The asset `billing_drift`, run for real: late usage shows the next time the month is looked at, and is warned of."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from billing_pipeline.defs.running import run_month
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import OCTOBER, Event, add_customer, add_usage, at, complete_feed

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


def _late(event_id: str, customer_id: str, calls: int) -> Event:
    return Event(event_id, customer_id, "calls", calls, at("2025-10-20"), received_at=datetime.now(UTC))


def test_drift_is_shown_and_warned_of_above_the_threshold_without_stopping_the_run(
    instance: dg.DagsterInstance, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BILLING_DRIFT_MATERIAL_MINOR", "150")
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
        add_usage(warehouse, [Event(f"{customer}-1", customer, "calls", 100, at("2025-10-15"))])
    complete_feed(warehouse, at("2025-12-01"))
    [first] = run_month(instance, OCTOBER, "invoices")
    assert first.metadata["billing_drift"]["compared_invoices"] == 0
    finalise_month(warehouse, OCTOBER, "charged")

    add_usage(warehouse, [_late("ann-late", "ann", 90)])
    [small] = run_month(instance, OCTOBER, "invoices")
    assert (small.success, small.warnings) == (True, [])
    assert small.metadata["billing_drift"]["dagster/row_count"] == 1
    assert small.metadata["billing_drift"]["total_usd"] == "1.35 USD"
    assert small.metadata["usage_snapshots"]["restated_periods"] == 1
    assert "late_event" in str(small.metadata["billing_drift"]["by_reason"])

    add_usage(warehouse, [_late("bob-late", "bob", 100)])
    [large] = run_month(instance, OCTOBER, "invoices")
    assert (large.success, large.failed_checks) == (True, [])
    assert large.warnings == [
        "2025-10: 1 customer(s) would be billed differently today: bob 1.50 USD; see billing.billing_drift"
    ]
    key = dg.AssetCheckKey(dg.AssetKey("billing_drift"), "drift_is_immaterial")
    [record] = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert evaluation.metadata["customers"].value == 1


def test_drift_is_computed_though_a_draft_of_the_month_fails_its_gate(
    instance: dg.DagsterInstance, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer, status="on_hold" if customer == "bob" else "active")
        add_usage(warehouse, [Event(f"{customer}-1", customer, "calls", 100, at("2025-10-15"))])
    complete_feed(warehouse, at("2025-12-01"))
    run_month(instance, OCTOBER, "invoices")
    assert finalise_month(warehouse, OCTOBER, "charged").count == 1
    add_usage(warehouse, [_late("ann-late", "ann", 90), _late("bob-late", "bob", 100_000)])
    monkeypatch.setenv("BILLING_INVOICE_CAP_MINOR", "20000")
    [outcome] = run_month(instance, OCTOBER, "invoices")
    assert [line.split(":")[0] for line in outcome.failed_checks] == ["invoices.no_invoice_over_cap"]
    assert outcome.metadata["billing_drift"]["dagster/row_count"] == 1
