"""The terms of a month's periods, and their lines put behind the rated ones, block by block.

Here: which periods are asked for terms, and Arrow. Not here: which terms hold, and what they come to (pricing/rules).
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute
from sqlalchemy import Connection, text

from billing_pipeline.invoicing.rules.invoice_ids import invoice_ids
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.pricing.rules.rating_frames import LINE_SCHEMA
from billing_pipeline.pricing.rules.term_lines import TermLine, major, term_lines
from billing_pipeline.pricing.rules.terms import Term
from billing_pipeline.pricing.rules.terms_in_force import TermPeriod, TermsInForce

pc: Any = pyarrow.compute

BILLED, OPEN, MEASURED = "billed", "open", "measured"
"""Which periods: a month's with a final invoice, a month's that may still be drafted (of one customer alone, if the
parameter `customer` is not null), those of pg_temp."""

_OF_BILLED = """
p.billing_month = :month AND EXISTS (
    SELECT FROM billing.invoices AS i
    WHERE i.period_id = p.period_id AND i.supplement_no = 0 AND billing.is_final(i.status)
)
"""
_OF_OPEN = """
p.billing_month = :month AND (CAST(:customer AS text) IS NULL OR p.customer_id = :customer)
AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.period_id = p.period_id AND billing.is_final(i.status))
AND NOT EXISTS (SELECT FROM billing.unbilled_periods AS u WHERE u.period_id = p.period_id AND u.lifted_at IS NULL)
AND EXISTS (SELECT FROM billing.customers AS c WHERE c.customer_id = p.customer_id AND c.status <> 'inactive')
"""
_PERIODS = {
    BILLED: ("billing.billing_periods", _OF_BILLED),
    OPEN: ("billing.billing_periods", _OF_OPEN),
    MEASURED: ("pg_temp.measured_periods", "TRUE"),
}
_LINES = pa.schema([*LINE_SCHEMA, pa.field("period_id", pa.string()), pa.field("term_id", pa.string())])


@dataclass(frozen=True, slots=True)
class _Period:
    """A period that has terms, and the id of its first invoice."""

    period_id: str
    invoice_id: str
    facts: TermPeriod
    terms: list[Term]


class PeriodTerms:
    """The terms of the periods of one scope. Each period's lines are given to `extend` at once."""

    def __init__(self, periods: Iterable[_Period]) -> None:
        self._waiting = {period.invoice_id: period for period in periods}

    def extend(self, lines: pa.Table) -> pa.Table:
        """The lines, with `term_id`, and behind them those of their periods' terms."""
        lines = lines.append_column("term_id", pa.nulls(lines.num_rows, pa.string()))
        if not self._waiting:
            return lines
        wanted = pa.array(list(self._waiting), pa.string())
        own = lines.filter(pc.is_in(lines["invoice_id"], value_set=wanted)).select(
            ["invoice_id", "line_no", "meter", "amount_minor"]
        )
        by_invoice: dict[str, list[tuple[str, int]]] = defaultdict(list)
        last_no: dict[str, int] = {}
        for row in own.to_pylist():
            by_invoice[row["invoice_id"]].append((row["meter"], row["amount_minor"]))
            last_no[row["invoice_id"]] = max(row["line_no"], last_no.get(row["invoice_id"], 0))
        further = [
            self._rows(self._waiting.pop(invoice_id), rated, last_no[invoice_id])
            for invoice_id, rated in by_invoice.items()
        ]
        return _joined(lines, [row for rows in further for row in rows])

    def rest(self) -> pa.Table:
        """The lines of the terms of those periods that had none of their own: a commitment is due without usage too."""
        rows = [row for period in self._waiting.values() for row in self._rows(period, [], 0)]
        self._waiting.clear()
        return _joined(_LINES.empty_table(), rows)

    def _rows(self, period: _Period, rated: list[tuple[str, int]], last_no: int) -> Iterator[dict[str, Any]]:
        facts = period.facts
        found = term_lines(rated, period.terms, facts.currency, facts.days, facts.full_days)
        for number, line in enumerate(found, start=last_no + 1):
            yield {
                **line_of_term(line, facts.currency),
                "invoice_id": period.invoice_id,
                "line_no": number,
                "customer_id": facts.customer_id,
                "period_id": period.period_id,
            }


