"""A month is proven where both sides and the payments add up to the minor unit, and not otherwise."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.books.rules.month_proof import TOTALS, NotProven, prove
from billing_pipeline.stripe_gateway.rules.objects import ListedBook
from billing_pipeline_tests.books.rules.both_sides import books, our_id, ours, payment, theirs


def totals(**by_name: int) -> dict[str, int]:
    return {**dict.fromkeys(TOTALS, 0), **by_name}


def test_a_month_without_charges_is_proven_and_empty() -> None:
    proof = prove(books([], []))
    assert (proof.stripe_invoice_count, proof.payment_count, proof.totals) == (0, 0, {})


def test_totals_are_told_by_currency_and_add_up() -> None:
    charges = [
        ours(1), ours(2, "uncollectible", 300), ours(3, "void", 70), ours(4, "paid", 20), ours(5, "paid", 900, "jpy"),
        ours(6, "void", 5, stripe_invoice_id=None),
    ]  # fmt: skip
    at_stripe = [
        theirs(1), theirs(2, "uncollectible", 300), theirs(3, "void", 70), theirs(4, total_minor=20, paid_minor=0),
        theirs(5, "paid", 900, "jpy"),
    ]  # fmt: skip
    proof = prove(books(charges, at_stripe, [payment(1), payment(5, 900, "jpy"), payment(2, 300, status="canceled")]))
    assert proof.totals == {
        "jpy": totals(invoiced=900, paid=900, collected=900),
        "usd": totals(invoiced=1320, paid=1020, collected=1000, otherwise=20, written_off=300, voided=75),
    }
    assert (proof.stripe_invoice_count, proof.payment_count) == (5, 2)


@pytest.mark.parametrize("state", ["intended", "drafted", "lines_added", "finalized", "refused", "parked"])
def test_a_charge_that_is_not_settled_stands_in_the_way_by_name(state: str) -> None:
    with pytest.raises(NotProven) as refusal:
        prove(books([ours(1), ours(2, state)], [theirs(1), theirs(2, "open")]))
    assert str(refusal.value) == (
        f"1 charge(s) are not settled, such as {our_id(2)} of customer c2, which is {state}:"
        " expected paid, void or uncollectible"
    )


@pytest.mark.parametrize(
    ("at_stripe", "why"),
    [
        ([], "paid in usd: our invoices add up to 1000, Stripe's to 0"),
        ([theirs(1, total_minor=999)], "paid in usd: our invoices add up to 1000, Stripe's to 999"),
        ([theirs(1, "open")], "paid in usd: our invoices add up to 1000, Stripe's to 0"),
        ([theirs(1, currency="eur")], "paid in usd: our invoices add up to 1000, Stripe's to 0"),
        ([theirs(1, stripe_invoice_id="in_other")], "paid in usd: our invoices add up to 1000, Stripe's to 0"),
    ],
)
def test_sums_that_do_not_agree_to_the_minor_unit_prove_nothing(at_stripe: list[ListedBook], why: str) -> None:
    with pytest.raises(NotProven) as refusal:
        prove(books([ours(1)], at_stripe))
    assert str(refusal.value) == why


def test_what_stripe_still_collects_for_a_charge_that_is_void_here_is_seen() -> None:
    with pytest.raises(NotProven, match="paid in usd: our invoices add up to 0, Stripe's to 1000"):
        prove(books([ours(1, "void")], [theirs(1)]))


def test_a_copy_at_stripe_and_its_payment_are_no_part_of_the_proof() -> None:
    alone = prove(books([ours(1)], [theirs(1)], [payment(1)]))
    copy, its_payment = theirs(1, stripe_invoice_id="in_copy"), payment(2, stripe_invoice_id="in_copy")
    assert prove(books([ours(1)], [theirs(1), copy], [payment(1), its_payment])) == alone


@pytest.mark.parametrize(
    "changed",
    [
        theirs(1, stripe_invoice_id="in_3"),
        theirs(1, paid_minor=999),
    ],
)
def test_the_digest_of_invoices_changes_with_what_it_seals(changed: ListedBook) -> None:
    before = prove(books([ours(1)], [theirs(1)], [payment(1)]))
    after = prove(
        books([ours(1, stripe_invoice_id=changed.stripe_invoice_id)], [changed],
              [payment(1, stripe_invoice_id=changed.stripe_invoice_id)])
    )  # fmt: skip
    assert after.stripe_invoices_sha256 != before.stripe_invoices_sha256


@pytest.mark.parametrize("over", [{"payment_id": "inpay_9"}, {"paid_minor": 999}])
def test_the_digest_of_payments_changes_with_what_it_seals(over: dict[str, object]) -> None:
    before = prove(books([ours(1)], [theirs(1)], [payment(1)]))
    after = prove(books([ours(1)], [theirs(1)], [replace(payment(1), **over)]))  # type: ignore[arg-type]
    assert after.payments_sha256 != before.payments_sha256
    assert after.stripe_invoices_sha256 == before.stripe_invoices_sha256


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("paid", "void", "uncollectible")),
            st.integers(-(10**6), 10**9),
            st.sampled_from(("usd", "eur", "jpy")),
            st.integers(0, 10**6),
        )
    ),
    st.randoms(use_true_random=False),
)
def test_for_every_month_the_totals_add_up_and_the_order_of_lists_does_not_matter(
    months: list[tuple[str, int, str, int]], chance: random.Random
) -> None:
    charges = [ours(n, state, total, currency) for n, (state, total, currency, _) in enumerate(months)]
    at_stripe = [theirs(n, state, total, currency) for n, (state, total, currency, _) in enumerate(months)]
    payments = [payment(n, paid, currency) for n, (state, _, currency, paid) in enumerate(months) if state == "paid"]
    proof = prove(books(charges, at_stripe, payments))
    for currency, sums in proof.totals.items():
        assert tuple(sums) == TOTALS
        assert sums["invoiced"] == sums["paid"] + sums["written_off"]
        assert sums["paid"] == sums["collected"] + sums["otherwise"]
        of_currency = [(state, total) for state, total, theirs_, _ in months if theirs_ == currency]
        assert sums["voided"] == sum(total for state, total in of_currency if state == "void")
        assert sums["invoiced"] == sum(total for state, total in of_currency if state != "void")
    assert proof.stripe_invoice_count == len(months)
    for listed in (charges, at_stripe, payments):
        chance.shuffle(listed)
    assert prove(books(charges, at_stripe, payments)) == proof
