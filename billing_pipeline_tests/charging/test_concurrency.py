"""Runs beside each other, beside a person and beside a database that goes away."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from billing_pipeline.charging.rules.brakes import CANARIES_MIN
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.store import ChargeMoved, ChargeStore
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice
from billing_pipeline_tests.charging.world import KEY, Bill, World, invoice_id_of
from billing_pipeline_tests.month_rows import execute, move_charges


def test_two_runs_at_once_charge_each_invoice_once(world: World) -> None:
    names = [f"c{n:02}" for n in range(25)]
    world.bill(*(Bill(name, at_stripe=int(name[1:]) % 5 > 0) for name in names))
    world.stripe.fault("latency", "POST /v1/invoices/**", latency_ms=5)
    reports: list[Any] = []
    runs = [threading.Thread(target=lambda: reports.append(world.charge())) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(reports) == 3
    assert world.charge().pending == {}
    assert set(world.states().values()) == {("paid", None), ("refused", "no_payment_method")}
    assert len(world.stripe.invoices()) == len(names)
    assert set(world.stripe.payments().values()) == {0, 1}
    assert sum(world.stripe.payments().values()) == 20
    assert world.problems() == []


def test_more_calls_are_under_way_than_there_are_connections(world: World) -> None:
    count = CANARIES_MIN  # so many go at once in a month that no canaries have gone before
    assert count > world.warehouse.threads(1_000)
    together = threading.Barrier(count)

    class Slow(StripeGateway):
        def create_invoice(self, *args: Any, **kwargs: Any) -> StripeInvoice:
            together.wait(60)
            return super().create_invoice(*args, **kwargs)

    world.bill(*(Bill(f"c{n:02}") for n in range(count)))
    world.charge(Slow(KEY, world.stripe.base_url), workers=count)
    assert set(world.states().values()) == {("paid", None)}
    assert set(world.stripe.payments().values()) == {1}
    assert world.problems() == []


def test_a_session_that_ends_takes_the_locks_of_all_its_invoices_and_no_call_follows(world: World) -> None:
    count = CANARIES_MIN
    together = threading.Barrier(count, lambda: _end_sessions(world))

    class Cut(StripeGateway):
        def create_invoice(self, *args: Any, **kwargs: Any) -> StripeInvoice:
            made = super().create_invoice(*args, **kwargs)
            together.wait(60)
            return made

    world.bill(*(Bill(f"c{n:02}") for n in range(count)))
    report = world.charge(Cut(KEY, world.stripe.base_url), workers=count)
    assert report.pending == {"connection_to_database_lost": count}
    assert sum(write.endswith("/add_lines") for write in world.stripe.writes()) == 0
    assert world.charge().pending == {}
    assert len(world.stripe.invoices()) == count
    assert set(world.stripe.payments().values()) == {1}
    assert world.problems() == []


def _end_sessions(world: World) -> None:
    admin = create_engine(world.warehouse.engine.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )
    admin.dispose()


def test_an_invoice_in_other_hands_is_left_to_them(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    with world.warehouse.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": charge_lock_key(invoice_id_of("a"))})
        report = world.charge()
    assert (report.in_other_hands, report.worked_on) == (1, 1)
    assert world.states() == {"a": ("intended", None), "b": ("paid", None)}


def test_no_transaction_is_open_while_stripe_is_called(world: World) -> None:
    world.bill(*(Bill(f"c{n}", at_stripe=n > 1) for n in range(4)))
    world.stripe.fault("latency", "**", latency_ms=400)  # a transaction that is open meanwhile lasts as long
    finished = threading.Event()
    seen: list[str] = []

    def watch() -> None:
        watcher = create_engine(world.warehouse.engine.url, isolation_level="AUTOCOMMIT")
        with watcher.connect() as connection:
            while not finished.wait(0.01):
                seen.extend(
                    connection.execute(
                        text(
                            "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
                            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                            " AND (state = 'idle' OR now() - state_change > interval '250 ms')"
                        )
                    ).scalars()
                )
        watcher.dispose()

    thread = threading.Thread(target=watch)
    thread.start()
    world.charge()
    finished.set()
    thread.join()
    assert len(seen) > 20
    assert set(seen) == {"idle"}


def test_losing_the_database_connection_ends_the_work_on_that_invoice_only(world: World) -> None:
    class Cutting(StripeGateway):
        cut = False

        def finalize_invoice(self, stripe_id: str, *, key: str) -> Any:
            if not self.cut:
                self.cut = True
                execute(
                    world.warehouse,
                    "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l WHERE l.locktype = 'advisory'"
                    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                )
            return super().finalize_invoice(stripe_id, key=key)

    world.bill(Bill("a"), Bill("b"))
    report = world.charge(Cutting(KEY, world.stripe.base_url), workers=1)
    assert report.pending == {"connection_to_database_lost": 1}
    assert world.states() == {"a": ("lines_added", None), "b": ("paid", None)}
    assert not [call for call in world.stripe.writes() if call.endswith("/pay")][1:]
    world.charge()
    assert world.states()["a"] == ("paid", None)
    assert set(world.stripe.payments().values()) == {1}


def test_a_charge_that_somebody_else_moved_is_read_anew(world: World) -> None:
    class Meddling(StripeGateway):
        def pay_invoice(self, stripe_id: str, *, key: str) -> Any:
            paid = super().pay_invoice(stripe_id, key=key)
            move_charges(world.warehouse, "state = 'paid'", "state = 'finalized'")  # as an event's processing would
            return paid

    world.bill(Bill("a"))
    report = world.charge(Meddling(KEY, world.stripe.base_url))
    assert (world.states(), report.pending) == ({"a": ("paid", None)}, {})


def test_a_change_re_checks_state_and_attempt(world: World) -> None:
    world.bill(Bill("a"))
    with world.warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        store = ChargeStore(connection, "run")
        charge = store.read(invoice_id_of("a")).charge
        for stale in (replace(charge, state="drafted"), replace(charge, attempt=2)):
            with pytest.raises(ChargeMoved):
                store.change(stale, ChargeChange("charge.park", "parked", reason_code="x", reason="x"))
    assert world.states() == {"a": ("intended", None)}
    assert world.logged("a") == ["invoice.finalise"]
