"""Money that a bank took back: seen in receivables, in comparisons and in the proof, and decided once by a person."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from billing_pipeline.books.month_closing import ClosedMonth, NotClosed, close_month
from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import AdjustmentRefused, revoke
from billing_pipeline.corrections.lost_disputes import (
    DisputeRefused,
    accept_dispute,
    collect_again,
    list_disputes,
    write_off,
)
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure
from billing_pipeline_tests.charging.world import MONTH, Bill
from billing_pipeline_tests.events.world import EventWorld

ANN = Signature("ann", "the customer does not answer")


def disputed(world: EventWorld, customer_id: str = "a", **fields: Any) -> str:
    """The id of a dispute of the customer's paid invoice."""
    made = world.stripe.control("POST", "/disputes", {"invoice": world.stripe_id(customer_id), **fields})
    world.catch_up()
    return str(made["id"])


def ends(world: EventWorld, dispute_id: str, status: str) -> None:
    world.stripe.control("POST", f"/disputes/{dispute_id}/close", {"status": status})
    world.catch_up()


def charged(world: EventWorld, *bills: Bill) -> None:
    world.bill(*(bills or (Bill("a"),)))
    world.charge()
    world.catch_up()


def due(warehouse: Warehouse) -> list[tuple[str, int, int, str | None]]:
    rows = warehouse.rows("SELECT * FROM billing.receivables ORDER BY number")
    return [(row["status"], row["taken_back_minor"], row["remaining_minor"], row["dispute_status"]) for row in rows]


def differences(world: EventWorld, *, later: timedelta = timedelta(hours=1)) -> list[tuple[str, str, str]]:
    compared = compare_with_stripe(world.warehouse, world.gateway(), "run", datetime.now(UTC) + later, month=MONTH)
    return [(one.object_type, one.kind, one.proposed_action) for one in compared.differences]


def close(world: EventWorld) -> ClosedMonth:
    return close_month(world.warehouse, world.gateway(), MONTH, author="ann", run_id="close", now=datetime.now(UTC))


def test_what_a_bank_takes_back_is_due_until_it_gives_it_back(world: EventWorld) -> None:
    charged(world)
    dispute = disputed(world)
    assert due(world.warehouse) == [("paid", 4000, 4000, "needs_response")]
    assert [(row["status"], row["waits_for_a_person"]) for row in list_disputes(world.warehouse)] == [
        ("needs_response", False)
    ]
    assert differences(world) == []
    ends(world, dispute, "won")
    assert (due(world.warehouse), list_disputes(world.warehouse)) == ([], [])
    assert close(world).totals["usd"]["taken_back"] == 0


def test_a_lost_dispute_is_a_difference_and_keeps_the_month_open_until_a_person_decides(world: EventWorld) -> None:
    charged(world)
    dispute = disputed(world)
    ends(world, dispute, "lost")
    assert due(world.warehouse) == [("paid", 4000, 4000, "lost")]
    assert differences(world) == [("dispute", "undecided", "decide")]
    with pytest.raises(NotClosed, match=rf"dispute {dispute} of INV-00000001: undecided"):
        close(world)
    done = write_off(world.warehouse, dispute, ANN)
    assert (done.amount_minor, done.number, done.decision) == (4000, "INV-00000001", "written_off")
    assert (due(world.warehouse), differences(world)) == ([], [])
    totals = close(world).totals["usd"]
    assert (totals["paid"], totals["collected"], totals["taken_back"]) == (4000, 4000, 4000)
    logged = world.warehouse.rows("SELECT actor, reason FROM billing.automation_log WHERE action = 'dispute.decide'")
    assert logged == [{"actor": "ann", "reason": ANN.reason}]


def test_an_open_dispute_is_in_the_proof_of_a_month_that_is_closed(world: EventWorld) -> None:
    charged(world)
    dispute = disputed(world)
    assert close(world).totals["usd"]["taken_back"] == 4000
    ends(world, dispute, "lost")
    assert due(world.warehouse) == [("paid", 4000, 4000, "lost")]
    write_off(world.warehouse, dispute, ANN)
    assert due(world.warehouse) == []


def test_what_is_collected_again_is_on_the_next_invoice_once_and_is_no_new_revenue(world: EventWorld) -> None:
    charged(world)
    dispute = disputed(world)
    ends(world, dispute, "lost")
    collect_again(world.warehouse, dispute, ANN)
    assert (due(world.warehouse), differences(world)) == ([], [])
    [waiting] = world.warehouse.rows("SELECT customer_id, amount_minor, description FROM billing.adjustments")
    assert waiting == {
        "customer_id": "a", "amount_minor": 4000, "description": "INV-00000001: payment that the bank took back"
    }  # fmt: skip
    for decide in (collect_again, write_off):
        with pytest.raises(DisputeRefused, match="ann has decided already, collect_again"):
            decide(world.warehouse, dispute, ANN)
    [row] = list_disputes(world.warehouse, all_=True)
    with pytest.raises(AdjustmentRefused, match="collects a lost dispute again"):
        revoke(world.warehouse, str(row["adjustment_id"]), ANN)
    assert world.warehouse.scalar("SELECT count(*) FROM billing.adjustments") == 1


