"""Which terms hold for a period: those of the version in force at its start, and what the customer was granted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from billing_pipeline.pricing.rules.price_book import version_in_force
from billing_pipeline.pricing.rules.terms import Term

Versions = Mapping[str, Sequence[tuple[str, date]]]
"""Currency -> `(version_id, effective_from)` of its book."""


@dataclass(frozen=True, slots=True)
class TermPeriod:
    """What of a billing period decides on its terms.

    `days` that it has, of `full_days` where it is short, else None. `granted`: the ids of the granted terms that the
    period may take; those of the book need no grant. `in_trial`: no commitment is due.
    """

    customer_id: str
    currency: str
    start_date: date
    days: int
    full_days: int | None
    plan: str | None
    granted: frozenset[str] = frozenset()
    in_trial: bool = False


class TermsInForce:
    """Finds the terms of periods.

    Of a book's terms of one kind and name the customer's own holds, else the plan's, else everybody's.
    """

    def __init__(self, terms: Iterable[Term], versions: Versions) -> None:
        self._versions = versions
        self._of_book: dict[tuple[str, str], list[Term]] = {}
        self._granted: dict[str, list[Term]] = {}
        for term in terms:
            if term.version_id is not None:
                self._of_book.setdefault((term.currency, term.version_id), []).append(term)
            elif term.customer_id is not None:
                self._granted.setdefault(term.customer_id, []).append(term)
        everything = [term for own in (*self._of_book.values(), *self._granted.values()) for term in own]
        self.for_everybody = any(term.customer_id is None and term.plan is None for term in everything)
        """Whether some term names neither a customer nor a plan."""
        self.customers = sorted({term.customer_id for term in everything if term.customer_id is not None})
        self.plans = sorted({term.plan for term in everything if term.plan is not None})

    def granted_to(self, customer_id: str) -> list[str]:
        """The ids of the terms that the customer was granted."""
        return [term.term_id for term in self._granted.get(customer_id, ())]

    def of(self, period: TermPeriod) -> list[Term]:
        """The period's terms, in the order in which they are applied (`in_order`)."""
        version = version_in_force(self._versions.get(period.currency, ()), period.start_date)
        chosen: dict[tuple[str, str], Term] = {}
        for term in self._of_book.get((period.currency, version or ""), ()):
            if term.customer_id not in (None, period.customer_id) or term.plan not in (None, period.plan):
                continue
            known = chosen.get((term.kind, term.name))
            if known is None or _rank(term) > _rank(known):
                chosen[term.kind, term.name] = term
        found = [
            *chosen.values(),
            *(
                term
                for term in self._granted.get(period.customer_id, ())
                if term.term_id in period.granted
                and term.currency == period.currency
                and term.effective_from <= period.start_date
            ),
        ]
        return in_order(
            term
            for term in found
            if (term.until_on is None or period.start_date <= term.until_on)
            and not (period.in_trial and term.kind == "commitment")
        )


def in_order(terms: Iterable[Term]) -> list[Term]:
    """Commitments, then discounts; of each the book's in file order, then what was granted, the oldest first."""
    return sorted(terms, key=lambda term: (term.kind, term.version_id is None, term.position))


def _rank(term: Term) -> int:
    return 2 if term.customer_id is not None else 1 if term.plan is not None else 0
