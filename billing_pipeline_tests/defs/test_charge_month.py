"""The job `charge_month` and the janitor, run for real against an emulator: brakes are named where operators look."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from billing_pipeline.charging.brakes import pause_charging, resume_charging
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_notes import issue_credit_note
from billing_pipeline.definitions import defs
from billing_pipeline.defs.charge_follow_ups import charges_to_follow_up
from billing_pipeline.defs.running import charge_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill, Emulated, World, invoice_id_of
from billing_pipeline_tests.commands import billing
from billing_pipeline_tests.dagster_home import BillingAt
from billing_pipeline_tests.month_rows import move_charges

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@pytest.fixture
def world(warehouse: Warehouse, stripe_of_commands: Emulated) -> World:
    """A month that is charged by jobs and commands."""
    return World(warehouse, stripe_of_commands)


def logged(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What a run's log says as a warning."""
    entries = (record.event_log_entry for record in instance.get_records_for_run(run_id).records)
    return [entry.user_message for entry in entries if entry.level == logging.WARNING and not entry.is_dagster_event]


def follow_up(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("follow_up_charges").execute_in_process(
        instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )


def tick(instance: dg.DagsterInstance, **ahead: float) -> Any:
    now = (datetime.now(UTC) + timedelta(**ahead)).isoformat()
    context = dg.build_sensor_context(instance, resources={"billing": BillingAt(at=now)})
    return charges_to_follow_up(context)


def test_a_month_is_charged_and_no_brake_is_named(world: World, instance: dg.DagsterInstance) -> None:
    world.drafts(Bill("a"), Bill("b", card=None))
    outcome = charge_month(instance, MONTH)
    assert (outcome.success, outcome.warnings, outcome.failed_checks, outcome.errors) == (True, [], [], [])
    assert outcome.metadata["stripe_charges"]["brakes"] == "none"


def test_a_pause_is_named_by_the_run_its_check_and_the_command_and_nothing_is_finalised(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.drafts(Bill("a"))
    assert billing("charges", "pause", "--author", "ann", "--reason", "wrong prices").exit_code == 0
    outcome = charge_month(instance, MONTH)
    said = "charging_paused: charging is paused by ann: wrong prices"
    assert (outcome.success, outcome.is_held_back, outcome.errors, outcome.warnings) == (False, True, [], [said])
    assert outcome.metadata["stripe_charges"]["brakes"] == said
    assert world.warehouse.scalar("SELECT status FROM billing.invoices") == "draft"
    assert logged(instance, outcome.run_id) == [
        f"brake {said}; what helps: `billing charges status` says why and since when, `billing charges resume` ends it"
    ]
    assert f"brake on: {said}" in billing("charges", "status").stdout
    assert billing("charges", "resume", "--author", "ann", "--reason", "right now").exit_code == 0
    assert charge_month(instance, MONTH).warnings == []
    assert world.states() == {"a": ("paid", None)}


def test_an_old_month_is_charged_only_if_the_runs_config_says_so(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLING_CHARGE_AGE_MAX_DAYS", "1")
    world.drafts(Bill("a"))
    outcome = charge_month(instance, MONTH)
    assert (outcome.success, outcome.is_held_back) == (False, True), (
        "a run that says so, and not a warning nobody reads"
    )
    [warning] = outcome.warnings
    assert warning.startswith("month_too_old: 2026-10 ended ")
    [line] = logged(instance, outcome.run_id)
    assert line == f"brake {warning}; what helps: `billing run --month 2026-10 --charge-old-month`"
    assert world.warehouse.scalar("SELECT status FROM billing.invoices") == "draft"
    assert charge_month(instance, MONTH, charge_old_month=True).warnings == []
    assert world.states() == {"a": ("paid", None)}


def test_a_run_during_an_outage_ends_pending_and_the_next_goes_on(world: World, instance: dg.DagsterInstance) -> None:
    world.drafts(Bill("a"), Bill("b"))
    world.stripe.fault("drop_before_effect", "**")
    outcome = charge_month(instance, MONTH)
    assert (outcome.success, outcome.errors, outcome.failed_checks) == (True, [], [])
    assert outcome.metadata["stripe_charges"]["pending"] == {"connection_lost": 2}
    assert any("Stripe could not be asked" in warning for warning in outcome.warnings)
    world.stripe.heal()
    assert charge_month(instance, MONTH).warnings == []
    assert set(world.states().values()) == {("paid", None)}


def test_a_cap_is_named(world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLING_RUN_CAP_MINOR", "5000")
    world.drafts(Bill("a"), Bill("b"))
    [warning, *_] = [line for line in charge_month(instance, MONTH).warnings if "over_run_cap" in line]
    assert "charges of 8000 usd in one run are over BILLING_RUN_CAP_MINOR, 5000" in warning
    assert {state for state, _ in world.states().values()} == {"intended"}


def test_the_janitor_asks_for_a_run_that_goes_on_with_what_was_left(world: World, instance: dg.DagsterInstance) -> None:
    world.bill(Bill("a"))
    assert tick(instance).skip_message == "no charge is due"
    requests = [tick(instance, minutes=6), tick(instance, minutes=17)]
    assert all(isinstance(request, dg.RunRequest) for request in requests)
    assert requests[0].run_key != requests[1].run_key
    with world.warehouse.transaction() as connection:
        connection.execute(text("UPDATE billing.charge_follow_ups SET due_at = now()"))
    result = follow_up(instance)
    assert result.success
    assert world.states() == {"a": ("paid", None)}
    [observation] = [event for event in result.all_events if event.event_type == dg.DagsterEventType.ASSET_OBSERVATION]
    assert observation.asset_observation_data.asset_observation.partition == MONTH.isoformat()


def test_the_janitor_rests_while_a_brake_is_on_and_says_which(world: World, instance: dg.DagsterInstance) -> None:
    world.bill(Bill("a"))
    pause_charging(world.warehouse, Signature("ann", "stop"))
    assert tick(instance, minutes=6).skip_message == "charging_paused: charging is paused by ann: stop"
    resume_charging(world.warehouse, Signature("ann", "go"))
    assert isinstance(tick(instance, minutes=6), dg.RunRequest)


def test_the_janitor_leaves_a_month_to_the_run_that_charges_it(world: World, instance: dg.DagsterInstance) -> None:
    world.bill(Bill("a"))
    job = defs.resolve_job_def("charge_month")
    run = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": MONTH.isoformat()}
    )
    assert tick(instance, minutes=6).skip_message == "no charge is due"
    instance.report_run_canceled(run)
    assert isinstance(tick(instance, minutes=6), dg.RunRequest)


def test_the_story_of_an_invoice_is_told_and_a_retry_is_part_of_it(world: World) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    done = billing("charges", "retry", "INV-00000001", "--author", "ann", "--reason", "they called")
    assert (done.exit_code, done.stderr) == (3, ""), "a person has to look at it again"
    assert "INV-00000001 is refused, attempt 2: declined" in done.stdout
    listed = billing("charges", "list", "--state", "refused").stdout
    assert listed.splitlines()[1].split()[:7] == ["INV-00000001", "a", "2026-10", "40.00", "USD", "refused", "2"]
    told = billing("charges", "show", invoice_id_of("a")).stdout
    for part in (
        "INV-00000001 (open)",
        "charge.retry  state refused -> finalized, attempt 1 -> 2  they called",
        "stripe.invoice.pay",
        "req_",
        world.charges()["a"]["stripe_invoice_id"],
        json.dumps(world.charges()["a"]["request_sha256"].hex()).strip('"'),
    ):
        assert part in told


def test_a_parked_charge_is_voided_only_where_nothing_else_stands_on_its_invoice(world: World) -> None:
    world.bill(Bill("a", card=None))
    world.charge()
    signature = Signature("ann", "goodwill")
    issue_credit_note(world.warehouse, world.gateway(), "INV-00000001", signature, amount_minor=100)
    move_charges(world.warehouse, "state = 'parked', reason_code = 'x', reason = 'x'")
    refused = billing("charges", "unpark", "INV-00000001", "--void", "--author", "ann", "--reason", "wrong")
    assert refused.exit_code == 1
    assert "INV-00000001 is not voided: a credit note has changed what is owed" in refused.stderr
    assert world.states()["a"][0] == "parked"


def test_a_parked_charge_is_voided_by_the_command(world: World) -> None:
    world.bill(Bill("a", card=None))
    world.charge()
    move_charges(world.warehouse, "state = 'parked', reason_code = 'x', reason = 'x'")
    done = billing("charges", "unpark", "INV-00000001", "--void", "--author", "ann", "--reason", "wrong")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "INV-00000001 is void" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "INV-9"], "INV-9: no finalised invoice has this id or number"),
        (["retry", "INV-9", "--author", "a", "--reason", "r"], "INV-9: no finalised invoice"),
        (["unpark", "INV-9", "--author", "a", "--reason", "r"], "expected either --adopt in_… or --void"),
        (["unpark", "INV-9", "--void", "--adopt", "in_1", "--author", "a", "--reason", "r"], "expected either --adopt"),
        (["pause", "--author", " ", "--reason", "r"], 'author "": expected a text, for the audit log'),
        (["resume", "--author", "a", "--reason", "r"], "charging is not paused"),
        (["release", "2026-10", "--author", "a", "--reason", "r"], "month 2026-10 has no charge that waits"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("world")
def test_what_an_operator_cannot_do_is_one_line(arguments: list[str], says: str) -> None:
    result = billing("charges", *arguments)
    assert result.exit_code == 1
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert says in line


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("BILLING_RETRY_DAYS", "3,1", "expected rising whole days such as 1,3,7,14, or none"),
        ("BILLING_RETRY_DAYS", "soon", "expected rising whole days"),
        ("BILLING_CANARY_REFUSALS_MAX_PERCENT", "101", "expected a whole number from 0 to 100"),
        ("BILLING_RUN_CAP_MINOR", "-1", "expected a whole number above 0"),
        ("BILLING_CHARGE_AGE_MAX_DAYS", "0", "expected a whole number above 0"),
    ],
)
@pytest.mark.usefixtures("world")
def test_a_setting_of_charging_that_cannot_work_is_named(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, says: str
) -> None:
    monkeypatch.setenv(setting, value)
    [line] = billing("charges", "status").stderr.strip().splitlines()
    assert line.startswith(f"Error: {setting}='{value}': ")
    assert says in line
