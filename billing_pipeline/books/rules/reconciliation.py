"""Our books against Stripe's: pure comparison of lists, every difference with its kind and what could be done.

Invoices are matched by the id in their metadata and by the id that our charge remembers; payments, refunds and credit
notes by the invoice that they belong to and by their own id.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from billing_pipeline.books.rules.both_books import Books, Difference, OurCharge, standing_for
from billing_pipeline.books.rules.money_differences import (
    credit_note_differences,
    dispute_differences,
    payment_differences,
    refund_differences,
)
from billing_pipeline.events.rules.stripe_events import is_our_id
from billing_pipeline.stripe_gateway.rules.objects import ListedBook

AT_STRIPE: dict[str, frozenset[str]] = {
    "intended": frozenset(),
    "drafted": frozenset({"draft"}),
    "lines_added": frozenset({"draft"}),
    "finalized": frozenset({"open"}),
    "refused": frozenset({"open"}),
    # its outcome is unknown: only a payment or a final status at Stripe contradicts it
    "parked": frozenset({"draft", "open"}),
    "paid": frozenset({"paid"}),
    "void": frozenset({"void"}),
    "uncollectible": frozenset({"uncollectible"}),
}
"""State of our charge -> statuses that its invoice may have at Stripe."""

_SUPERFLUOUS = {"draft": "delete_draft", "open": "void_at_stripe", "uncollectible": "void_at_stripe", "paid": "refund"}


def compare(books: Books) -> list[Difference]:
    """All differences, in a fixed order."""
    by_invoice: dict[str, list[ListedBook]] = {}
    for listed in books.invoices:
        by_invoice.setdefault(str(listed.invoice_id), []).append(listed)
    found = [
        *_invoices(books, by_invoice),
        *payment_differences(books, by_invoice),
        *refund_differences(books),
        *credit_note_differences(books),
        *dispute_differences(books),
    ]
    found.sort(key=lambda one: (one.object_type, one.kind, str(one.invoice_id), str(one.stripe_id)))
    return [replace(one, number=_number(books, one)) for one in found]


def _number(books: Books, one: Difference) -> str | None:
    charge = books.charges.get(one.invoice_id or "")
    return charge.number if charge is not None else None


def ours_of(invoices: Iterable[ListedBook]) -> list[ListedBook]:
    """Those of Stripe's invoices that name an invoice as we name them."""
    return [listed for listed in invoices if is_our_id(listed.invoice_id)]


def _invoices(books: Books, by_invoice: Mapping[str, Sequence[ListedBook]]) -> Iterator[Difference]:
    for invoice_id, there in by_invoice.items():
        charge = books.charges.get(invoice_id)
        if charge is not None:
            yield from _superfluous(charge, [one for one in there if one.stripe_invoice_id not in books.adopted])
        elif invoice_id not in books.elsewhere:
            for one in there:
                if one.status != "void" and (books.months is None or one.billing_month in (None, *books.months)):
                    action = _SUPERFLUOUS.get(one.status, "look_at_it")
                    yield Difference(
                        "invoice", "missing_here", one.stripe_invoice_id, invoice_id, None, _told(one), action
                    )
    for charge in books.charges.values():
        yield from _matched(charge, by_invoice.get(charge.invoice_id, ()))


def _superfluous(charge: OurCharge, there: Sequence[ListedBook]) -> Iterator[Difference]:
    """More than one live invoice at Stripe stands for ours."""
    live = [one for one in there if one.status != "void"]
    others = [one for one in live if one.stripe_invoice_id != charge.stripe_invoice_id]
    if len(live) < 2 and not (others and charge.stripe_invoice_id is not None):
        return
    # which of them is superfluous is known only if one of them is the charge's
    is_clear = len(others) < len(live)
    for one in others:
        action = _SUPERFLUOUS.get(one.status, "look_at_it") if is_clear else "look_at_it"
        ours = charge.stripe_invoice_id or charge.state
        yield Difference("invoice", "duplicate", one.stripe_invoice_id, charge.invoice_id, ours, _told(one), action)


def _matched(charge: OurCharge, there: Sequence[ListedBook]) -> Iterator[Difference]:
    one = standing_for(charge, there)
    if one is None:
        if charge.stripe_invoice_id is not None:
            told = f"{charge.stripe_invoice_id}, {charge.state}"
            yield Difference("invoice", "missing_at_stripe", None, charge.invoice_id, told, None, "look_at_it")
        return
    about = (one.stripe_invoice_id, charge.invoice_id)
    if one.status not in AT_STRIPE[charge.state]:
        action = (
            "charge_again" if charge.state in ("intended", "drafted", "lines_added", "finalized") else "process_events"
        )
        yield Difference("invoice", "status", *about, charge.state, one.status, action)
    # a draft's total is not final yet, and a void invoice asks for no money
    settled = one.status not in ("draft", "void") or charge.state == "lines_added"
    if one.currency != charge.currency or (settled and one.total_minor != charge.total_minor):
        ours, theirs = f"{charge.total_minor} {charge.currency}", f"{one.total_minor} {one.currency}"
        yield Difference("invoice", "amount_or_currency", *about, ours, theirs, "look_at_it")


def _told(one: ListedBook) -> str:
    return f"{one.total_minor} {one.currency}, {one.status}"
