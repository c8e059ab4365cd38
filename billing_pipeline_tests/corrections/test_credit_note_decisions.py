"""What a person decides about a parked credit note, once and with a trace."""

from itertools import count
from typing import Any

import pytest

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_note_decisions import NotParked, drop_parked, retry_parked
from billing_pipeline.corrections.credit_note_sending import send_pending
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Bill, Emulated
from billing_pipeline_tests.corrections.world import CorrectingWorld

WHY = Signature("ann", "looked at it")
_names = count()


@pytest.fixture(scope="module")
def world(shared_database: Warehouse, shared_stripe: Emulated) -> CorrectingWorld:
    return CorrectingWorld(shared_database, shared_stripe)


@pytest.fixture
def parked(world: CorrectingWorld) -> tuple[str, str, str]:
    """A customer whose credit note met a stranger's with its id and another amount; its number, the stranger's id."""
    name = f"customer-{next(_names)}"
    world.charged(Bill(name, card=None))
    world.stripe.fault("drop_before_effect", "POST /v1/credit_notes", times=3)
    assert world.credit(name, 1500).sent.pending
    [note] = world.notes(name)
    other = world.stripe.api.credit_notes.create(
        {
            "invoice": world.stripe_invoice(name).id,
            "amount": 700,
            "metadata": {"credit_note_id": str(note["credit_note_id"])},
        }
    )
    [sent] = send_pending(world.warehouse, world.gateway(), actor="ann")
    assert (sent.state, sent.reason_code) == ("parked", "amount_differs")
    return name, sent.number, other.id


def _log(world: CorrectingWorld, number: str) -> list[dict[str, Any]]:
    return world.warehouse.rows(
        "SELECT l.action, l.actor, l.reason FROM billing.automation_log AS l JOIN billing.credit_notes AS n"
        " ON l.object_id = n.credit_note_id::text WHERE n.number = :n AND action IN"
        " ('credit_note.retry', 'credit_note.drop') ORDER BY log_id",
        n=number,
    )


def test_what_stands_at_stripe_is_not_dropped_and_a_retry_parks_it_again(world: CorrectingWorld, parked: Any) -> None:
    name, number, other = parked
    with pytest.raises(NotParked, match=f"{number} is at Stripe as {other}: void what is wrong there first"):
        drop_parked(world.warehouse, world.gateway(), number, WHY)
    sent = retry_parked(world.warehouse, world.gateway(), number, WHY)
    assert (sent.state, sent.reason_code) == ("parked", "amount_differs")
    assert [n.amount for n in world.stripe_notes(name)] == [700]


def test_a_retry_after_the_wrong_one_was_voided_issues_it_once(world: CorrectingWorld, parked: Any) -> None:
    name, number, other = parked
    world.stripe.api.credit_notes.void_credit_note(other)
    assert retry_parked(world.warehouse, world.gateway(), number, WHY).state == "issued"
    assert sorted((n.amount, n.status) for n in world.stripe_notes(name)) == [(700, "void"), (1500, "issued")]
    with pytest.raises(NotParked, match="is issued: only a parked one waits"):
        retry_parked(world.warehouse, world.gateway(), number, WHY)
    assert _log(world, number) == [{"action": "credit_note.retry", "actor": "ann", "reason": "looked at it"}]


def test_a_dropped_one_counts_for_nothing_keeps_its_number_and_says_who_let_it_go(
    world: CorrectingWorld, parked: Any
) -> None:
    name, number, other = parked
    world.stripe.api.credit_notes.void_credit_note(other)
    drop_parked(world.warehouse, world.gateway(), number.lower(), WHY)
    [note] = world.notes(name)
    assert (note["state"], note["reason_code"], note["state_reason"]) == ("refused", "dropped", "looked at it")
    assert _log(world, number) == [{"action": "credit_note.drop", "actor": "ann", "reason": "looked at it"}]
    assert world.credit(name, 4000, reason="all of it").sent.state == "issued"


@pytest.mark.parametrize(("number", "says"), [("CN-99999999", "found none"), ("x", "expected a number such as")])
def test_an_unknown_number_is_named(world: CorrectingWorld, number: str, says: str) -> None:
    with pytest.raises(NotParked, match=says):
        drop_parked(world.warehouse, world.gateway(), number, WHY)
