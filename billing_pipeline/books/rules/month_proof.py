"""The proof that a month may be closed: both books and the payments, counted, added up and digested. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from billing_pipeline.books.rules.both_books import Books, standing_for
from billing_pipeline.stripe_gateway.rules.objects import ListedBook, Payment

FINAL = frozenset({"paid", "void", "uncollectible"})
TOTALS = ("invoiced", "paid", "collected", "otherwise", "written_off", "voided", "taken_back")
"""The names of a currency's totals, as people read them."""


@dataclass(frozen=True, slots=True)
class MonthProof:
    """What is recorded when a month is closed. `totals` by currency, in its minor units.

    `invoiced` = `paid` + `written_off`; `voided` stands apart. `paid` = `collected` (by payments at Stripe) +
    `otherwise` (credit balance, amounts below the minimum charge, credit notes, payments out of band). What was paid in
    part before the rest was written off counts as paid. `taken_back`, by disputes, is a part of `collected` that
    banks have at the moment, or for good.
    """

    stripe_invoice_count: int
    payment_count: int
    totals: dict[str, dict[str, int]]
    stripe_invoices_sha256: bytes
    payments_sha256: bytes


class NotProven(ValueError):  # noqa: N818 - reads as what it is
    """The month cannot be closed; the text says why."""


def prove(books: Books) -> MonthProof:
    """Add both sides up, independently of each other.

    Raises:
        NotProven: a charge is not settled, or the sums do not agree to the minor unit.
    """
    unsettled = [charge for charge in books.charges.values() if charge.state not in FINAL]
    if unsettled:
        first = unsettled[0]
        raise NotProven(
            f"{len(unsettled)} charge(s) are not settled, such as {first.name} of customer {first.customer_id},"
            f" which is {first.state}: expected paid, void or uncollectible"
        )
    there = _standing(books)
    ids = {one.stripe_invoice_id for one in there}
    payments = [one for one in books.payments if one.stripe_invoice_id in ids and one.status == "paid"]
    ours: Counter[tuple[str, str]] = Counter()
    for charge in books.charges.values():
        ours[charge.currency, charge.state] += charge.total_minor
    theirs: Counter[tuple[str, str]] = Counter()
    for one in there:
        theirs[one.currency, one.status] += one.total_minor
    # a charge that never reached Stripe may be void, and a void invoice at Stripe asks for no money
    for key in [key for key in (*ours, *theirs) if key[1] != "void"]:
        if ours[key] != theirs[key]:
            raise NotProven(f"{key[1]} in {key[0]}: our invoices add up to {ours[key]}, Stripe's to {theirs[key]}")
    return MonthProof(
        stripe_invoice_count=len(there),
        payment_count=len(payments),
        totals=_totals(ours, payments, [one for one in there if one.status == "uncollectible"], _taken_back(books)),
        stripe_invoices_sha256=_digest(
            f"{one.stripe_invoice_id}|{one.invoice_id}|{one.currency}|{one.total_minor}|{one.paid_minor}|{one.status}"
            for one in there
        ),
        payments_sha256=_digest(
            f"{one.payment_id}|{one.stripe_invoice_id}|{one.currency}|{one.paid_minor}|{one.status}" for one in payments
        ),
    )


def _standing(books: Books) -> list[ListedBook]:
    by_invoice: dict[str, list[ListedBook]] = {}
    for listed in books.invoices:
        by_invoice.setdefault(str(listed.invoice_id), []).append(listed)
    found = (standing_for(charge, by_invoice.get(charge.invoice_id, ())) for charge in books.charges.values())
    return [one for one in found if one is not None]


def _taken_back(books: Books) -> Counter[str]:
    intents = books.invoice_of_intents()
    taken: Counter[str] = Counter()
    for dispute in books.disputes:
        if dispute.payment_intent_id in intents:
            taken[dispute.currency] += dispute.taken_back_minor
    return taken


def _totals(
    ours: Counter[tuple[str, str]],
    payments: Sequence[Payment],
    given_up: Sequence[ListedBook],
    taken_back: Counter[str],
) -> dict[str, dict[str, int]]:
    collected: Counter[str] = Counter()
    for payment in payments:
        collected[payment.currency] += payment.paid_minor
    paid_in_part: Counter[str] = Counter()
    for one in given_up:
        paid_in_part[one.currency] += one.paid_minor
    totals = {}
    for currency in sorted({currency for currency, _ in ours} | set(collected)):
        paid = ours[currency, "paid"] + paid_in_part[currency]
        written_off = ours[currency, "uncollectible"] - paid_in_part[currency]
        totals[currency] = {
            "invoiced": paid + written_off,
            "paid": paid,
            "collected": collected[currency],
            "otherwise": paid - collected[currency],
            "written_off": written_off,
            "voided": ours[currency, "void"],
            "taken_back": taken_back[currency],
        }
    return totals


def _digest(lines: Iterable[str]) -> bytes:
    return sha256("\n".join(sorted(lines)).encode()).digest()