@pytest.mark.parametrize("answer", ["comes", "is lost before", "is lost after", "is a stored 500"])
def test_a_dispute_is_given_up_once(world: EventWorld, answer: str) -> None:
    charged(world)
    dispute = disputed(world)
    fault = {
        "is lost before": "drop_before_effect",
        "is lost after": "drop_after_effect",
        "is a stored 500": "error_500_with_effect",
    }.get(answer)
    if fault is not None:
        world.stripe.fault(fault, "POST /v1/disputes/*/close", times=1)
    if answer == "is lost before":
        with pytest.raises(StripeFailure):
            accept_dispute(world.warehouse, world.gateway(), dispute, ANN)
    for _ in range(2):
        row = accept_dispute(world.warehouse, world.gateway(), dispute, ANN)
        assert (row["status"], row["taken_back_minor"], row["waits_for_a_person"]) == ("lost", 4000, True)
    world.catch_up()
    assert [row["status"] for row in list_disputes(world.warehouse)] == ["lost"]


def test_an_inquiry_takes_nothing_and_needs_no_decision(world: EventWorld) -> None:
    charged(world)
    dispute = disputed(world, inquiry=True)
    assert (due(world.warehouse), differences(world)) == ([], [])
    assert [row["status"] for row in list_disputes(world.warehouse)] == ["warning_needs_response"]
    with pytest.raises(DisputeRefused, match="an inquiry takes no money"):
        accept_dispute(world.warehouse, world.gateway(), dispute, ANN)
    world.stripe.control("POST", f"/disputes/{dispute}/escalate")
    world.catch_up()
    assert due(world.warehouse) == [("paid", 4000, 4000, "needs_response")]
    ends(world, dispute, "lost")
    assert differences(world) == [("dispute", "undecided", "decide")]


def test_only_what_is_lost_is_decided(world: EventWorld) -> None:
    charged(world)
    dispute = disputed(world)
    for decide in (write_off, collect_again):
        with pytest.raises(DisputeRefused, match="is needs_response: expected one that is lost"):
            decide(world.warehouse, dispute, ANN)
        with pytest.raises(DisputeRefused, match="expected one of `billing disputes list`"):
            decide(world.warehouse, "du_never", ANN)
    world.stripe.control("POST", f"/disputes/{dispute}/answer")
    with pytest.raises(DisputeRefused, match="the bank has the evidence"):
        accept_dispute(world.warehouse, world.gateway(), dispute, ANN)
    ends(world, dispute, "won")
    with pytest.raises(DisputeRefused, match="is won"):
        write_off(world.warehouse, dispute, ANN)


def test_a_dispute_that_no_event_told_of_is_a_difference(world: EventWorld) -> None:
    charged(world)
    world.stripe.control("POST", "/disputes", {"invoice": world.stripe_id("a")})
    assert differences(world) == [("dispute", "missing_here", "sweep_events")]
    world.catch_up()
    [dispute] = world.mirrored("stripe_disputes")
    world.stripe.control("POST", f"/disputes/{dispute['dispute_id']}/close", {"status": "lost"})
    assert differences(world) == [("dispute", "status", "sweep_events"), ("dispute", "undecided", "decide")]
    world.catch_up()
    world.tamper("UPDATE billing.stripe_disputes SET taken_back_minor = 0")
    assert ("dispute", "amount_or_currency", "sweep_events") in differences(world)


def test_a_part_that_is_disputed_is_due_beside_the_rest(world: EventWorld) -> None:
    charged(world, Bill("a", card="pm_card_chargeCustomerFail"))
    world.stripe.control("POST", "/customer_payment_methods", {"customer": "a", "kind": "good"})
    in_a = world.stripe_id("a")
    world.stripe.control("POST", f"/dashboard/invoices/{in_a}/charge_customer", {"amount_minor": 1000})
    world.catch_up()
    assert due(world.warehouse) == [("open", 0, 3000, None)]
    disputed(world)
    assert due(world.warehouse) == [("open", 1000, 4000, "needs_response")]


def test_postgres_refuses_a_decision_that_does_not_fit_and_the_close_of_an_undecided_month(world: EventWorld) -> None:
    charged(world)
    dispute = disputed(world)
    invoice = world.charges()["a"]["invoice_id"]
    insert = (
        "INSERT INTO billing.dispute_decisions (dispute_id, invoice_id, customer_id, amount_minor, currency, decision,"
        " adjustment_id, author, reason) VALUES (:d, :i, 'a', :amount, 'usd', :decision, NULL, 'ann', 'because')"
    )
    given = {"d": dispute, "i": invoice, "amount": 4000, "decision": "written_off"}

    def refused(said: str, statement: str = insert, **over: Any) -> None:
        with pytest.raises(DBAPIError, match=said):
            world.execute(statement, **({**given, **over} if ":d" in statement else {}))

    refused("is not lost")
    ends(world, dispute, "lost")
    refused("what the bank took back", amount=3999)
    refused("collected_by_an_adjustment", decision="collect_again")
    refused(
        "nobody has decided about it",
        "UPDATE billing.month_books SET closed_at = now(), closed_by = 'ann', reconciliation_id = 1, invoice_count = 1,"
        " stripe_invoice_count = 1, payment_count = 1, totals = '{}', invoices_sha256 = billing.month_digest(billing_month),"
        " stripe_invoices_sha256 = sha256(''), payments_sha256 = sha256('')",
    )
    write_off(world.warehouse, dispute, ANN)
    refused("a decision about a dispute is kept", "DELETE FROM billing.dispute_decisions")
