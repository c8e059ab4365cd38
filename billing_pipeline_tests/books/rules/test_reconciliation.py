"""Both books compared: every difference by its kind, with what could be done; what agrees is silent."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.books.rules.both_books import Books, Known, OurCharge, standing_for
from billing_pipeline.books.rules.reconciliation import AT_STRIPE, compare, ours_of
from billing_pipeline.stripe_gateway.rules.objects import ListedBook, Payment
from billing_pipeline_tests.books.rules.both_sides import (
    books,
    credit_note,
    our_id,
    ours,
    payment,
    refund,
    theirs,
)

STATUSES = ("draft", "open", "paid", "void", "uncollectible")
NOT_YET_SETTLED = ("intended", "drafted", "lines_added", "finalized")


def found(compared: Books) -> list[tuple[str, str, str | None, str]]:
    return [(one.object_type, one.kind, one.stripe_id, one.proposed_action) for one in compare(compared)]


@pytest.mark.parametrize(
    ("charge", "at_stripe"),
    [
        (ours(1, "intended"), []),
        (ours(1, "drafted"), [theirs(1, "draft", 0)]),
        (ours(1, "lines_added"), [theirs(1, "draft")]),
        (ours(1, "finalized"), [theirs(1, "open")]),
        (ours(1, "refused"), [theirs(1, "open")]),
        (ours(1, "parked"), [theirs(1, "open")]),
        (ours(1, "parked"), [theirs(1, "draft", 0)]),
        (ours(1, "parked", stripe_invoice_id=None), []),
        (ours(1, "paid"), [theirs(1)]),
        (ours(1, "paid", 0), [theirs(1, total_minor=0)]),
        (ours(1, "paid", 1200, "jpy"), [theirs(1, "paid", 1200, "jpy")]),
        (ours(1, "paid", 20), [theirs(1, total_minor=20, paid_minor=0)]),
        (ours(1, "paid"), [theirs(1, off_stripe_minor=1000)]),
        (ours(1, "void"), [theirs(1, "void")]),
        (ours(1, "void", stripe_invoice_id=None), []),
        (ours(1, "void"), [theirs(1, "void", 999)]),
        (ours(1, "uncollectible"), [theirs(1, "uncollectible")]),
        (ours(1, "paid"), [theirs(1), theirs(1, "void", stripe_invoice_id="in_older")]),
        (ours(1, "intended"), [theirs(1, "void"), theirs(1, "void", stripe_invoice_id="in_older")]),
    ],
)
def test_a_charge_and_its_invoice_that_agree_are_no_difference(charge: OurCharge, at_stripe: list[ListedBook]) -> None:
    assert found(books([charge], at_stripe)) == []


@pytest.mark.parametrize("state", sorted(AT_STRIPE))
@pytest.mark.parametrize("status", STATUSES)
def test_a_status_that_the_charges_state_does_not_allow_is_a_difference(state: str, status: str) -> None:
    compared = books([ours(1, state, stripe_invoice_id="in_1")], [theirs(1, status)])
    action = "charge_again" if state in NOT_YET_SETTLED else "process_events"
    expected = [] if status in AT_STRIPE[state] else [("invoice", "status", "in_1", action)]
    assert [one for one in found(compared) if one[0] == "invoice"] == expected


@pytest.mark.parametrize(
    ("charge", "invoice", "said"),
    [
        (ours(1, "paid", 4001), theirs(1, "paid", 4000), ("4001 usd", "4000 usd")),
        (ours(1, "paid", 4000, "eur"), theirs(1, "paid", 4000), ("4000 eur", "4000 usd")),
        (ours(1, "drafted", 4000, "eur"), theirs(1, "draft", 0), ("4000 eur", "0 usd")),
        (ours(1, "lines_added", 4001), theirs(1, "draft", 4000), ("4001 usd", "4000 usd")),
        (ours(1, "finalized", -1), theirs(1, "open", 1), ("-1 usd", "1 usd")),
    ],
)
def test_another_amount_or_currency_is_told_from_both_sides(
    charge: OurCharge, invoice: ListedBook, said: tuple[str, str]
) -> None:
    [one] = [one for one in compare(books([charge], [invoice])) if one.object_type == "invoice"]
    assert (one.kind, one.stripe_id, one.invoice_id, one.proposed_action) == (
        "amount_or_currency", "in_1", our_id(1), "look_at_it",
    )  # fmt: skip
    assert (one.ours, one.theirs) == said


def test_an_invoice_that_the_charge_remembers_and_stripe_does_not_list_is_missing_there() -> None:
    [one] = compare(books([ours(1)], []))
    assert (one.object_type, one.kind, one.stripe_id, one.ours, one.theirs, one.proposed_action) == (
        "invoice", "missing_at_stripe", None, "in_1, paid", None, "look_at_it",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("draft", "delete_draft"),
        ("open", "void_at_stripe"),
        ("uncollectible", "void_at_stripe"),
        ("paid", "refund"),
        ("deleted", "look_at_it"),
    ],
)
def test_an_invoice_that_we_do_not_have_asks_for_what_its_status_allows(status: str, action: str) -> None:
    assert found(books([], [theirs(1, status)])) == [("invoice", "missing_here", "in_1", action)]


@pytest.mark.parametrize(
    ("invoice", "over", "is_missed"),
    [
        (theirs(1), {}, True),
        (theirs(1, billing_month=None), {}, True),
        (theirs(1, billing_month="2026-11-01"), {}, False),
        (theirs(1, billing_month="2026-11-01"), {"months": None}, True),
        (theirs(1), {"elsewhere": {our_id(1)}}, False),
        (theirs(1, "void"), {}, False),
    ],
)
def test_an_invoice_is_missed_here_only_in_the_months_that_are_compared(
    invoice: ListedBook, over: dict[str, Any], is_missed: bool
) -> None:
    assert bool(found(books([], [invoice], **over))) is is_missed


@pytest.mark.parametrize(
    ("charge", "statuses", "expected"),
    [
        # beside the one that the charge stands on, the others are too many
        (ours(1, "paid"), {"in_1": "paid", "in_copy": "draft"}, {"in_copy": "delete_draft"}),
        (ours(1, "paid"), {"in_1": "paid", "in_copy": "open"}, {"in_copy": "void_at_stripe"}),
        (ours(1, "paid"), {"in_1": "paid", "in_copy": "paid"}, {"in_copy": "refund"}),
        # which of them is too many is not clear
        (ours(1, "intended"), {"in_1": "draft", "in_copy": "draft"}, {"in_1": "look_at_it", "in_copy": "look_at_it"}),
        (ours(1, "paid"), {"in_x": "paid"}, {"in_x": "look_at_it"}),
        (ours(1, "void"), {"in_1": "void", "in_copy": "open"}, {"in_copy": "look_at_it"}),
        # one live invoice beside a charge that remembers none is the charge's
        (ours(1, "parked", stripe_invoice_id=None), {"in_1": "open", "in_old": "void"}, {}),
    ],
)
def test_more_than_one_live_invoice_for_a_charge_is_a_duplicate(
    charge: OurCharge, statuses: dict[str, str], expected: dict[str, str]
) -> None:
    at_stripe = [theirs(1, status, stripe_invoice_id=stripe_id) for stripe_id, status in statuses.items()]
    duplicates = {
        one.stripe_id: one.proposed_action
        for one in compare(books([charge], at_stripe))
        if (one.object_type, one.kind) == ("invoice", "duplicate")
    }
    assert duplicates == expected


@pytest.mark.parametrize(
    ("remembered", "at_stripe", "standing"),
    [
        ("in_1", ["in_1", "in_2"], "in_1"),
        ("in_3", ["in_1"], None),
        (None, ["in_1"], "in_1"),
        (None, ["in_1", "in_2"], None),
        (None, [], None),
    ],
)
def test_a_charge_stands_on_the_invoice_that_it_remembers_or_on_the_only_live_one(
    remembered: str | None, at_stripe: list[str], standing: str | None
) -> None:
    there = [theirs(1, stripe_invoice_id=stripe_id) for stripe_id in at_stripe]
    dead = theirs(1, "void", stripe_invoice_id="in_dead")
    one = standing_for(ours(1, stripe_invoice_id=remembered), [dead, *there])
    assert (one and one.stripe_invoice_id) == standing


def test_a_void_invoice_is_stood_on_only_by_the_charge_that_remembers_it() -> None:
    dead = theirs(1, "void")
    assert standing_for(ours(1, "void"), [dead]) is dead
    assert standing_for(ours(1, "void", stripe_invoice_id=None), [dead]) is None


def test_only_invoices_that_name_ours_as_we_name_them_are_ours() -> None:
    upper = "ABCDEF00-0000-0000-0000-000000000001"
    named = [
        theirs(n, invoice_id=name) for n, name in enumerate((our_id(1), None, "", "order 66", upper, upper.lower()))
    ]
    assert [one.invoice_id for one in ours_of(named)] == [our_id(1), upper.lower()]


# payments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("invoice", "payments", "expected"),
    [
        (theirs(1), [payment(1)], []),
        (theirs(1), [payment(1, 600), payment(2, 400, stripe_invoice_id="in_1")], []),
        (theirs(1, off_stripe_minor=400), [payment(1, 600)], []),
        (theirs(1), [], [("payment", "missing_at_stripe", None, "look_at_it")]),
        (theirs(1), [payment(1, status="open")], [("payment", "missing_at_stripe", None, "look_at_it")]),
        (theirs(1), [payment(1, 999)], [("payment", "amount_or_currency", "inpay_1", "look_at_it")]),
        (theirs(1), [payment(1, 1001)], [("payment", "amount_or_currency", "inpay_1", "look_at_it")]),
        (theirs(1, off_stripe_minor=1), [payment(1)], [("payment", "amount_or_currency", "inpay_1", "look_at_it")]),
    ],
)
def test_the_payments_of_a_paid_invoice_add_up_to_what_was_collected_for_it(
    invoice: ListedBook, payments: list[Payment], expected: list[tuple[str, str, str | None, str]]
) -> None:
    assert found(books([ours(1)], [invoice], payments)) == expected


def test_the_later_payment_is_the_one_too_many_whatever_the_order_of_the_list() -> None:
    copy = theirs(1, stripe_invoice_id="in_copy")
    first, second = payment(1, after_s=1), payment(2, after_s=2, stripe_invoice_id="in_copy")
    for listed in ([first, second], [second, first]):
        too_many = [one for one in compare(books([ours(1)], [theirs(1), copy], listed)) if one.object_type == "payment"]
        [one] = too_many
        assert (one.kind, one.stripe_id, one.ours, one.theirs, one.proposed_action) == (
            "duplicate", "inpay_2", "1000 usd", "2000 usd in all", "refund",
        )  # fmt: skip


def test_two_payments_at_the_same_second_are_told_apart_by_their_ids() -> None:
    copy = theirs(1, stripe_invoice_id="in_copy")
    twice = [payment(2, stripe_invoice_id="in_copy"), payment(1)]
    assert ("payment", "duplicate", "inpay_2", "refund") in found(books([ours(1)], [theirs(1), copy], twice))


# what events told us -----------------------------------------------------------------------------------------------


def heard(amount_minor: int = 100, currency: str = "usd", status: str = "succeeded", number: int = 1) -> Known:
    return Known(our_id(number), amount_minor, currency, status)


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ({"re_1": heard()}, [refund(1)], []),
        ({}, [refund(1)], [("refund", "missing_here", "re_1", "sweep_events")]),
        ({"re_1": heard()}, [], [("refund", "missing_at_stripe", "re_1", "look_at_it")]),
        ({"re_1": heard(101)}, [refund(1)], [("refund", "amount_or_currency", "re_1", "look_at_it")]),
        ({"re_1": heard(currency="eur")}, [refund(1)], [("refund", "amount_or_currency", "re_1", "look_at_it")]),
        ({"re_1": heard(status="pending")}, [refund(1)], [("refund", "status", "re_1", "sweep_events")]),
        (
            {"re_1": heard(101, status="pending")},
            [refund(1)],
            [("refund", "amount_or_currency", "re_1", "look_at_it"), ("refund", "status", "re_1", "sweep_events")],
        ),
        ({}, [refund(1, payment_intent_id="pi_of_a_stranger")], []),
        ({}, [refund(1, payment_intent_id=None)], []),
    ],
)
def test_refunds_are_compared_with_what_events_told(
    here: dict[str, Known], there: list[Any], expected: list[tuple[str, str, str, str]]
) -> None:
    assert found(books([ours(1)], [theirs(1)], [payment(1)], refunds_here=here, refunds=there)) == expected


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ({"cn_1": heard(status="issued")}, [credit_note(1)], []),
        ({}, [credit_note(1)], [("credit_note", "missing_here", "cn_1", "sweep_events")]),
        ({}, [credit_note(1, stripe_invoice_id="in_of_a_stranger")], []),
        ({"cn_1": heard(status="issued")}, [], [("credit_note", "missing_at_stripe", "cn_1", "look_at_it")]),
        (
            {"cn_1": heard(status="issued")},
            [credit_note(1, status="void")],
            [("credit_note", "status", "cn_1", "sweep_events")],
        ),
    ],
)
def test_credit_notes_are_compared_with_what_events_told(
    here: dict[str, Known], there: list[Any], expected: list[tuple[str, str, str, str]]
) -> None:
    assert found(books([ours(1)], [theirs(1)], credit_notes_here=here, credit_notes=there)) == expected


def test_payments_are_compared_with_what_events_told_where_that_is_given() -> None:
    compared = books([ours(1)], [theirs(1)], [payment(1)], payments_here={})
    assert found(compared) == [("payment", "missing_here", "inpay_1", "sweep_events")]
    known = {"inpay_1": heard(1000, status="paid"), "inpay_9": heard(5, status="paid")}
    compared = books([ours(1)], [theirs(1)], [payment(1)], payments_here=known)
    assert found(compared) == [("payment", "missing_at_stripe", "inpay_9", "look_at_it")]


def test_what_stripe_has_had_for_a_moment_only_is_not_missed_yet() -> None:
    young = {"re_1", "cn_1", "inpay_1"}
    compared = books(
        [ours(1)], [theirs(1)], [payment(1)],
        payments_here={}, refunds=[refund(1)], credit_notes=[credit_note(1)], refunds_here={"re_1": heard(1)}, young=young,
    )  # fmt: skip
    assert found(compared) == []


# the whole ---------------------------------------------------------------------------------------------------------

PAIRS = {
    "drafted": "draft", "lines_added": "draft", "finalized": "open", "refused": "open", "parked": "open",
    "paid": "paid", "void": "void", "uncollectible": "uncollectible",
}  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(sorted(PAIRS)), st.integers(0, 10**9), st.sampled_from(("usd", "jpy")))),
    st.data(),
)
def test_books_that_agree_have_no_difference_and_one_changed_amount_is_one_difference(
    months: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    charges = [ours(n, state, total, currency) for n, (state, total, currency) in enumerate(months)]
    invoices = [theirs(n, PAIRS[state], total, currency) for n, (state, total, currency) in enumerate(months)]
    assert compare(books(charges, invoices)) == []
    open_ones = [n for n, (state, _, _) in enumerate(months) if state in ("finalized", "refused", "uncollectible")]
    if open_ones:
        changed = data.draw(st.sampled_from(open_ones))
        state, total, currency = months[changed]
        invoices[changed] = theirs(changed, PAIRS[state], total + 1, currency)
        assert found(books(charges, invoices)) == [("invoice", "amount_or_currency", f"in_{changed}", "look_at_it")]


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_lists_changes_nothing(chance: random.Random) -> None:
    charges = [ours(1), ours(2, "finalized"), ours(3, "intended"), ours(4, "paid", 500)]
    invoices = [
        theirs(1), theirs(1, "open", stripe_invoice_id="in_copy"), theirs(2, "draft"), theirs(3), theirs(3, "draft", stripe_invoice_id="in_3b"),
        theirs(9), theirs(4, total_minor=501),
    ]  # fmt: skip
    payments = [payment(1), payment(5, stripe_invoice_id="in_copy"), payment(4, 500)]
    expected = compare(books(charges, invoices, payments, refunds=[refund(1), refund(4)]))
    chance.shuffle(charges)
    chance.shuffle(invoices)
    chance.shuffle(payments)
    assert compare(books(charges, invoices, payments, refunds=[refund(4), refund(1)])) == expected
