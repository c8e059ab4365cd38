"""Our books against Stripe's: pure comparison of lists, every difference with its kind and what could be done.

Invoices are matched by the id in their metadata and by the id that our charge remembers; payments, refunds and credit
notes by the invoice that they belong to and by their own id.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from billing_pipeline.events.rules.stripe_events import is_our_id
from billing_pipeline.stripe_gateway.rules.objects import CreditNote, ListedBook, Payment, Refund

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


@dataclass(frozen=True, slots=True)
class OurCharge:
    """A charge and its invoice, as our books have them; `number` as printed on it."""

    invoice_id: str
    customer_id: str
    billing_month: str
    state: str
    total_minor: int
    currency: str
    stripe_invoice_id: str | None
    number: str | None = None

    @property
    def name(self) -> str:
        """What people call the invoice."""
        return self.number or self.invoice_id


@dataclass(frozen=True, slots=True)
class Known:
    """What our books have of a payment, refund or credit note: its invoice, amount, currency and status."""

    invoice_id: str
    amount_minor: int
    currency: str
    status: str


@dataclass(frozen=True, slots=True)
class Books:
    """Both sides of a comparison.

    `charges` by invoice id. `elsewhere`: ids of invoices of ours that are in other months. `months`: what an invoice
    that we do not have is looked for in, None: in all. The mirrors are what events have told us; `young` are ids that
    Stripe has had for so short a time that their events may still be on the way.
    """

    charges: Mapping[str, OurCharge]
    elsewhere: Collection[str]
    months: Collection[str] | None
    payments_here: Mapping[str, Known] | None
    refunds_here: Mapping[str, Known]
    credit_notes_here: Mapping[str, Known]
    invoices: Sequence[ListedBook]
    payments: Sequence[Payment]
    refunds: Sequence[Refund]
    credit_notes: Sequence[CreditNote]
    young: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the books differ: what it is, what either side says, and what could be done.

    `number` is the invoice's as printed; None: no invoice of ours that is compared has the id.
    """

    object_type: str
    kind: str
    stripe_id: str | None
    invoice_id: str | None
    ours: str | None
    theirs: str | None
    proposed_action: str
    number: str | None = None

    @property
    def invoice_name(self) -> str | None:
        """What people call the invoice."""
        return self.number or self.invoice_id


def compare(books: Books) -> list[Difference]:
    """All differences, in a fixed order."""
    by_invoice: dict[str, list[ListedBook]] = {}
    for listed in books.invoices:
        by_invoice.setdefault(str(listed.invoice_id), []).append(listed)
    found = [
        *_invoices(books, by_invoice),
        *_payments(books, by_invoice),
        *_mirrored("refund", books.refunds_here, _refunds_there(books), books.young),
        *_mirrored("credit_note", books.credit_notes_here, _notes_there(books), books.young),
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
            yield from _superfluous(charge, there)
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


def standing_for(charge: OurCharge, there: Sequence[ListedBook]) -> ListedBook | None:
    """The invoice at Stripe that is our charge's: by the id that it remembers, or the only live one."""
    if charge.stripe_invoice_id is not None:
        return next((one for one in there if one.stripe_invoice_id == charge.stripe_invoice_id), None)
    live = [one for one in there if one.status != "void"]
    return live[0] if len(live) == 1 else None


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


def _payments(books: Books, by_invoice: Mapping[str, Sequence[ListedBook]]) -> Iterator[Difference]:
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


def _payments_there(books: Books) -> dict[str, Known]:
    invoice_of = _invoice_ids(books)
    return {
        one.payment_id: Known(invoice_of[one.stripe_invoice_id], one.paid_minor, one.currency, one.status)
        for one in books.payments
        if one.status == "paid" and one.stripe_invoice_id in invoice_of
    }


def _refunds_there(books: Books) -> dict[str, Known]:
    invoice_of = _invoice_ids(books)
    intents = {one.payment_intent_id: invoice_of.get(one.stripe_invoice_id) for one in books.payments}
    there = {}
    for refund in books.refunds:
        invoice_id = intents.get(refund.payment_intent_id) if refund.payment_intent_id else None
        if invoice_id is not None:
            there[refund.refund_id] = Known(invoice_id, refund.amount_minor, refund.currency, refund.status)
    return there


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
    object_type: str, here: Mapping[str, Known], there: Mapping[str, Known], young: Collection[str]
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
            yield Difference(object_type, "amount_or_currency", stripe_id, theirs.invoice_id, *amounts, "look_at_it")
        if ours.status != theirs.status:
            statuses = ours.status, theirs.status
            yield Difference(object_type, "status", stripe_id, theirs.invoice_id, *statuses, "sweep_events")
    for stripe_id, ours in here.items():
        if stripe_id not in there:
            told = f"{ours.amount_minor} {ours.currency}, {ours.status}"
            yield Difference(object_type, "missing_at_stripe", stripe_id, ours.invoice_id, told, None, "look_at_it")


def _told(one: ListedBook) -> str:
    return f"{one.total_minor} {one.currency}, {one.status}"
