"""Every brake stops what it is for, says so, and lets go again."""

import threading
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from billing_pipeline.charging.brakes import mark_reconciled, pause_charging, read_brakes, resume_charging
from billing_pipeline.charging.canary import release_month
from billing_pipeline.charging.exclusive import exclusive
from billing_pipeline.charging.failover import reconcile_after_failover
from billing_pipeline.charging.invoice import InvoiceCharger
from billing_pipeline.charging.rules.brakes import Limits
from billing_pipeline.charging.steps import ChargingPass
from billing_pipeline.charging.store import listing_start
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY, MONTH, Bill, World, invoice_id_of
from billing_pipeline_tests.month_rows import move_charges
from billing_pipeline_tests.postgres.invariants.rows import execute, refused, value


def pretend_failover(world: World) -> None:
    """As after a promotion: the row knows another incarnation than the server's."""
    with world.warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE billing.charge_brakes SET incarnation = '1/1'"))


def codes(report: Any) -> list[str]:
    return [brake.code for brake in report.brakes]


def test_while_charging_is_paused_nothing_is_written_at_stripe(world: World) -> None:
    world.bill(Bill("a"), Bill("new", at_stripe=False))
    pause_charging(world.warehouse, Signature("ann", "wrong prices"))
    before = world.stripe.writes()
    report = world.charge()
    assert world.stripe.writes() == before
    assert (codes(report), report.pending, report.worked_on) == (["charging_paused"], {"charging_paused": 2}, 0)
    assert report.brakes[0].says == "charging is paused by ann: wrong prices"
    assert world.charges()["a"]["stripe_customer_id"] is None, "an intent that was not sent stays as it is"
    resume_charging(world.warehouse, Signature("bob", "prices are right"))
    assert world.charge().brakes == ()
    assert world.states() == {"a": ("paid", None), "new": ("refused", "no_payment_method")}
    logged = world.warehouse.rows(
        "SELECT actor, action, reason FROM billing.automation_log WHERE object_type = 'brake'"
    )
    assert [tuple(row.values()) for row in logged] == [
        ("ann", "charging.pause", "wrong prices"),
        ("bob", "charging.resume", "prices are right"),
    ]


@pytest.mark.parametrize("operation", ["create_invoice", "add_lines", "finalize_invoice"])
def test_a_run_that_is_under_way_stops_before_its_next_write(world: World, operation: str) -> None:
    class Pausing(StripeGateway):
        def __getattribute__(self, name: str) -> Any:
            if name == operation:
                pause_charging(world.warehouse, Signature("ann", "stop"))
            return super().__getattribute__(name)

    world.bill(Bill("a"), Bill("b"))
    report = world.charge(Pausing(KEY, world.stripe.base_url), workers=1)
    assert report.pending == {"charging_paused": 2}
    writes = [call for call in world.stripe.writes() if "/invoices" in call]
    assert len(writes) == ["create_invoice", "add_lines", "finalize_invoice"].index(operation) + 1
    resume_charging(world.warehouse, Signature("ann", "go"))
    world.charge()
    assert set(world.stripe.payments().values()) == {1}


def test_a_pause_still_takes_over_what_stripe_says(world: World) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.forget("a")
    pause_charging(world.warehouse, Signature("ann", "stop"))
    world.charge()
    assert world.states() == {"a": ("paid", None)}


