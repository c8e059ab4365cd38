"""The job `bill_customer`, run for real: one customer's drafts, then the gates of the month."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from billing_pipeline.defs.run_records import runs_of_month
from billing_pipeline.defs.running import CUSTOMER, STARTED_BY, charge_month, run_customer, run_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.commands import refused, said
from billing_pipeline_tests.month_rows import OCTOBER, Event, add_customer, add_usage, at, complete_feed

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@pytest.fixture
def platform(instance: dg.DagsterInstance, warehouse: Warehouse) -> Warehouse:
    """October of two customers is drafted; then an event came for each."""
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
        add_usage(warehouse, [Event(f"{customer}1", customer, "calls", 110, at("2025-10-15"))])
    complete_feed(warehouse, at("2025-12-01"))
    [drafted] = run_month(instance, OCTOBER, "invoices")
    assert drafted.success
    for customer in ("ann", "bob"):
        late = Event(f"{customer}2", customer, "calls", 100, at("2025-10-16"), received_at=datetime.now(UTC))
        add_usage(warehouse, [late])
    return warehouse


def drafts(warehouse: Warehouse) -> dict[str, int]:
    found = warehouse.rows("SELECT customer_id, total_minor FROM billing.invoices WHERE status = 'draft'")
    return {row["customer_id"]: row["total_minor"] for row in found}


def test_one_customer_is_drafted_and_the_gates_of_the_month_pass_for_the_rows_of_all(
    instance: dg.DagsterInstance, platform: Warehouse
) -> None:
    assert drafts(platform) == {"ann": 1150, "bob": 1150}
    outcome = run_customer(instance, OCTOBER, "ann", tags={STARTED_BY: "zoe"})
    assert (outcome.success, outcome.failed_checks, outcome.errors) == (True, [], [])
    assert drafts(platform) == {"ann": 1300, "bob": 1150}
    assert platform.rows("SELECT * FROM billing.unmet_gates(:m)", m=OCTOBER) == []
    run = instance.get_run_by_id(outcome.run_id)
    assert run is not None
    assert (run.tags[CUSTOMER], run.tags[STARTED_BY], run.tags["dagster/partition"]) == ("ann", "zoe", "2025-10-01")
    [newest, _] = runs_of_month(platform.dagster_url.render_as_string(hide_password=False), OCTOBER)
    assert (newest.job, newest.state, newest.author) == ("bill_customer", "success", "zoe")


@pytest.mark.usefixtures("stripe_of_commands")
def test_what_was_drafted_alone_is_charged_and_what_is_outdated_waits(
    instance: dg.DagsterInstance, platform: Warehouse
) -> None:
    run_customer(instance, OCTOBER, "ann")
    charge_month(instance, OCTOBER, charge_old_month=True, tags={STARTED_BY: "zoe"})
    assert platform.rows("SELECT customer_id, total_minor FROM billing.invoices WHERE status <> 'draft'") == [
        {"customer_id": "ann", "total_minor": 1300}
    ]
    refused = run_customer(instance, OCTOBER, "ann")
    assert (refused.success, len(refused.errors)) == (False, 1)
    assert "customer ann: invoice INV-00000001 of 2025-10 is final and stays as it is" in refused.errors[0]


def test_a_gate_that_another_customers_rows_fail_is_named_and_the_draft_is_made(
    instance: dg.DagsterInstance, platform: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLING_INVOICE_CAP_MINOR", "1200")
    outcome = run_customer(instance, OCTOBER, "ann")
    assert not outcome.success
    assert drafts(platform)["ann"] == 1300
    [failed] = outcome.failed_checks
    assert failed.startswith("invoices.no_invoice_over_cap: 1 row(s) fail.")
    assert outcome.errors == [
        "customer ann is drafted; 2025-10 is not charged before 1 gate(s) of all its customers' rows pass"
    ]
    assert len(platform.rows("SELECT * FROM billing.unmet_gates(:m)", m=OCTOBER)) == 1


def test_the_command_drafts_one_customer_and_charges_nobody(instance: dg.DagsterInstance, platform: Warehouse) -> None:
    month = ("run", "--month", "2025-10")
    out = said(*month, "--customer", "ann", "--author", "zoe")
    assert out.startswith("bill_customer: passed")
    assert out.endswith(": 13.00 USD, 2 line(s)")
    assert drafts(platform) == {"ann": 1300, "bob": 1150}
    assert platform.scalar("SELECT count(*) FROM billing.invoices WHERE status <> 'draft'") == 0
    assert 'customer "nobody"' in refused(*month, "--customer", "nobody")
    never = refused("run", "--month", "2025-11", "--customer", "ann")
    assert never.startswith("month 2025-11 has not been drafted")
    for wrong in (("--through", "stripe_charges"), ("--charge-old-month",), ("--shadow",)):
        assert "--customer drafts" in refused(*month, "--customer", "ann", *wrong, exit_code=2)
    assert len(instance.get_runs(dg.RunsFilter(job_name="bill_customer"))) == 1
