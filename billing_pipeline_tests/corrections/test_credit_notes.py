"""Credit notes against the emulator: once, for what is left, and to where the money belongs, whatever is lost."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import count

import pytest

from billing_pipeline.charging.month_verification import verify_month
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_note_sending import send_pending
from billing_pipeline.corrections.credit_notes import CreditRefused, issue_credit_note
from billing_pipeline.corrections.rules.crediting import CreditLine, Split
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure
from billing_pipeline_tests.charging.world import MONTH, Bill, Emulated, invoice_id_of
from billing_pipeline_tests.corrections.world import CorrectingWorld

FAULTS = ("drop_before_effect", "drop_after_effect", "error_500_without_effect", "error_500_with_effect", "rate_limit")
_names = count()


@pytest.fixture
def world(shared_database: Warehouse, shared_stripe: Emulated) -> Iterator[CorrectingWorld]:
    """One month for all tests here: each adds its customers, and what the others left must stay settled."""
    yield CorrectingWorld(shared_database, shared_stripe)
    shared_stripe.heal()


@pytest.fixture
def name() -> str:
    """A customer of the test's own."""
    return f"customer-{next(_names)}"


def test_a_paid_invoice_is_refunded_in_part_and_then_in_full(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name, (4000, 1000)))
    first = world.credit(name, 1500)
    assert (first.sent.state, first.parts) == ("issued", Split(0, 1500, 0))
    assert world.refunded_minor(name) == 1500
    rest = world.credit(name, reason="all of it")
    assert rest.amount_minor == 3500
    assert world.refunded_minor(name) == 5000
    with pytest.raises(CreditRefused, match="nothing of it is left to credit"):
        world.credit(name, reason="once more")
    notes = world.notes(name)
    assert [note["credit_note_number"] for note in notes] == list(
        range(notes[0]["credit_note_number"], notes[0]["credit_note_number"] + 2)
    )
    assert {note.metadata["number"] for note in world.stripe_notes(name)} == {note["number"] for note in notes}
    assert verify_month(world.warehouse, world.gateway(), MONTH) == []


def test_paid_money_may_go_to_the_balance_instead(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name))
    assert world.credit(name, 1500, to="balance").parts == Split(0, 0, 1500)
    assert (world.refunded_minor(name), world.balance_minor(name)) == (0, 1500)


def test_an_open_invoice_gets_smaller_and_is_then_paid_at_what_is_left(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name, card="pm_card_chargeCustomerFail"))
    assert world.states()[name] == ("refused", "declined")
    assert world.credit(name, 1500).parts == Split(1500, 0, 0)
    assert world.stripe_invoice(name).amount_remaining == 2500
    world.stripe.api.invoices.pay(world.stripe_invoice(name).id, {"payment_method": "pm_card_visa"})
    refund = world.credit(name, reason="the rest")
    assert (refund.parts, world.refunded_minor(name)) == (Split(0, 2500, 0), 2500)
    assert world.states()[name] == ("paid", None), "our charge followed what Stripe said"


def test_an_open_invoice_that_is_credited_in_full_is_paid_without_money(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name, card="pm_card_chargeCustomerFail"))
    world.credit(name)
    assert (world.states()[name], world.stripe_invoice(name).status) == (("paid", None), "paid")
    assert world.stripe.payments()[invoice_id_of(name)] == 0
    assert verify_month(world.warehouse, world.gateway(), MONTH) == []


def test_more_than_is_left_is_refused_before_anything_happens(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name))
    with pytest.raises(CreditRefused, match=r"40.01 USD is more than the 40.00 USD that is left of 40.00 USD"):
        world.credit(name, 4001)
    with pytest.raises(CreditRefused, match="expected an amount above 0"):
        world.credit(name, 0)
    with pytest.raises(UserError, match="author"):
        world.credit(name, 1, author=" ")
    with pytest.raises(UserError, match="expected refund, balance or elsewhere"):
        world.credit(name, 1, to="cash")
    assert world.notes(name) == []
    assert world.stripe_notes(name) == []


def test_what_is_not_final_or_not_at_stripe_is_not_credited(world: CorrectingWorld, name: str) -> None:
    world.drafts(Bill(name))
    with pytest.raises(CreditRefused, match="is not final"):
        world.credit(name)
    finalise_month(world.warehouse, MONTH, "run")
    with pytest.raises(CreditRefused, match="is not at Stripe yet"):
        world.credit(name)
    world.charge()
    with pytest.raises(UserError, match="expected the number or the id of an invoice"):
        issue_credit_note(world.warehouse, world.gateway(), "INV-9", Signature("a", "r"))


def test_a_line_is_credited_once(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name, (4000, 1000)))
    world.credit(name, lines=[CreditLine("line 2 was wrong", 1000, 2)])
    with pytest.raises(CreditRefused, match="line 2 over 1000 is not credited with 1001"):
        world.credit(name, lines=[CreditLine("again", 1, 2)], reason="again")
    assert world.refunded_minor(name) == 1000


def test_the_same_command_again_is_the_same_credit_note(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name))
    first, second = world.credit(name, 1500), world.credit(name, 1500)
    assert first.number == second.number
    assert (len(world.notes(name)), world.refunded_minor(name)) == (1, 1500)