def line_of_term(line: TermLine, currency: str) -> dict[str, Any]:
    """The columns of a line item that its term decides."""
    amount = major(line.amount_minor, currency)
    return {
        "meter": line.meter,
        "dimensions": json.dumps(line.dimensions, ensure_ascii=False),
        "kind": line.term.kind,
        "description": line.description,
        "usage_quantity": 0,
        "included_quantity": 0,
        "quantity": 1,
        "unit_amount": amount,
        "exact_amount": amount,
        "currency": currency,
        "amount_minor": line.amount_minor,
        "price_id": None,
        "price_version": line.term.version_id,
        "basis": "term",
        "billed_days": None,
        "full_days": None,
        "term_id": line.term.term_id,
    }


def terms_of_periods(
    reader: Connection, which: str, parameters: Mapping[str, object], in_force: TermsInForce
) -> PeriodTerms:
    """The terms of the periods that BILLED, OPEN (of the parameter `month`) or MEASURED means."""
    if not (in_force.for_everybody or in_force.customers or in_force.plans):
        return PeriodTerms(())
    periods, condition = _PERIODS[which]
    query = load_sql("invoicing/term_periods.sql").format(periods=periods, which=condition)
    scope = {"everybody": in_force.for_everybody, "customers": in_force.customers, "plans": in_force.plans}
    found_rows = reader.execute(text(query), {**parameters, **scope})
    rows = sorted(found_rows, key=lambda row: (row.customer_id, row.start_iso))
    uses = _Uses(reader, which, parameters)
    ids = invoice_ids([row.customer_id for row in rows], [row.start_iso for row in rows])
    found = []
    for row, invoice_id in zip(rows, ids, strict=True):
        granted = uses.open_to(in_force.granted_to(row.customer_id), row.used or ())
        own = (row.customer_id, row.currency, row.start_date, row.days, row.full_days, row.plan)
        facts = TermPeriod(*own, granted, row.in_trial)
        terms = in_force.of(facts)
        uses.take(terms)
        if terms:
            found.append(_Period(str(row.period_id), invoice_id, facts, terms))
    return PeriodTerms(found)


class _Uses:
    """How many invoices each granted term may still reduce, its periods given in order of time.

    A period that is billed takes a term of which there are so many only if its invoice used it; any other one if one is
    left beside what invoices outside the scope used.
    """

    def __init__(self, reader: Connection, which: str, parameters: Mapping[str, object]) -> None:
        periods, condition = _PERIODS[which]
        query = load_sql("invoicing/granted_terms.sql").format(periods=periods, which=condition)
        self._billed = which == BILLED
        self._left: dict[str, int | None] = {
            row.term_id: row.invoices_left for row in reader.execute(text(query), dict(parameters))
        }

    def open_to(self, granted: Iterable[str], used: Collection[str]) -> frozenset[str]:
        """Those of the granted terms that the next period may take."""
        return frozenset(
            term_id
            for term_id in granted
            if (left := self._left.get(term_id)) is None or (term_id in used if self._billed else left > 0)
        )

    def take(self, terms: Iterable[Term]) -> None:
        """Count what the period took."""
        for term in terms:
            left = self._left.get(term.term_id)
            if left is not None:
                self._left[term.term_id] = left - 1


def _joined(lines: pa.Table, rows: list[dict[str, Any]]) -> pa.Table:
    if not rows:
        return lines
    schema = pa.schema([_LINES.field(name) for name in lines.column_names])
    further = pa.table([pa.array([row[field.name] for row in rows], field.type) for field in schema], schema=schema)
    return pa.concat_tables([lines.cast(schema), further]).combine_chunks()  # Arrow writes an empty chunk wrongly
