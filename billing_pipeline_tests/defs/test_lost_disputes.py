"""A lost dispute is alarmed of by the daily comparison and listed by the command, until somebody decides."""

import json

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from billing_pipeline.cli import main
from billing_pipeline.definitions import defs
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Bill, Emulated
from billing_pipeline_tests.events.world import EventWorld

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@pytest.fixture
def world(warehouse: Warehouse, stripe_of_commands: Emulated) -> EventWorld:
    return EventWorld(warehouse, stripe_of_commands)


def _check(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    done = defs.resolve_job_def("reconcile_stripe").execute_in_process(
        instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )
    [found] = [c for c in done.get_asset_check_evaluations() if c.check_name == "lost_disputes_are_decided"]
    return found


def billing(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_a_lost_dispute_is_alarmed_of_until_somebody_decides(instance: dg.DagsterInstance, world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.catch_up()
    made = billing("emulator", "dispute", "INV-00000001")
    assert (made.exit_code, made.stderr) == (0, "")
    dispute = made.stdout.split()[0]
    world.catch_up()
    assert _check(instance).passed
    signed = ("--author", "ann", "--reason", "the goods never arrived")
    accepted = billing("disputes", "accept", dispute, *signed)
    assert (accepted.exit_code, accepted.stdout.splitlines()[0]) == (0, f"{dispute} of INV-00000001 is lost")
    failed = _check(instance)
    assert (failed.passed, failed.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert failed.description == (
        f"1 dispute(s) are lost, such as {dispute} of 40.00 USD of INV-00000001: `billing disputes list`"
    )
    [row] = json.loads(billing("disputes", "list", "--json").stdout)["disputes"]
    assert (row["dispute_id"], row["waits_for_a_person"], row["taken_back"]["amount_minor"]) == (dispute, True, 4000)
    [shown] = json.loads(billing("invoices", "show", "INV-00000001", "--json").stdout)["disputes"]
    assert (shown["dispute_id"], shown["status"]) == (dispute, "lost")
    assert dispute in billing("customers", "show", "a").stdout
    done = billing("disputes", "collect-again", dispute, *signed)
    assert done.stdout.startswith("40.00 USD of INV-00000001 will be on the next invoice of a")
    again = billing("disputes", "write-off", dispute, *signed)
    assert (again.exit_code, "ann has decided already" in again.stderr) == (1, True)
    assert _check(instance).passed
    assert billing("emulator", "dispute", dispute, "--ends", "won").exit_code == 1


def test_a_customer_that_is_gone_is_named_and_relinked(world: EventWorld) -> None:
    world.bill(Bill("a"))
    gone = str(world.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers"))
    world.stripe.control("POST", f"/dashboard/customers/{gone}/delete", {})
    world.charge()
    assert f"{gone} is gone at Stripe, 1 charge(s) wait" in billing("charges", "status").stdout
    signed = ("--author", "ann", "--reason", "deleted by mistake")
    done = billing("customers", "relink", "a", *signed)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "INV-00000001 begins anew there" in done.stdout
    again = billing("customers", "relink", "a", *signed)
    assert (again.exit_code, "no charge stands on another one" in again.stderr) == (1, True)
