"""Payments, refunds, credit notes and disputes: ours against Stripe's. Invoices are compared in `reconciliation`."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from billing_pipeline.books.rules.both_books import Books, Difference, Known, standing_for
from billing_pipeline.stripe_gateway.rules.objects import ListedBook, Payment


def payment_differences(books: Books, by_invoice: Mapping[str, Sequence[ListedBook]]) -> Iterator[Difference]:
    """Payments beyond what an invoice asks for, payments that its status wants, and those that no event has told.

    Args:
        books: both sides.
        by_invoice: Stripe's invoices by the id of ours.
    """
    paid_for: dict[str, list[Payment]] = {}
    for payment in books.payments:
        if payment.status == "paid":
            paid_for.setdefault(payment.stripe_invoice_id, []).append(payment)
    for charge in books.charges.values():
        there = by_invoice.get(charge.invoice_id, ())
        one = standing_for(charge, there)
        paid = sorted(
            (payment for listed in there for payment in paid_for.get(listed.stripe_invoice_id, ())),
            key=lambda payment: (payment.created_at, payment.payment_id),
        )
        collected = 0
        for payment in paid:
            collected += payment.paid_minor
            if collected > charge.total_minor and payment is not paid[0]:
                ours, theirs = f"{charge.total_minor} {charge.currency}", f"{collected} {payment.currency} in all"
                yield Difference("payment", "duplicate", payment.payment_id, charge.invoice_id, ours, theirs, "refund")
        if one is None:
            continue
        own = paid_for.get(one.stripe_invoice_id, [])
        sum_minor = sum(payment.paid_minor for payment in own)
        expected = one.paid_minor - one.off_stripe_minor
        if one.status == "paid" and charge.state == "paid" and sum_minor != expected:
            kind = "amount_or_currency" if own else "missing_at_stripe"
            about = (own[0].payment_id if own else None, charge.invoice_id)
            told = f"{sum_minor} {one.currency}" if own else None
            yield Difference("payment", kind, *about, f"{expected} {charge.currency}", told, "look_at_it")
    if books.payments_here is not None:
        yield from _mirrored("payment", books.payments_here, _payments_there(books), books.young)


def refund_differences(books: Books) -> Iterator[Difference]:
    """Refunds as events told us against those that Stripe lists."""
    return _mirrored("refund", books.refunds_here, _refunds_there(books), books.young)


def credit_note_differences(books: Books) -> Iterator[Difference]:
    """Credit notes as events told us against those that Stripe lists."""
    return _mirrored("credit_note", books.credit_notes_here, _notes_there(books), books.young)


def dispute_differences(books: Books) -> Iterator[Difference]:
    """Disputes as events told us against those that Stripe lists, and lost ones about which nobody has decided."""
    there = _disputes_there(books)
    yield from _mirrored("dispute", books.disputes_here, there, books.young, on_amount="sweep_events")
    for dispute_id, one in there.items():
        if one.status == "lost" and one.amount_minor and dispute_id not in books.decided:
            told = f"{one.amount_minor} {one.currency} taken back, lost"
            yield Difference("dispute", "undecided", dispute_id, one.invoice_id, None, told, "decide")


def _payments_there(books: Books) -> dict[str, Known]:
    invoice_of = _invoice_ids(books)
    return {
        one.payment_id: Known(invoice_of[one.stripe_invoice_id], one.paid_minor, one.currency, one.status)
        for one in books.payments
        if one.status == "paid" and one.stripe_invoice_id in invoice_of
    }


def _refunds_there(books: Books) -> dict[str, Known]:
    intents = books.invoice_of_intents()
    return {
        one.refund_id: Known(intents[one.payment_intent_id], one.amount_minor, one.currency, one.status)
        for one in books.refunds
        if one.payment_intent_id in intents
    }


def _disputes_there(books: Books) -> dict[str, Known]:
    intents = books.invoice_of_intents()
    return {
        one.dispute_id: Known(intents[one.payment_intent_id], one.taken_back_minor, one.currency, one.status)
        for one in books.disputes
        if one.payment_intent_id in intents
    }


def _notes_there(books: Books) -> dict[str, Known]:
    invoice_of = _invoice_ids(books)
    return {
        note.credit_note_id: Known(invoice_of[note.stripe_invoice_id], note.total_minor, note.currency, note.status)
        for note in books.credit_notes
        if note.stripe_invoice_id in invoice_of
    }


def _invoice_ids(books: Books) -> dict[str, str]:
    """Our invoice by the charge's invoice at Stripe."""
    return {
        charge.stripe_invoice_id: charge.invoice_id for charge in books.charges.values() if charge.stripe_invoice_id
    }


def _mirrored(
    object_type: str,
    here: Mapping[str, Known],
    there: Mapping[str, Known],
    young: Collection[str],
    on_amount: str = "look_at_it",
) -> Iterator[Difference]:
    """What events told us against what Stripe lists."""
    for stripe_id, theirs in there.items():
        ours = here.get(stripe_id)
        if ours != theirs and stripe_id in young:
            continue
        if ours is None:
            told = f"{theirs.amount_minor} {theirs.currency}, {theirs.status}"
            yield Difference(object_type, "missing_here", stripe_id, theirs.invoice_id, None, told, "sweep_events")
            continue
        if (ours.amount_minor, ours.currency) != (theirs.amount_minor, theirs.currency):
            amounts = f"{ours.amount_minor} {ours.currency}", f"{theirs.amount_minor} {theirs.currency}"
            yield Difference(object_type, "amount_or_currency", stripe_id, theirs.invoice_id, *amounts, on_amount)
        if ours.status != theirs.status:
            statuses = ours.status, theirs.status
            yield Difference(object_type, "status", stripe_id, theirs.invoice_id, *statuses, "sweep_events")
    for stripe_id, ours in here.items():
        if stripe_id not in there:
            told = f"{ours.amount_minor} {ours.currency}, {ours.status}"
            yield Difference(object_type, "missing_at_stripe", stripe_id, ours.invoice_id, told, None, "look_at_it")