def test_what_stripe_is_sent_was_frozen_with_the_credit_note(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name))
    world.credit(name, 1500)
    [note] = world.notes(name)
    body = bytes(note["request_body"])
    assert bytes(note["request_sha256"]) == sha256(body).digest()
    assert json.loads(body)["metadata"] == {
        "credit_note_id": str(note["credit_note_id"]),
        "invoice_id": invoice_id_of(name),
        "number": note["number"],
    }
    assert json.loads(body)["refund_amount"] == 1500
    log = world.warehouse.rows(
        "SELECT actor, action FROM billing.automation_log WHERE object_id = :id ORDER BY log_id",
        id=str(note["credit_note_id"]),
    )
    assert log == [
        {"actor": "ann", "action": "credit_note.issue"},
        {"actor": "ann", "action": "stripe.credit_note.create"},
    ]


@pytest.mark.parametrize("to", ["refund", "balance"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", ["POST /v1/credit_notes", "GET /v1/credit_notes"])
def test_a_lost_answer_credits_once(world: CorrectingWorld, name: str, call: str, fault: str, to: str) -> None:
    world.charged(Bill(name))
    world.stripe.fault(fault, call, times=1)
    world.credit(name, 1500, to=to)
    send_pending(world.warehouse, world.gateway(), actor="ann")
    assert [note["state"] for note in world.notes(name)] == ["issued"]
    assert len(world.stripe_notes(name)) == 1
    assert world.refunded_minor(name) + world.balance_minor(name) == 1500


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("to", ["refund", "balance"])
def test_a_killed_process_leaves_one_credit_note_for_the_next(
    world: CorrectingWorld, name: str, when: str, to: str
) -> None:
    world.charged(Bill(name))
    world.killed("create_credit_note", when, "credit", invoice_id_of(name), "1500", to)
    assert [note["state"] for note in world.notes(name)] == ["intended"]
    [sent] = send_pending(world.warehouse, world.gateway(), actor="ann")
    assert sent.state == "issued"
    assert (len(world.notes(name)), len(world.stripe_notes(name))) == (1, 1)
    assert world.refunded_minor(name) + world.balance_minor(name) == 1500
    assert send_pending(world.warehouse, world.gateway(), actor="ann") == []


def test_two_operators_at_once_credit_once_and_the_other_is_told(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name))
    world.stripe.fault("latency", "POST /v1/credit_notes", times=1, latency_ms=400)

    def attempt(author: str) -> str:
        try:
            return world.credit(name, 4000, author=author, reason=f"asked by {author}").sent.state
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(attempt, ["ann", "bob"]))
    assert said.count("issued") == 1, said
    assert any("somebody else is at work on it" in line or "nothing of it is left" in line for line in said)
    assert (len(world.stripe_notes(name)), world.refunded_minor(name)) == (1, 4000)


def test_what_stripe_refuses_counts_for_nothing_and_keeps_its_number(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name))
    charge = world.stripe.api.charges.list({"customer": world.charges()[name]["stripe_customer_id"]}).data[0]
    world.stripe.api.refunds.create({"charge": charge.id})  # somebody refunded it in the dashboard
    done = world.credit(name, 1500)
    assert (done.sent.state, done.sent.reason_code) == ("refused", "already_refunded")
    assert world.refunded_minor(name) == 4000
    again = world.credit(name, 1500, to="balance")
    assert (again.sent.state, world.balance_minor(name)) == ("issued", 1500)
    numbers = [note["credit_note_number"] for note in world.notes(name)]
    assert numbers == [numbers[0], numbers[0] + 1]


def test_a_key_that_stripe_does_not_accept_issues_nothing(world: CorrectingWorld, name: str) -> None:
    world.charged(Bill(name))
    world.stripe.fault("drop_before_effect", "GET /v1/invoices/*", times=1)
    with pytest.raises(StripeFailure):
        world.credit(name)
    assert world.notes(name) == []


def test_what_never_came_through_stripe_is_not_refunded_there_and_uses_up_no_number(
    world: CorrectingWorld, name: str
) -> None:
    world.charged(Bill(name, card=None))
    invoice = world.stripe_invoice(name).id
    world.stripe.control("POST", f"/dashboard/invoices/{invoice}/mark_paid")
    numbered = "SELECT last_number FROM billing.credit_note_numbering"
    before = world.warehouse.scalar(numbered)
    with pytest.raises(CreditRefused, match=r"paid outside Stripe: of 15.00 USD only 0.00 USD can be refunded there"):
        world.credit(name, 1500)
    assert (world.notes(name), world.warehouse.scalar(numbered)) == ([], before)
    assert world.states()[name] == ("paid", None)
    elsewhere = world.credit(name, 1500, to="elsewhere")
    assert (elsewhere.sent.state, elsewhere.parts) == ("issued", Split(0, 0, 0, 1500))
    assert [note.out_of_band_amount for note in world.stripe_notes(name)] == [1500]
    assert (world.refunded_minor(name), world.balance_minor(name)) == (0, 0)
    assert world.credit(name, to="balance", reason="the rest").parts == Split(0, 0, 2500)
    assert verify_month(world.warehouse, world.gateway(), MONTH) == []
