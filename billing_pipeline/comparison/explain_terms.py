"""The lines of an invoice's terms, computed again from its rated lines and the terms that they name."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from billing_pipeline.comparison.explained import Explained, StoredLine
from billing_pipeline.invoicing.period_terms import line_of_term
from billing_pipeline.pricing.rules.term_lines import term_lines
from billing_pipeline.pricing.rules.terms import Term
from billing_pipeline.pricing.rules.terms_in_force import in_order
from billing_pipeline.pricing.terms import read_terms


def named_terms(connection: Connection, found: Sequence[Explained]) -> dict[str, Term]:
    """By id the terms that lines of these invoices name."""
    ids = sorted({UUID(line.term_id) for each in found for line in each.lines if line.term_id is not None})
    if not ids:
        return {}
    return {term.term_id: term for term in read_terms(connection, "term_id = ANY(:ids)", {"ids": ids})}


def compare_term_lines(
    explained: Explained, rated: Sequence[Mapping[str, Any]], terms: Mapping[str, Term]
) -> list[str]:
    """What of the invoice's lines of terms is not what its rated lines and the terms give."""
    stored = [line for line in explained.lines if line.term_id is not None]
    if not stored:
        return []
    invoice = explained.invoice
    if invoice.start_date is None or invoice.end_date is None:
        return ["its period is missing, which its terms are for"]
    own = {line.term_id for line in stored}
    again = [
        line_of_term(line, invoice.currency)
        for line in term_lines(
            [(line["meter"], line["amount_minor"]) for line in rated],
            in_order(term for term in terms.values() if term.term_id in own),
            invoice.currency,
            (invoice.end_date - invoice.start_date).days,
            invoice.full_days,
        )
    ]
    problems = []
    for line, computed in zip(stored, again, strict=False):
        wrong = [name for name in computed if _value(line, name) != computed[name]]
        if wrong:
            said = ", ".join(f"{name} is {getattr(line, name)}, expected {computed[name]}" for name in wrong)
            problems.append(f"line {line.line_no}: {said}")
    if len(stored) != len(again):
        problems.append(f"{len(stored)} lines of terms are stored, its lines and terms give {len(again)}")
    return problems


def _value(line: StoredLine, name: str) -> Any:
    value = getattr(line, name)
    return json.dumps(json.loads(value), ensure_ascii=False) if name == "dimensions" else value
