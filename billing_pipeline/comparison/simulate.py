"""A usage file priced by a book, as a run would price it, without storing anything.

Here: the file's events measured for one month. Not here: the bill (rules/simulated_bill.py).
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from billing_pipeline.comparison.rules.simulated_bill import Quantity, SetAside, SimulatedBill, bill_of
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.months import month_after
from billing_pipeline.core.timezones import start_of_day
from billing_pipeline.imports.files import ImportFile
from billing_pipeline.pricing.rules.descriptions import dimensions_text
from billing_pipeline.pricing.rules.price_book_model import Meter, PriceBook
from billing_pipeline.usage.rules.fields import USAGE_FIELDS
from billing_pipeline.usage.rules.measuring import Counted, measure


@dataclass(frozen=True, slots=True)
class _Event:
    customer_id: str
    meter: str
    dimensions: str
    quantity: Decimal
    occurred_at: datetime
    properties: str


def simulate(
    book: PriceBook, path: Path, *, plan: str | None = None, month: date | None = None, timezone: str = "UTC"
) -> list[SimulatedBill]:
    """What each customer of the usage file would pay for a calendar month, on that plan; the first customer first.

    Coupons, credits and corrections are not known here. Levels from before the month hold if the file has them.

    Args:
        book: what is charged.
        path: a .csv, .jsonl, .ndjson (each also .gz) or .parquet file.
        plan: of all of them; None: the prices that hold for all.
        month: its first day; None: the month of the file's last event.
        timezone: in which the month begins and ends.

    Raises:
        ImportRefused: the file is not right.
        UserError: the plan is in no version of the book, an event id means two things, or the file is empty.
    """
    plans = {name for version in book.versions for name in version.plans}
    if plan is not None and plan not in plans:
        known = ", ".join(sorted(plans)) or "none"
        raise UserError(f'plan "{plan}": expected a plan of the book {book.name} ({known})')
    events = _events(path)
    last = max(event.occurred_at for event in events).astimezone(ZoneInfo(timezone)).date()
    first_day = month or last.replace(day=1)
    end_day = month_after(first_day)
    start, end = start_of_day(first_day, timezone), start_of_day(end_day, timezone)
    by_customer: dict[str, list[_Event]] = defaultdict(list)
    for event in events:
        by_customer[event.customer_id].append(event)
    bills = []
    for customer_id, own in by_customer.items():
        used, aside = _measured(book, own, start, end)
        bill = bill_of(book, customer_id, plan, first_day, end_day, used)
        bills.append(replace(bill, set_aside=[*aside, *bill.set_aside]))
    return bills


def _events(path: Path) -> list[_Event]:
    """The file's events in order of effect."""
    file = ImportFile(path, USAGE_FIELDS)
    found: dict[str, _Event] = {}
    for row in (row for table in file.tables() for row in table.to_pylist()):
        event = _Event(
            row["customer_id"],
            row["meter"],
            dimensions_text(json.loads(row["dimensions"] or "{}")),
            Decimal(row["quantity"]),
            datetime.fromisoformat(row["occurred_at"]),
            row["properties"] or "{}",
        )
        if found.setdefault(row["event_id"], event) != event:
            raise UserError(
                f"{file.name}, line {row['line']}: event {row['event_id']} is another one in an earlier line"
            )
    file.problems.raise_if_any()
    if not found:
        raise UserError(f"{file.name}: expected usage events, found none")
    return [event for _, event in sorted(found.items(), key=lambda item: (item[1].occurred_at, item[0].encode()))]


def _measured(
    book: PriceBook, events: list[_Event], start: datetime, end: datetime
) -> tuple[list[Quantity], list[SetAside]]:
    used = [Quantity(meter.name, "{}", Decimal(1)) for meter in _constants(book)]
    aside = []
    series: dict[tuple[str, str], list[Counted]] = defaultdict(list)
    for event in events:
        if event.occurred_at < end:
            meter = book.meters.get(event.meter)
            value = json.loads(event.properties).get(meter.property) if meter and meter.property else None
            series[event.meter, event.dimensions].append(Counted(event.quantity, event.occurred_at, value))
    for (name, dimensions), own in series.items():
        meter = book.meters.get(name)
        if meter is None or set(json.loads(dimensions)) != set(meter.dimensions) or meter.aggregation == "constant":
            why = "unknown meter" if meter is None else f"expected the dimensions [{', '.join(meter.dimensions)}]"
            aside.append(SetAside(name, dimensions, why))
            continue
        if meter.property and any(event.value is None for event in own):
            aside.append(SetAside(name, dimensions, f"expected the property {meter.property}"))
        how = f"{meter.aggregation} of deltas" if meter.events == "deltas" else meter.aggregation
        quantity = measure(own, how, start, end)
        if quantity is not None:
            used.append(Quantity(name, dimensions, quantity))
    return used, aside


def _constants(book: PriceBook) -> Iterator[Meter]:
    return (meter for meter in book.meters.values() if meter.aggregation == "constant")
