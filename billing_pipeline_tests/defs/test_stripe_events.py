"""The sensor's decision and the runs it asks for, in a real Dagster instance, against the emulator over HTTP."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from billing_pipeline.core.signature import Signature
from billing_pipeline.definitions import defs
from billing_pipeline.defs.charge_follow_ups import charges_to_follow_up
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stripe_events import MAX_RUNTIME_TAG, RUNS_AT_ONCE, START_WITHIN_S, stripe_events_due
from billing_pipeline.events.conflicts import acknowledge
from billing_pipeline.events.queue import claim
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import EMULATOR_KEY, load_settings
from billing_pipeline_tests.charging.world import Bill, Emulated
from billing_pipeline_tests.dagster_home import BillingAt
from billing_pipeline_tests.events.world import EventWorld

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@pytest.fixture
def world(warehouse: Warehouse, stripe_of_commands: Emulated, monkeypatch: pytest.MonkeyPatch) -> EventWorld:
    monkeypatch.setenv("STRIPE_SECRET_KEY", EMULATOR_KEY)
    return EventWorld(warehouse, stripe_of_commands)


def tick(instance: dg.DagsterInstance, now: datetime | None = None) -> list[dg.RunRequest]:
    billing = BillingAt(at=now.isoformat()) if now else Billing()
    context = dg.build_sensor_context(instance, resources={"billing": billing})
    return list(stripe_events_due.evaluate_tick(context).run_requests or ())


def run(instance: dg.DagsterInstance, job: str, request: dg.RunRequest | None = None) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, tags=dict(request.tags) if request else {}, raise_on_error=False
    )


def test_the_sensor_is_silent_without_work_and_rings_for_the_swept_events(instance, world: EventWorld) -> None:
    assert tick(instance) == []
    world.bill(Bill("a"), Bill("late", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.stripe.api.invoices.pay(world.stripe_id("late"), {"paid_out_of_band": True})
    assert run(instance, "sweep_stripe_events").success
    [request] = tick(instance)
    done = run(instance, "process_stripe_events", request)
    assert done.success
    assert world.states() == {"a": ("paid", None), "late": ("paid", None)}
    assert {row["state"] for row in world.work()} == {"applied", "ignored"}
    assert {row["run_id"] for row in world.work()} == {done.run_id}
    assert all(check.passed for check in done.get_asset_check_evaluations())
    assert tick(instance) == []


def test_a_run_that_died_leaves_its_events_to_a_run_with_another_key(instance, world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.sweep()
    now = datetime.now(UTC)
    [before] = tick(instance, now)
    [same] = tick(instance, now)
    assert before.run_key == same.run_key, "one run for the same work"
    claim(world.warehouse, now, "died", batch=1000, lease_s=0)
    [after] = tick(instance, now)
    assert after.run_key != before.run_key
    assert run(instance, "process_stripe_events", after).success
    left = [row for row in world.work() if row["state"] not in ("applied", "ignored")]
    assert left == []


def test_a_run_that_failed_before_it_claimed_anything_uses_up_no_key_for_good(instance, world, monkeypatch) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.sweep()
    monkeypatch.setenv("STRIPE_SECRET_KEY", "nonsense")
    [request] = tick(instance)
    failed = run(instance, "process_stripe_events", request)
    assert not failed.success
    monkeypatch.setenv("STRIPE_SECRET_KEY", EMULATOR_KEY)
    world.make_due()
    [again] = tick(instance)
    assert again.run_key != request.run_key
    assert run(instance, "process_stripe_events", again).success
    assert world.states()["a"] == ("paid", None)


def test_while_a_run_is_about_to_start_no_other_is_asked_for(instance, world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.sweep()
    job = defs.resolve_job_def("process_stripe_events")
    queued = instance.create_run_for_job(job)
    assert tick(instance) == []
    instance.report_run_canceled(queued)
    assert len(tick(instance)) == 1


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING])
def test_a_run_that_died_while_it_started_is_waited_for_a_minute(instance, world: EventWorld, status) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.sweep()
    [before] = tick(instance)
    dead = instance.create_run_for_job(defs.resolve_job_def("process_stripe_events"), status=status)
    began = instance.get_run_record_by_id(dead.run_id).update_timestamp
    assert tick(instance, began + timedelta(seconds=START_WITHIN_S - 1)) == []
    [request] = tick(instance, began + timedelta(seconds=START_WITHIN_S + 1))
    assert request.run_key != before.run_key
    assert run(instance, "process_stripe_events", request).success
    assert {row["state"] for row in world.work()} == {"applied", "ignored"}


def test_two_runs_at_work_are_enough_and_those_that_outlived_their_claims_do_not_count(
    instance, world: EventWorld
) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.sweep()
    job = defs.resolve_job_def("process_stripe_events")
    began = []
    for count in (1, 2):
        started = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        began.append(instance.get_run_record_by_id(started.run_id).update_timestamp)
        assert len(tick(instance)) == (1 if count < RUNS_AT_ONCE else 0)
    longest_s = load_settings().events.lease_s + START_WITHIN_S
    assert tick(instance, began[0] + timedelta(seconds=longest_s - 1)) == []
    assert len(tick(instance, began[1] + timedelta(seconds=longest_s + 1))) == 1


def test_an_event_that_was_given_up_fails_the_check_until_it_is_replayed(instance, world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.sweep()
    world.execute(
        "UPDATE billing.stripe_event_work SET state = 'dead', last_error = 'nobody knows why'"
        " WHERE event_id = (SELECT min(event_id) FROM billing.stripe_events WHERE type = 'invoice.paid')"
    )
    done = run(instance, "process_stripe_events")
    [failed] = [check for check in done.get_asset_check_evaluations() if not check.passed]
    assert failed.check_name == "no_event_given_up"
    assert str(failed.description).startswith("1 event(s) given up, such as evt_")
    assert "billing events replay EVENT --author YOU" in str(failed.metadata["what_to_do"].value)
    assert failed.metadata["page"].value == "docs/gates.md#no_event_given_up"
    assert world.replay_all(state="dead") == 1
    done = run(instance, "process_stripe_events")
    assert all(check.passed for check in done.get_asset_check_evaluations())


def test_a_contradicting_copy_fails_its_check_until_somebody_has_looked(instance, world: EventWorld) -> None:
    for type_ in ("invoice.paid", "invoice.voided"):
        world.say(type_, {"id": "in_1"}, "evt_1")
    done = run(instance, "process_stripe_events")
    [failed] = [check for check in done.get_asset_check_evaluations() if not check.passed]
    assert failed.check_name == "no_contradicting_event"
    assert failed.description == "1 contradicting event(s), such as evt_1"
    acknowledge(world.warehouse, "evt_1", Signature("ann", "sent by hand"))
    done = run(instance, "process_stripe_events")
    assert all(check.passed for check in done.get_asset_check_evaluations())


def test_a_run_shows_what_it_processed_by_type_and_outcome_and_the_last_of_it(instance, world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.sweep()
    done = run(instance, "process_stripe_events")
    [made] = done.asset_materializations_for_node("stripe_events")
    by_type = str(made.metadata["by_type"].value)
    assert "| invoice.paid | applied | 1 |" in by_type
    events = [row for row in world.work() if row["run_id"] == done.run_id]
    counts = [int(line.split("|")[3]) for line in by_type.splitlines()[2:]]
    assert sum(counts) == len(events)
    shown = made.metadata["last_processed"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert {str(record.data["event_id"]) for record in shown.records} <= {row["event_id"] for row in events}
    assert {str(record.data["outcome"]) for record in shown.records} <= {"applied", "ignored"}
    [nothing] = run(instance, "process_stripe_events").asset_materializations_for_node("stripe_events")
    assert nothing.metadata["by_type"].value == "none"


def test_the_sensors_skip_and_say_why_where_there_is_no_stripe(instance, world: EventWorld, monkeypatch) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.sweep()
    assert len(tick(instance)) == 1
    monkeypatch.delenv("STRIPE_API_BASE")
    for sensor in (stripe_events_due, charges_to_follow_up):
        context = dg.build_sensor_context(instance, resources={"billing": Billing()})
        said = sensor.evaluate_tick(context)
        assert not said.run_requests
        assert "neither STRIPE_SECRET_KEY nor STRIPE_API_BASE is set" in str(said.skip_message)


@pytest.mark.usefixtures("world")
def test_the_sweep_is_skipped_where_there_is_no_stripe(instance, monkeypatch) -> None:
    schedule = defs.get_repository_def().get_schedule_def("sweep_stripe_events_schedule")

    def ticked() -> object:
        context = dg.build_schedule_context(
            instance,
            scheduled_execution_time=datetime(2026, 11, 2, 12, 15, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
        )
        return schedule.evaluate_tick(context)

    assert len(ticked().run_requests) == 1  # type: ignore[attr-defined]
    monkeypatch.delenv("STRIPE_API_BASE")
    assert "no Stripe to ask" in str(ticked().skip_message)  # type: ignore[attr-defined]


def test_a_run_that_nobody_ends_is_ended_when_its_claims_are():
    from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

    assert MAX_RUNTIME_TAG == MAX_RUNTIME_SECONDS_TAG, "Dagster's constant is private; what it says is documented"
    limit = defs.resolve_job_def("process_stripe_events").run_tags["dagster/max_runtime"]
    assert float(limit) == load_settings().events.lease_s
