"""A run over a month's charges: real Postgres, the emulator over real HTTP."""

import threading
from typing import Any

import pytest

from billing_pipeline.charging.rules.charging import STATES, TRANSITIONS
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure
from billing_pipeline_tests.charging.world import KEY, Bill, World, invoice_id_of


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
    assert world.problems() == []


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
    assert world.problems() == []


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
    assert world.problems() == []


def test_more_than_250_lines_are_charged_to_the_cent(world: World) -> None:
    world.bill(Bill("big", tuple(range(1, 400)), meters=("users", "clusters", "storage_gb")))
    world.charge()
    assert world.states() == {"big": ("paid", None)}
    assert world.stripe.invoices()[0]["total"] == sum(range(1, 400))


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