def test_another_database_stops_charging_until_it_is_reconciled(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/pay", skip=1)
    world.charge(workers=1)
    world.stripe.heal()
    world.forget("a")
    pretend_failover(world)
    writes = world.stripe.writes()
    report = world.charge()
    assert codes(report) == ["charging_paused"]
    assert "commits may be lost" in report.brakes[0].says
    assert world.stripe.writes() == writes
    with pytest.raises(UserError, match="billing charges reconcile"):
        resume_charging(world.warehouse, Signature("ann", "go"))
    world.forget("a")
    done = reconcile_after_failover(
        world.warehouse, world.gateway(), Signature("ann", "failover"), log=world.said.append
    )
    assert (done.months, done.problems, done.resumed) == ((MONTH,), [], True)
    assert world.stripe.writes() == writes
    assert world.states()["a"] == ("paid", None)
    brakes = read_brakes(world.warehouse)
    assert (brakes.charges_enabled, brakes.incarnation) == (True, brakes.present_incarnation)
    world.charge()
    assert set(world.stripe.payments().values()) == {1}


def test_charging_stays_off_while_something_contradicts_stripe(world: World) -> None:
    world.bill(Bill("a"))
    world.charge()
    customer = world.charges()["a"]["stripe_customer_id"]
    world.gateway().create_invoice(world.request("a")["invoice"], customer, key="second")
    pretend_failover(world)
    done = reconcile_after_failover(
        world.warehouse, world.gateway(), Signature("ann", "failover"), log=world.said.append
    )
    assert not done.resumed
    assert any("more than one invoice at Stripe" in problem.problem for problem in done.problems)
    brakes = read_brakes(world.warehouse)
    assert (brakes.charges_enabled, brakes.needs_reconciliation) == (False, True)


def test_a_failover_in_the_middle_of_a_run_stops_its_next_write(world: World) -> None:
    class Failing(StripeGateway):
        def add_lines(self, *arguments: Any, **options: Any) -> Any:
            pretend_failover(world)
            return super().add_lines(*arguments, **options)

    world.bill(Bill("a"))
    report = world.charge(Failing(KEY, world.stripe.base_url))
    assert codes(report) == ["charging_paused"]
    assert not [call for call in world.stripe.writes() if call.endswith("/finalize")]


def test_a_lock_that_is_lost_stops_the_work_on_that_invoice(world: World) -> None:
    class Losing(StripeGateway):
        def add_lines(self, *arguments: Any, **options: Any) -> Any:
            done = super().add_lines(*arguments, **options)
            store.connection.execute(text("SELECT pg_advisory_unlock_all()"))
            return done

    world.bill(Bill("a"))
    with exclusive(world.warehouse, invoice_id_of("a"), "test", run_id="run") as store:
        start = listing_start(world.warehouse, MONTH)
        within = ChargingPass(store, Losing(KEY, world.stripe.base_url), start, lambda _: None, lambda: False)
        result = InvoiceCharger(within).charge(invoice_id_of("a"), [], {})
    assert (result.reason_code, result.pending) == ("lock_lost", True)
    assert not [call for call in world.stripe.writes() if call.endswith(("/finalize", "/pay"))]


def test_a_database_that_cannot_be_asked_for_permission_parks_nobody(world: World) -> None:
    class Closing(StripeGateway):
        def create_invoice(self, *arguments: Any, **options: Any) -> Any:
            created = super().create_invoice(*arguments, **options)
            with world.warehouse.transaction() as connection:
                as_login(connection)
                connection.execute(text("ALTER FUNCTION billing.database_incarnation() RENAME TO gone"))
            return created

    world.bill(Bill("a"))
    with pytest.raises(ProgrammingError, match="database_incarnation"):
        world.charge(Closing(KEY, world.stripe.base_url))  # the report cannot be made either
    assert world.states() == {"a": ("drafted", None)}


def test_what_the_database_refuses_to_record_parks_with_its_sentence(world: World) -> None:
    class Same(StripeGateway):
        first: Any = None

        def create_invoice(self, *arguments: Any, **options: Any) -> Any:
            self.first = self.first or super().create_invoice(*arguments, **options)
            return self.first

    world.bill(Bill("a"), Bill("b"))
    world.charge(Same(KEY, world.stripe.base_url), workers=1)
    assert world.states() == {"a": ("paid", None), "b": ("parked", "refused_by_database")}
    assert "stripe_invoice_id_key" in world.charges()["b"]["reason"]


def test_caps_hold_back_what_is_over_them_and_say_so(world: World) -> None:
    world.bill(
        Bill("small", (100,)),
        Bill("big", (5000,)),
        Bill("y1", (700,), currency="jpy"),
        Bill("y2", (700,), currency="jpy"),
    )
    report = world.charge(limits=Limits(invoice_cap_minor=1000, run_cap_minor=1000))
    assert report.pending == {"over_invoice_cap": 1, "over_run_cap": 2}
    assert sorted(codes(report)) == ["over_invoice_cap", "over_run_cap"]
    assert {name for name, state in world.states().items() if state[0] == "paid"} == {"small"}
    assert world.charges()["big"]["stripe_customer_id"] is None
    world.charge()
    assert set(world.states().values()) == {("paid", None)}


def names(count: int) -> list[str]:
    return [f"c{number:02}" for number in range(count)]


def test_the_rest_follows_in_the_same_run_when_the_canaries_are_well(world: World) -> None:
    world.bill(*(Bill(name) for name in names(13)))
    report = world.charge(limits=Limits())
    assert (report.count("paid"), report.brakes, report.pending) == (13, (), {})
    [released] = world.warehouse.rows("SELECT canaries, refused, author, through_number FROM billing.charge_releases")
    assert released == {"canaries": 10, "refused": 0, "author": "stripe-charger", "through_number": 13}


def test_canaries_that_are_refused_keep_the_rest_back_until_a_person_releases_it(world: World) -> None:
    declined = "pm_card_chargeCustomerFail"
    world.bill(*(Bill(name, card=declined if number < 6 else "pm_card_visa") for number, name in enumerate(names(13))))
    for _ in range(2):
        report = world.charge(limits=Limits())
        assert codes(report) == ["canary_failed"]
        assert "6 of the first 10 charges are refused (6 declined)" in report.brakes[0].says
        assert report.pending == {"canary_failed": 3}
        assert [name for name in names(13) if world.states()[name][0] == "intended"] == names(13)[10:]
    assert release_month(world.warehouse, MONTH, Signature("ann", "they are test cards")) == 13
    assert world.charge(limits=Limits()).brakes == ()
    assert world.states()["c12"] == ("paid", None)
    with pytest.raises(UserError, match="no charge that waits"):
        release_month(world.warehouse, MONTH, Signature("ann", "again"))


def test_a_canary_that_stripe_shows_otherwise_keeps_the_rest_back(world: World) -> None:
    class Otherwise(StripeGateway):
        def pay_invoice(self, stripe_id: str, *, key: str) -> Any:
            if world.stripe.api.invoices.retrieve(stripe_id).number == "INV-00000003":
                # as a mistaken program would
                move_charges(world.warehouse, "state = 'paid'", "stripe_invoice_id = :id", id=stripe_id)
                stripe_id = "in_nowhere"
            return super().pay_invoice(stripe_id, key=key)

    world.bill(*(Bill(name) for name in names(12)))
    report = world.charge(Otherwise(KEY, world.stripe.base_url), limits=Limits())
    assert codes(report) == ["canary_failed"]
    assert "is open at Stripe, ours is paid" in report.brakes[0].says
    assert world.states()["c11"] == ("intended", None)


def test_canaries_without_an_answer_leave_the_rest_for_the_next_pass(world: World) -> None:
    world.bill(*(Bill(name) for name in names(12)))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/pay", times=3)
    assert codes(world.charge(limits=Limits(), workers=1)) == ["canary_unsettled"]
    assert world.states()["c11"] == ("intended", None)
    world.charge(limits=Limits())
    assert set(world.states().values()) == {("paid", None)}


def test_canaries_that_are_gone_are_not_taken_for_well(world: World) -> None:
    """A failover takes some of the first charges back before they are sent: nobody knows how they would end."""

    class Losing(StripeGateway):
        def create_invoice(self, *arguments: Any, **options: Any) -> Any:
            with world.warehouse.transaction() as connection:
                connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
                connection.execute(text("DELETE FROM billing.stripe_charges WHERE customer_id IN ('c08', 'c09')"))
            return super().create_invoice(*arguments, **options)

    world.bill(*(Bill(name) for name in names(12)))
    report = world.charge(Losing(KEY, world.stripe.base_url), limits=Limits(), workers=1)
    assert codes(report) == ["canary_unsettled"]
    assert "lost a commit" in report.brakes[0].says
    assert report.pending == {"charge_missing": 2, "canary_unsettled": 2}
    assert world.states()["c11"] == ("intended", None)


def test_runs_at_once_share_canaries_and_charge_each_invoice_once(world: World) -> None:
    world.bill(*(Bill(name) for name in names(14)))
    runs = [threading.Thread(target=lambda: world.charge(limits=Limits(), workers=2)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    world.charge(limits=Limits())
    assert set(world.states().values()) == {("paid", None)}
    assert set(world.stripe.payments().values()) == {1}


# what the database itself refuses


@pytest.mark.parametrize(
    ("statement", "because"),
    [
        ("UPDATE billing.charge_brakes SET needs_reconciliation = true", "reconciled_before_enabled"),
        ("UPDATE billing.charge_brakes SET reason = ' '", "charge_brakes_reason_check"),
        ("UPDATE billing.charge_brakes SET changed_by = ''", "automation_log_actor_check|changed_by_check"),
        ("UPDATE billing.charge_brakes SET incarnation = '1/1'", "changes with a reconciliation"),
        ("UPDATE billing.charge_brakes SET consecutive_failures = -1", "consecutive_failures_check"),
        ("DELETE FROM billing.charge_brakes", "nobody could stop charging"),
        ("TRUNCATE billing.charge_brakes", "nobody could stop charging"),
        (
            "INSERT INTO billing.charge_brakes (charges_enabled, changed_by, reason, incarnation) VALUES (true, 'a', 'b', '')",
            "charge_brakes_pkey",
        ),
        ("UPDATE billing.charge_releases SET canaries = 1", "a release is not taken back"),
        ("DELETE FROM billing.charge_releases", "a release is not taken back"),
        ("TRUNCATE billing.charge_releases", "a release is not taken back"),
        (
            "INSERT INTO billing.charge_releases (billing_month, through_number, canaries, refused, author, reason) VALUES ('2026-10-01', 1, 1, 2, 'a', 'b')",
            "charge_releases_check",
        ),
    ],
)
def test_a_brake_is_not_undone_by_accident(db: Connection, statement: str, because: str):
    with refused(db, because):
        execute(db, statement)


def test_another_database_is_noticed_and_nothing_but_a_reconciliation_of_it_lets_go(db: Connection):
    now = value(db, "SELECT billing.database_incarnation()")
    assert value(db, "SELECT incarnation FROM billing.charge_brakes") == now
    assert not value(db, "SELECT billing.stop_if_another_database()")
    execute(db, "SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
    execute(db, "UPDATE billing.charge_brakes SET incarnation = '1/1', charges_enabled = false")
    execute(db, "SET LOCAL session_replication_role = origin")
    with refused(db, "after a reconciliation"):
        execute(db, "UPDATE billing.charge_brakes SET charges_enabled = true")
    assert value(db, "SELECT billing.stop_if_another_database()")
    with refused(db, "after a reconciliation"):
        execute(db, "UPDATE billing.charge_brakes SET charges_enabled = true")
    with refused(db, "a reconciliation is of the present database"):
        execute(db, "UPDATE billing.charge_brakes SET needs_reconciliation = false")
    with refused(db, "changes with a reconciliation, to the present one"):
        execute(db, "UPDATE billing.charge_brakes SET needs_reconciliation = false, incarnation = '1/2'")
    execute(db, "UPDATE billing.charge_brakes SET needs_reconciliation = false, incarnation = :now", now=now)


def test_a_reconciliation_of_a_database_that_changed_again_does_not_count(world: World) -> None:
    pretend_failover(world)
    read_brakes(world.warehouse)
    assert not mark_reconciled(world.warehouse, Signature("ann", "failover"), "1/2")
    assert read_brakes(world.warehouse).needs_reconciliation
