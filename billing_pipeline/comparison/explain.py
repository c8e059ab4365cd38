"""A finalised invoice from the stored rows: lines, events, snapshots and prices, and whether they still agree.

Every figure is computed again from what is stored below it: quantities from events, lines from snapshots and prices,
the total from lines, the request from all of it; and all of it is held against the seal of the day it was finalised.
Nothing is written.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Connection, RowMapping, text

from billing_pipeline.comparison.explain_prices import named_prices, prices_of_invoice
from billing_pipeline.comparison.explain_terms import compare_term_lines, named_terms
from billing_pipeline.comparison.explained import (
    Explained,
    Series,
    StoredDraw,
    StoredEvent,
    StoredInvoice,
    StoredLine,
    StoredSnapshot,
)
from billing_pipeline.comparison.rules.month_diff import RATED
from billing_pipeline.invoicing.invoice_reference import find_final_invoice
from billing_pipeline.invoicing.rules.charge_request import BilledInvoice, BilledLine, frozen_request
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.rating import rate_tables
from billing_pipeline.pricing.rules.rating_frames import LINE_SCHEMA, SNAPSHOT_SCHEMA
from billing_pipeline.usage.rules.measuring import Counted, measure

BATCH = 2_000
RatedLine = Mapping[str, Any]
"""A line that rating gives, by the columns of LINE_SCHEMA."""


def explain_invoice(warehouse: Warehouse, number_or_id: str) -> Explained:
    """The invoice of this number (`INV-00000001`, or 1) or id, checked.

    Raises:
        InvoiceUnknown: there is none, or it is a draft.
    """
    invoice = find_final_invoice(warehouse, number_or_id)
    with _one_state_of(warehouse) as connection:
        [explained] = _explain(connection, [UUID(invoice.invoice_id)])
    return explained


def explain_all(warehouse: Warehouse) -> Iterator[Explained]:
    """Every finalised invoice, checked, in the order of the numbers."""
    with _one_state_of(warehouse) as connection:
        found = connection.execute(
            text("SELECT invoice_id FROM billing.invoices WHERE status <> 'draft' ORDER BY invoice_number")
        )
        ids = list(found.scalars())
        for first in range(0, len(ids), BATCH):
            yield from _explain(connection, ids[first : first + BATCH])


def ledger_problems(warehouse: Warehouse) -> list[str]:
    """What is wrong with the invoices as a whole: numbers with gaps, seals and charges without their invoice."""
    return [row["problem"] for row in warehouse.rows(load_sql("comparison/explain_ledger.sql"))]


def _one_state_of(warehouse: Warehouse) -> Connection:
    """A connection that sees one state of the database and can write nothing."""
    return warehouse.engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _explain(connection: Connection, ids: list[UUID]) -> list[Explained]:
    lines = _by_invoice(StoredLine(**row) for row in _rows(connection, "lines", ids))
    snapshots = _by_invoice(StoredSnapshot(**row) for row in _rows(connection, "snapshots", ids))
    draws = _by_invoice(StoredDraw(**row) for row in _rows(connection, "draws", ids))
    events: dict[str, dict[Series, list[StoredEvent]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(connection, "events", ids):
        event = StoredEvent(**row)
        events[event.invoice_id][event.meter, event.dimensions].append(event)
    found = [
        Explained(StoredInvoice(**row), lines[key], snapshots[key], dict(events[key]), draws[key])
        for row in _rows(connection, "invoices", ids)
        for key in [str(row["invoice_id"])]
    ]
    rated = _rate_again(connection, found)
    terms = named_terms(connection, found)
    for explained in found:
        explained.problems += [f"seal broken: {part}" for part in explained.invoice.broken_seals]
        for snapshot in explained.snapshots:
            explained.problems += _measure_again(snapshot, explained.events.get(snapshot.series, []))
        again = rated[str(explained.invoice.invoice_id)]
        explained.problems += _compare_lines(explained, again)
        explained.problems += compare_term_lines(explained, again, terms)
        explained.problems += _request_again(explained)
    return found


def _measure_again(snapshot: StoredSnapshot, events: Sequence[StoredEvent]) -> list[str]:
    where = f"snapshot {snapshot.meter} {snapshot.dimensions}"
    start, end = snapshot.period_start, snapshot.period_end
    counting = [
        Counted(event.quantity, event.occurred_at, event.value) for event in events if event.corrected_by is None
    ]
    problems = []
    count = sum(start <= event.occurred_at < end for event in counting)
    if count != snapshot.event_count:
        problems.append(f"{where}: {count} events count, {snapshot.event_count} are recorded")
    checked, quantity = False, None
    source = "its events give"
    if snapshot.basis == "carried_forward":
        # the quantity of a period that was not final at that time may have changed since: only the seal can be checked
        checked, quantity, source = snapshot.source_final, snapshot.source_quantity, "the period before gives"
    elif snapshot.aggregation is not None:  # old rows do not record how they were measured
        checked, quantity = True, measure(counting, snapshot.aggregation, start, end, snapshot.opening_level)
    if checked and quantity != snapshot.quantity:
        problems.append(f"{where}: {source} {_shown(quantity)}, {_shown(snapshot.quantity)} is recorded")
    return problems


def _rate_again(connection: Connection, found: Sequence[Explained]) -> dict[str, list[RatedLine]]:
    """Lines by invoice, from the snapshots and the price rows that the lines name.

    All invoices are rated at once with the prices of all. Where the book changed between two of them that can give
    other lines than were billed, so whoever differs is rated once more with the prices of its own lines alone.
    """
    prices = named_prices(connection, _price_ids(found))
    together = _rate(found, prices)
    for explained in found:
        key = str(explained.invoice.invoice_id)
        if _compare_lines(explained, together[key]):
            own = prices_of_invoice(prices, _price_ids([explained]))
            together[key] = _rate([explained], own)[key]
    return together


def _price_ids(found: Sequence[Explained]) -> set[str]:
    return {line.price_id for each in found for line in each.lines if line.price_id is not None}


def _rate(found: Sequence[Explained], prices: pa.Table) -> dict[str, list[RatedLine]]:
    rows = [snapshot for each in found for snapshot in each.snapshots]
    table = pa.Table.from_pylist(
        [{name: getattr(row, name) for name in SNAPSHOT_SCHEMA.names} for row in rows], schema=SNAPSHOT_SCHEMA
    )
    try:
        lines = rate_tables(table, prices, any_plan=True).lines.to_pylist()
    except ValueError:  # two rows for one price: the book changed between two invoices
        lines = []
    rated: dict[str, list[RatedLine]] = defaultdict(list)
    for line in lines:
        rated[line["invoice_id"]].append(line)
    return rated


def _compare_lines(explained: Explained, rated: list[RatedLine]) -> list[str]:
    problems = []
    stored = [line for line in explained.lines if line.kind in RATED]
    for line, again in zip(stored, rated, strict=False):
        wrong = [name for name in LINE_SCHEMA.names if getattr(line, name) != again[name]]
        if wrong:
            said = ", ".join(f"{name} is {getattr(line, name)}, expected {again[name]}" for name in wrong)
            problems.append(f"line {line.line_no}: {said}")
    if len(stored) != len(rated):
        problems.append(f"{len(stored)} lines are stored, its snapshots and prices give {len(rated)}")
    return problems


def _request_again(explained: Explained) -> list[str]:
    invoice = explained.invoice
    problems = []
    total = sum(line.amount_minor for line in explained.lines)
    if (total, len(explained.lines)) != (invoice.total_minor, invoice.line_count):
        problems.append(
            f"its {len(explained.lines)} lines add up to {total}, the invoice says {invoice.total_minor}"
            f" in {invoice.line_count} lines"
        )
        return problems
    drawn = -sum(draw.amount_minor for draw in explained.draws)
    if drawn != invoice.credits_minor:
        problems.append(f"its draws add up to {drawn}, the invoice says {invoice.credits_minor}")
        return problems
    if invoice.request_body is None or invoice.request_version is None or invoice.period_start is None:
        return [*problems, "its charge intent or period is missing"]
    names = BilledInvoice.__slots__
    header = BilledInvoice(**{name: getattr(invoice, name) for name in names} | {"invoice_id": str(invoice.invoice_id)})
    body = frozen_request(
        header,
        [
            *(BilledLine(*(getattr(line, name) for name in BilledLine.__slots__)) for line in explained.lines),
            *(
                BilledLine(draw.line_no, "prepaid credits", draw.description, draw.amount_minor, "credit")
                for draw in explained.draws
            ),
        ],
        version=invoice.request_version,
    )
    if body != bytes(invoice.request_body):
        problems.append("the request that these rows give is not, byte for byte, the one that was frozen")
    return problems


def _shown(quantity: Decimal | None) -> str:
    """Without trailing zeros, and with every other digit."""
    text = "nothing" if quantity is None else f"{quantity:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rows(connection: Connection, what: str, ids: Sequence[UUID]) -> list[RowMapping]:
    query = text(load_sql(f"comparison/explain_{what}.sql"))
    return list(connection.execute(query, {"ids": list(ids)}).mappings())


_OfInvoice = TypeVar("_OfInvoice", StoredLine, StoredSnapshot, StoredDraw)


def _by_invoice(rows: Iterable[_OfInvoice]) -> dict[str, list[_OfInvoice]]:
    grouped: dict[str, list[_OfInvoice]] = defaultdict(list)
    for row in rows:
        grouped[row.invoice_id].append(row)
    return grouped
