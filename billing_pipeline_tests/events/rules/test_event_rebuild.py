"""Where every invoice's money stands, from events alone: whatever their order, and however often they come."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.events.rules.event_rebuild import PaymentFold, PaymentState

OURS = "00000000-0000-0000-0000-000000000001"
SECOND = "00000000-0000-0000-0000-000000000002"


def said(object_type: str, key: str, status: str, **fields: Any) -> dict[str, Any]:
    return {"type": "x", "data": {"object": {"object": object_type, "id": key, "status": status, **fields}}}


def invoice(status: str, key: str = "in_1", ours: Any = OURS) -> dict[str, Any]:
    return said("invoice", key, status, metadata={"invoice_id": ours})


def payment(amount_minor: Any = 1000, status: str = "paid", key: str = "inpay_1", **over: Any) -> dict[str, Any]:
    values = {"invoice": "in_1", "amount_paid": amount_minor, "payment": {"payment_intent": "pi_1"}, **over}
    return said("invoice_payment", key, status, **values)


def refund(amount_minor: Any, status: str = "succeeded", key: str = "re_1", intent: Any = "pi_1") -> dict[str, Any]:
    return said("refund", key, status, amount=amount_minor, payment_intent=intent)


def note(total_minor: int, status: str = "issued", key: str = "cn_1") -> dict[str, Any]:
    return said("credit_note", key, status, total=total_minor, invoice="in_1")


def dispute(amount_minor: int, status: str, key: str = "dp_1") -> dict[str, Any]:
    return said("dispute", key, status, amount=amount_minor, payment_intent="pi_1")


def folded(*events: Any) -> dict[str, PaymentState]:
    fold = PaymentFold()
    for event in events:
        fold.take(event)
    return fold.states({OURS: "in_1", SECOND: "in_2"}.get)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (("draft",), "open"),
        (("draft", "open"), "open"),
        (("open", "draft"), "open"),
        (("draft", "open", "paid"), "paid"),
        (("paid", "open", "draft"), "paid"),
        (("open", "uncollectible"), "uncollectible"),
        (("uncollectible", "open"), "uncollectible"),
        (("uncollectible", "paid"), "paid"),
        (("paid", "uncollectible"), "paid"),
        (("void", "uncollectible", "open"), "void"),
        (("open", "deleted"), "open"),
    ],
)
def test_the_furthest_status_of_an_invoice_counts_whatever_came_last(statuses: tuple[str, ...], status: str) -> None:
    assert folded(*(invoice(one) for one in statuses)) == {OURS: PaymentState(status)}


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([payment()], PaymentState("paid", paid_minor=1000)),
        ([payment(600), payment(400, key="inpay_2")], PaymentState("paid", paid_minor=1000)),
        ([payment(status="open")], PaymentState("paid")),
        ([payment(status="canceled")], PaymentState("paid")),
        ([payment(status="open"), payment()], PaymentState("paid", paid_minor=1000)),
        ([payment(), payment(status="open")], PaymentState("paid", paid_minor=1000)),
        ([payment(invoice={"id": "in_1"})], PaymentState("paid", paid_minor=1000)),
        ([payment(invoice="in_of_a_stranger")], PaymentState("paid")),
        ([payment(invoice=None)], PaymentState("paid")),
        ([payment(None)], PaymentState("paid")),
        ([payment(payment=None), refund(5)], PaymentState("paid", paid_minor=1000)),
        ([payment(), refund(100)], PaymentState("paid", 1000, refunded_minor=100)),
        ([payment(), refund(100, "pending")], PaymentState("paid", 1000, refunded_minor=100)),
        ([payment(), refund(100, "failed")], PaymentState("paid", 1000)),
        ([payment(), refund(100), refund(100, "failed")], PaymentState("paid", 1000)),
        ([payment(), refund(100, "failed"), refund(100)], PaymentState("paid", 1000)),
        ([payment(), refund(100, "canceled")], PaymentState("paid", 1000)),
        ([payment(), refund(100), refund(50, key="re_2")], PaymentState("paid", 1000, refunded_minor=150)),
        ([payment(), refund(100, intent={"id": "pi_1"})], PaymentState("paid", 1000, refunded_minor=100)),
        ([payment(), refund(100, intent="pi_of_a_stranger")], PaymentState("paid", 1000)),
        ([payment(), refund(100, intent=None)], PaymentState("paid", 1000)),
        ([note(70)], PaymentState("paid", credited_minor=70)),
        ([note(70), note(30, key="cn_2")], PaymentState("paid", credited_minor=100)),
        ([note(70), note(70, "void")], PaymentState("paid")),
        ([note(70, "void"), note(70)], PaymentState("paid")),
        ([payment(), dispute(1000, "lost")], PaymentState("paid", 1000, lost_in_disputes_minor=1000)),
        ([payment(), dispute(1000, "needs_response")], PaymentState("paid", 1000)),
        ([payment(), dispute(1000, "won"), dispute(1000, "under_review")], PaymentState("paid", 1000)),
        (
            [payment(), dispute(1000, "lost"), dispute(1000, "needs_response")],
            PaymentState("paid", 1000, lost_in_disputes_minor=1000),
        ),
    ],
)
def test_money_is_added_up_from_each_objects_furthest_state(events: list[dict[str, Any]], state: PaymentState) -> None:
    assert folded(invoice("paid"), *events) == {OURS: state}


def test_a_copy_at_stripe_and_a_strangers_invoice_do_not_count() -> None:
    copy, its_payment = invoice("paid", "in_copy"), payment(invoice="in_copy")
    stranger = invoice("paid", "in_9", ours="order 66")
    nameless = said("invoice", "in_8", "paid", metadata=None)
    unknown_to_us = invoice("paid", "in_7", ours="00000000-0000-0000-0000-000000000007")
    assert folded(invoice("open"), copy, its_payment, stranger, nameless, unknown_to_us) == {OURS: PaymentState("open")}


def test_each_invoice_has_its_own_money() -> None:
    second = [
        invoice("paid", "in_2", SECOND),
        payment(7, key="inpay_2", invoice="in_2", payment={"payment_intent": "pi_2"}),
    ]
    found = folded(invoice("paid"), payment(), *second, refund(3, intent="pi_2"))
    assert found == {OURS: PaymentState("paid", 1000), SECOND: PaymentState("paid", 7, refunded_minor=3)}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"data": None},
        {"data": "x"},
        {"data": {"object": None}},
        {"data": {"object": "in_1"}},
        said("customer", "cus_1", "active"),
        said("invoice", "in_2", "unheard of"),
        {"data": {"object": {"object": "invoice", "id": 7, "status": "paid"}}},
        {"data": {"object": {"object": ["invoice"], "id": "in_1", "status": {"a": 1}}}},
    ],
)
def test_what_is_not_about_payments_or_not_understood_is_passed_over(event: dict[str, Any]) -> None:
    assert folded(event, invoice("open"), event) == {OURS: PaymentState("open")}


HISTORY = [
    invoice("draft"), invoice("open"), invoice("paid"), payment(status="open"), payment(),
    payment(250, key="inpay_2", payment={"payment_intent": "pi_2"}), refund(100, "pending"), refund(100),
    refund(40, key="re_2", intent="pi_2"), refund(40, "failed", key="re_2", intent="pi_2"), note(70), note(70, "void"),
    note(9, key="cn_2"), dispute(30, "needs_response"), dispute(30, "lost"),
]  # fmt: skip


@given(st.randoms(use_true_random=False), st.integers(0, 20))
def test_neither_order_nor_repetition_of_events_matters(chance: random.Random, repeated: int) -> None:
    events = [*HISTORY, *chance.choices(HISTORY, k=repeated)]
    chance.shuffle(events)
    expected = PaymentState("paid", 1250, refunded_minor=100, credited_minor=9, lost_in_disputes_minor=30)
    assert folded(*events) == {OURS: expected}
