"""A month's charges against the emulator: real Postgres, real HTTP."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from billing_pipeline.adapters.charge_check import verify_month
from billing_pipeline.adapters.charge_store import ChargeMoved, ChargeStore, lock_key
from billing_pipeline.adapters.stripe_gateway import StripeGateway
from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline.core.charging import STATES, TRANSITIONS
from billing_pipeline.core.stripe_errors import StripeFailure
from billing_pipeline_tests.adapters.charging_world import KEY, MONTH, Bill, World, invoice_id_of, running_stripe


@pytest.fixture
def world(warehouse: Warehouse) -> Iterator[World]:
    with running_stripe() as emulated:
        yield World(warehouse, emulated)


def problems(world: World) -> list[tuple[str, str]]:
    return [(row.customer_id, row.problem) for row in verify_month(world.warehouse, world.gateway(), MONTH)]


def test_states_and_transitions_are_those_of_the_database(warehouse: Warehouse) -> None:
    rows = warehouse.rows("SELECT from_state, to_state FROM billing.charge_transitions")
    assert {(row["from_state"], row["to_state"]) for row in rows} == TRANSITIONS
    assert {state for pair in TRANSITIONS for state in pair} == STATES


def test_a_month_is_charged_and_every_call_is_in_the_log(world: World) -> None:
    world.bill(Bill("a", (1000, 250)), Bill("b"), Bill("y", (1200,), currency="jpy"))
    report = world.charge()
    assert world.states() == dict.fromkeys("aby", ("paid", None))
    assert {row["status"] for row in world.charges().values()} == {"paid"}
    assert world.stripe.payments() == {invoice_id_of(name): 1 for name in "aby"}
    assert report.amounts_minor("paid") == {"usd": 5250, "jpy": 1200}
    assert (report.count("paid"), report.worked_on, report.in_other_hands, report.pending) == (3, 3, 0, {})
    assert report.calls == 1 + 3 * 4  # one page of the bulk listing, and four calls an invoice
    assert world.logged("a") == [
        "invoice.finalise",
        "charge.begin",
        "stripe.invoice.create",
        "stripe.invoice.lines",
        "stripe.invoice.finalize",
        "stripe.invoice.pay",
    ]
    assert problems(world) == []


def test_what_stripe_has_is_what_was_frozen(world: World) -> None:
    world.bill(Bill("a", (1000, 250)))
    world.charge()
    invoice = world.stripe.invoices()[0]
    frozen = world.request("a")
    assert {name: invoice[name] for name in ("currency", "description", "metadata", "number")} == {
        name: frozen["invoice"][name] for name in ("currency", "description", "metadata", "number")
    }
    assert not invoice["auto_advance"]
    lines = [(line["amount"], line["description"], line["period"]) for line in invoice["lines"]["data"]]
    assert sorted(lines, key=str) == sorted(
        ((line["amount"], line["description"], line["period"]) for line in frozen["lines"]), key=str
    )


def test_a_second_run_calls_nobody(world: World) -> None:
    world.bill(Bill("a"), Bill("broke", card=None))
    world.charge()
    writes = world.stripe.writes()
    report = world.charge()
    assert (report.calls, report.worked_on) == (0, 0)
    assert world.stripe.writes() == writes
    assert report.count("paid") == 1


def test_a_refusal_leaves_the_invoice_open_with_its_reason(world: World) -> None:
    cards = {
        "declined": "pm_card_chargeCustomerFail",
        "action_required": "pm_card_authenticationRequired",
        "insufficient_funds": "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        "no_payment_method": None,
    }
    world.bill(Bill("pays"), *(Bill(reason, card=card) for reason, card in cards.items()))
    report = world.charge()
    for reason in cards:
        charge = world.charges()[reason]
        assert (charge["state"], charge["reason_code"], charge["status"]) == ("refused", reason, "open")
        assert (charge["stripe_total_minor"], charge["attempt"]) == (4000, 1)
        assert "req_" in charge["reason"]
        assert report.count("refused", reason) == 1
    assert {ours for ours, count in world.stripe.payments().items() if count} == {invoice_id_of("pays")}
    assert problems(world) == []


def test_nothing_due_is_paid_at_finalisation_and_never_paid_again(world: World) -> None:
    world.bill(Bill("no_lines", ()), Bill("zero", (0,)), Bill("below_minimum", (20, 9)))
    world.charge()
    assert set(world.states().values()) == {("paid", None)}
    assert not [call for call in world.stripe.writes() if call.endswith("/pay")]
    due_later = {
        name: world.stripe.api.customers.retrieve(row["stripe_customer_id"]).balance
        for name, row in world.charges().items()
    }
    assert due_later == {"no_lines": 0, "zero": 0, "below_minimum": 29}
    assert problems(world) == []


def test_more_than_250_lines_are_charged_to_the_cent(world: World) -> None:
    world.bill(Bill("big", tuple(range(1, 400)), meters=("users", "clusters", "storage_gb")))
    world.charge()
    assert world.states() == {"big": ("paid", None)}
    assert world.stripe.invoices()[0]["total"] == sum(range(1, 400))


def test_customers_are_adopted_by_metadata_and_created_only_if_missing(world: World) -> None:
    known = world.stripe.customer(Bill("known"))
    world.bill(Bill("known", at_stripe=False), Bill("new", at_stripe=False))
    world.charge()
    charges = world.charges()
    assert (charges["known"]["state"], charges["known"]["stripe_customer_id"]) == ("paid", known)
    assert (charges["new"]["state"], charges["new"]["reason_code"]) == ("refused", "no_payment_method")
    stored = world.warehouse.rows("SELECT customer_id, stripe_customer_id AS id FROM billing.customers")
    assert {row["customer_id"]: row["id"] for row in stored} == {
        name: charges[name]["stripe_customer_id"] for name in charges
    }
    created = world.stripe.api.customers.retrieve(charges["new"]["stripe_customer_id"])
    assert created.to_dict(for_json=True)["metadata"] == {"customer_id": "new"}
    assert world.stripe.writes().count("POST /v1/customers") == 2


def test_two_customers_with_our_key_park_the_invoice(world: World) -> None:
    for _ in "ab":
        world.stripe.customer(Bill("twin"))
    world.bill(Bill("twin", at_stripe=False))
    world.charge()
    assert world.states() == {"twin": ("parked", "customer_ambiguous")}
    assert not world.stripe.invoices()


def test_a_customer_that_was_deleted_at_stripe_parks_the_invoice(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.api.customers.delete(world.warehouse.scalar("SELECT stripe_customer_id FROM billing.customers"))
    world.charge()
    assert world.states() == {"a": ("parked", "customer_missing")}


@pytest.mark.parametrize(
    ("status", "claimed"),
    [("draft_empty", False), ("draft", False), ("open", False), ("paid", False), ("open", True)],
)
def test_an_invoice_whose_id_was_lost_is_adopted(world: World, status: str, claimed: bool) -> None:
    world.bill(Bill("a"))
    operation = {"draft_empty": "*/add_lines", "draft": "*/finalize", "open": "*/pay"}.get(status)
    if operation:
        world.stripe.fault("drop_before_effect", f"POST /v1/invoices/{operation}")
    world.charge()
    world.stripe.heal()
    assert world.stripe.invoices()[0]["status"] == status.removesuffix("_empty")
    world.forget("a", claimed=claimed)
    world.charge()
    assert world.states() == {"a": ("paid", None)}
    assert "stripe.invoice.adopt" in world.logged("a")
    assert world.stripe.payments() == {invoice_id_of("a"): 1}
    assert len(world.stripe.invoices()) == 1
    assert problems(world) == []


def double(world: World, customer_id: str) -> str:
    """A second invoice at Stripe with the same metadata."""
    invoice = world.request(customer_id)["invoice"]
    customer = world.warehouse.scalar(
        "SELECT stripe_customer_id FROM billing.customers WHERE customer_id = :c", c=customer_id
    )
    return world.gateway().create_invoice(invoice, customer, key=f"double:{customer_id}").id


def test_two_matches_park_and_nobody_pays(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/add_lines")
    world.charge()
    world.stripe.heal()
    double(world, "a")
    world.forget("a")
    world.charge()
    assert world.states() == {"a": ("parked", "duplicate_at_stripe"), "b": ("paid", None)}
    assert world.stripe.payments()[invoice_id_of("a")] == 0
    assert {customer for customer, _ in problems(world)} == {"a"}


def test_a_second_invoice_beside_ours_parks_before_paying(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/pay")
    world.charge()
    world.stripe.heal()
    double(world, "a")
    world.charge()
    assert world.states() == {"a": ("parked", "duplicate_at_stripe")}
    assert world.stripe.payments() == {invoice_id_of("a"): 0}


def test_another_total_at_stripe_parks(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/finalize")
    world.charge()
    world.stripe.heal()
    extra: Any = {"lines": [{"amount": 1, "description": "by hand"}]}
    world.stripe.api.invoices.add_lines(world.charges()["a"]["stripe_invoice_id"], extra)
    world.charge()
    assert world.states() == {"a": ("parked", "total_differs")}
    assert ("total of 4001 usd, ours is 4000 usd") in problems(world)[0][1]


def test_what_was_paid_or_voided_by_hand_at_stripe_is_taken_over(world: World) -> None:
    world.bill(Bill("paid"), Bill("void"), Bill("written_off"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/pay")
    world.charge()
    world.stripe.heal()
    charges = world.charges()
    world.stripe.api.invoices.pay(charges["paid"]["stripe_invoice_id"], {"paid_out_of_band": True})
    world.stripe.api.invoices.void_invoice(charges["void"]["stripe_invoice_id"])
    world.stripe.api.invoices.mark_uncollectible(charges["written_off"]["stripe_invoice_id"])
    world.charge()
    assert {name: (row["state"], row["status"]) for name, row in world.charges().items()} == {
        "paid": ("paid", "paid"),
        "void": ("void", "void"),
        "written_off": ("uncollectible", "uncollectible"),
    }


def test_an_unknown_outcome_is_remembered_while_stripe_cannot_be_asked(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_after_effect", "POST /v1/invoices/*/pay")
    world.stripe.fault("drop_before_effect", "GET /v1/invoices/*")
    report = world.charge()
    charge = world.charges()["a"]
    assert (charge["state"], report.pending) == ("finalized", {"connection_lost": 1})
    assert charge["outcome_unknown_since"] is not None
    assert [problem for _, problem in problems(world)][:1] == ["is not charged yet: finalized"]
    world.stripe.heal()
    world.charge()
    charge = world.charges()["a"]
    assert (charge["state"], charge["outcome_unknown_since"]) == ("paid", None)
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


def test_without_the_bulk_listing_nothing_is_created(world: World) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("error_500_without_effect", "GET /v1/invoices")
    report = world.charge()
    assert report.pending == {"stripe_error": 1}
    assert not [call for call in world.stripe.writes() if call == "POST /v1/invoices"]


def test_a_key_that_is_not_accepted_stops_the_run_and_touches_no_invoice(world: World) -> None:
    world.bill(Bill("a"))
    with pytest.raises(StripeFailure, match="key_not_accepted"):
        world.charge(StripeGateway("nonsense", world.stripe.base_url))
    assert world.states() == {"a": ("intended", None)}


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
    assert problems(world) == []


def test_an_invoice_in_other_hands_is_left_to_them(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    with world.warehouse.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": lock_key(invoice_id_of("a"))})
        report = world.charge()
    assert (report.in_other_hands, report.worked_on) == (1, 1)
    assert world.states() == {"a": ("intended", None), "b": ("paid", None)}


def test_no_transaction_is_open_while_stripe_is_called(world: World) -> None:
    world.bill(*(Bill(f"c{n}", at_stripe=n > 1) for n in range(4)))
    world.stripe.fault("latency", "**", latency_ms=40)
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
                            " AND (state = 'idle' OR now() - state_change > interval '25 ms')"
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
                with world.warehouse.engine.connect() as connection:
                    connection.execute(
                        text(
                            "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l WHERE l.locktype = 'advisory'"
                            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                        )
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


def test_a_run_that_is_stopped_leaves_whole_steps_behind(world: World) -> None:
    stop = threading.Event()

    class Stopping(StripeGateway):
        def finalize_invoice(self, stripe_id: str, *, key: str) -> Any:
            stop.set()
            return super().finalize_invoice(stripe_id, key=key)

    world.bill(Bill("a"), Bill("b"))
    report = world.charge(Stopping(KEY, world.stripe.base_url), workers=1, stop=stop)
    assert report.pending == {"stopped": 1}
    assert world.states() == {"a": ("lines_added", None), "b": ("intended", None)}
    world.charge()
    assert set(world.states().values()) == {("paid", None)}


def test_progress_is_told_while_it_goes(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.stripe.fault("latency", "POST /v1/invoices", latency_ms=300)
    world.charge(workers=1, progress_every_s=0.05)
    assert any(said.startswith("invoices charged: 1 of 2, ") for said in world.said)


def test_a_charge_that_somebody_else_moved_is_read_anew(world: World) -> None:
    class Meddling(StripeGateway):
        def pay_invoice(self, stripe_id: str, *, key: str) -> Any:
            paid = super().pay_invoice(stripe_id, key=key)
            with world.warehouse.transaction() as connection:  # as an event's processing would
                connection.execute(text("UPDATE billing.stripe_charges SET state = 'paid' WHERE state = 'finalized'"))
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
                store.change(stale, "charge.park", state="parked", reason_code="x", reason="x")
    assert world.states() == {"a": ("intended", None)}
    assert world.logged("a") == ["invoice.finalise"]


def test_verification_names_what_is_wrong(world: World) -> None:
    world.bill(Bill("a"), Bill("b"))
    assert problems(world) == [("a", "is not charged yet: intended"), ("b", "is not charged yet: intended")]
    world.charge()
    assert problems(world) == []
    second = double(world, "a")
    found = problems(world)
    assert {customer for customer, _ in found} == {"a"}
    assert any("more than one invoice at Stripe" in problem and second in problem for _, problem in found)
