"""A refund that failed is alarmed of by the daily comparison and the command, until its money is given back."""

import dagster as dg
import pytest
from click.testing import CliRunner

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
    [found] = [c for c in done.get_asset_check_evaluations() if c.check_name == "failed_refunds_are_repaid"]
    return found


def test_a_failed_refund_is_alarmed_of_until_somebody_repays_it(
    instance: dg.DagsterInstance, world: EventWorld
) -> None:
    world.bill(Bill("a", card="pm_card_refundFail"))
    world.charge()
    assert _check(instance).passed
    refund = world.stripe.api.refunds.create({"payment_intent": world.payment_intent("a"), "amount": 1500})
    world.catch_up()
    failed = _check(instance)
    assert (failed.passed, failed.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert failed.description == (
        f"1 refund(s) failed, such as {refund.id} of 15.00 USD to customer a: `billing credit repay`"
    )
    shown = CliRunner().invoke(main, ["credit", "refunds"])
    assert shown.exit_code == 1
    assert refund.id in shown.stdout
    repay = ["credit", "repay", refund.id, "--to", "balance", "--author", "ann", "--reason", "card closed"]
    done = CliRunner().invoke(main, repay)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"15.00 USD of {refund.id} repaid to balance: cbtxn_")
    again = CliRunner().invoke(main, repay)
    assert again.exit_code == 1
    assert "was settled by ann" in again.stderr
    assert _check(instance).passed
    assert CliRunner().invoke(main, ["credit", "refunds"]).exit_code == 0
