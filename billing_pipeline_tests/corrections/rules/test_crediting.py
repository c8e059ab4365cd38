"""How an amount is taken back, and what the next step is: the same for the same facts."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.charging.rules import decisions
from billing_pipeline.corrections.rules import crediting
from billing_pipeline.corrections.rules.crediting import (
    CreditLine,
    CreditNote,
    Seen,
    Split,
    credit_note_id,
    frozen_request,
    idempotency_key,
    next_step,
    split,
)
from billing_pipeline.stripe_gateway.rules.api import StripeCreditNote

NOTE = CreditNote("n", "CN-00000001", "i", 400, 100, "usd", "intended", 1, "in_1")
FOUND = StripeCreditNote("cn_1", "n", "in_1", "issued", "usd", 400, 100)
minor = st.integers(0, 10**12)


@given(minor, minor, minor, st.sampled_from(crediting.DESTINATIONS))
def test_every_minor_unit_goes_somewhere_and_nothing_beyond_its_limit(amount, remaining, refundable, to):
    parts = split(amount, remaining_minor=remaining, refundable_minor=refundable, to=to)
    assert parts.amount_minor == amount
    assert min(parts.reduction_minor, parts.refund_minor, parts.balance_minor, parts.elsewhere_minor) >= 0
    assert parts.reduction_minor == min(amount, remaining)
    assert parts.refund_minor <= (refundable if to == crediting.REFUND else 0)


def test_the_request_is_canonical_and_names_only_the_parts_that_exist():
    given: dict[str, Any] = {
        "note_id": "n", "number": "CN-1", "invoice_id": "i", "stripe_invoice_id": "in_1", "reason": "r",
        "lines": [CreditLine("d", 5)],
    }  # fmt: skip
    body = frozen_request(**given, parts=Split(5, 0, 0))
    assert body == (
        b'{"invoice":"in_1","lines":[{"description":"d","quantity":1,"type":"custom_line_item","unit_amount":5}],'
        b'"memo":"r","metadata":{"credit_note_id":"n","invoice_id":"i","number":"CN-1"}}'
    )
    mixed = json.loads(frozen_request(**given, parts=Split(0, 3, 2)))
    assert (mixed["refund_amount"], mixed["credit_amount"]) == (3, 2)
    with pytest.raises(ValueError, match="do not add up"):
        frozen_request(**given, parts=Split(0, 3, 1))


def test_ids_and_keys_are_derived():
    assert credit_note_id("a", 1) == credit_note_id("a", "1") != credit_note_id("a1")
    assert idempotency_key("n", 1) == "n:credit"
    assert idempotency_key("n", 2) == "n:credit:2"


@pytest.mark.parametrize(
    ("note", "seen", "step"),
    [
        (NOTE, Seen(), decisions.Look()),
        (NOTE, Seen(()), crediting.Create()),
        (NOTE, Seen((FOUND,)), crediting.Issued("cn_1")),
        (NOTE, Seen((replace(FOUND, id="cn_0", status="void"), FOUND)), crediting.Issued("cn_1")),
        (NOTE, Seen((), burnt=True), decisions.RaiseAttempt()),
        (NOTE, Seen((FOUND,), burnt=True), crediting.Issued("cn_1")),
        (NOTE, Seen((), contradicted="no"), decisions.Refuse("not_as_believed", "no")),
        (NOTE, Seen((FOUND,), contradicted="no"), crediting.Issued("cn_1")),
        (replace(NOTE, state="issued"), Seen(()), decisions.Stop()),
        (replace(NOTE, state="refused"), Seen(()), decisions.Stop()),
        (replace(NOTE, state="parked"), Seen(()), decisions.Stop()),
    ],
)
def test_the_next_step(note, seen, step):
    assert next_step(note, seen) == step


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ((FOUND, replace(FOUND, id="cn_2")), "duplicate_at_stripe"),
        ((replace(FOUND, amount_minor=401),), "amount_differs"),
        ((replace(FOUND, reduction_minor=0),), "reduction_differs"),
        ((replace(FOUND, currency="eur"),), "currency_differs"),
        ((replace(FOUND, stripe_invoice_id="in_2"),), "invoice_differs"),
        ((replace(FOUND, status="void"),), "void_at_stripe"),
        ((replace(FOUND, status="frozen"),), "status_unknown"),
    ],
)
def test_what_is_not_as_ordered_is_left_to_a_person(found, code):
    step = next_step(NOTE, Seen(found))
    assert isinstance(step, decisions.Park)
    assert step.reason_code == code
