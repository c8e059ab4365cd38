"""Terms beside the prices: commitments (a minimum for a period) and discounts, over chosen meters or a whole invoice.

Here: what a term says, and the rows that a book's terms become. Not here: which of them hold for a period
(`terms_in_force`), what they come to (`term_lines`), the file's checks (`term_reader`).
"""

import json
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing_pipeline.pricing.rules.price_book_model import PriceBook, Prorate, TermKind

# Part of every term_id ever issued: never change it.
_NAMESPACE = uuid.UUID("a2f0c2be-0d0c-4a53-9a3e-6d8a4a0c5b17")


@dataclass(frozen=True, slots=True)
class Term:
    """A row of `billing.terms`. `term_id` of a book's is derived from all the other fields.

    It holds for `customer_id`, for the customers of `plan`, or for everybody where both are None: in the version
    `version_id` of its currency's book, or, where that is None, because somebody granted it. It takes periods that
    start from `effective_from` until `until_on`, inclusive. `meters` None: the whole invoice. Of `amount` (in whole
    currency units, of a full period) and `percent` a discount has one, a commitment the first; `prorate` "none": the
    whole amount in a short period too. `position` orders it among those of its origin.
    """

    term_id: str
    kind: TermKind
    name: str
    currency: str
    version_id: str | None
    effective_from: date
    until_on: date | None
    customer_id: str | None
    plan: str | None
    meters: tuple[str, ...] | None
    amount: Decimal | None
    percent: Decimal | None
    prorate: Prorate | None
    description: str | None
    position: int


def term_rows(book: PriceBook) -> list[Term]:
    """The book's terms, in file order."""
    rows = []
    for version in book.versions:
        for position, term in enumerate(version.terms):
            content = [
                *(book.currency, version.id, version.effective_from.isoformat(), term.kind, term.name),
                *(term.customer_id, term.plan, term.meters, _plain(term.amount), _plain(term.percent)),
                *(term.prorate, term.description, term.until_on and term.until_on.isoformat(), position),
            ]
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
            rows.append(
                Term(
                    term_id=str(uuid.uuid5(_NAMESPACE, text)),
                    kind=term.kind,
                    name=term.name,
                    currency=book.currency,
                    version_id=version.id,
                    effective_from=version.effective_from,
                    until_on=term.until_on,
                    customer_id=term.customer_id,
                    plan=term.plan,
                    meters=term.meters,
                    amount=term.amount,
                    percent=term.percent,
                    prorate=term.prorate,
                    description=term.description,
                    position=position,
                )
            )
    return rows


def _plain(number: Decimal | None) -> str | None:
    """One spelling a value."""
    if number is None:
        return None
    whole, _, fraction = format(number, "f").partition(".")
    return f"{whole}.{fraction.rstrip('0')}"
