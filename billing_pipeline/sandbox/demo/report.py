"""What the demo prints: the month's invoices, the worked examples line by line, what needs attention, the checks."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from billing_pipeline.core.money import format_minor
from billing_pipeline.sandbox.demo.month_checks import Check
from billing_pipeline.sandbox.demo.month_rows import Month
from billing_pipeline.sandbox.demo.population import EXAMPLES, DemoCustomer
from billing_pipeline.sandbox.demo.price_book import CHANGING_CURRENCY, CHANGING_METER

PROBLEMS_SHOWN = 10
ROWS_SHOWN = 30


def print_month(console: Console, month: Month) -> None:
    """Everything about the month but the checks."""
    _invoices(console, month)
    for example in EXAMPLES:
        _example(console, month, example)
    _price_change(console, month)
    _quarantine(console, month)
    _open(console, month)


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """The checks, and of each that failed the first problems."""
    table = _table("Does it add up?", "", "what was checked", "in")
    for check in checks:
        mark = "[green]yes[/green]" if check.passed else "[red]NO[/red]"
        table.add_row(mark, escape(check.statement), escape(check.evidence))
    console.print(table)
    for check in checks:
        for problem in check.problems[:PROBLEMS_SHOWN]:
            console.print(f"[red]NO[/red] {escape(check.statement)}: {escape(problem)}")
        if len(check.problems) > PROBLEMS_SHOWN:
            console.print(f"   … and {len(check.problems) - PROBLEMS_SHOWN} more")


def _invoices(console: Console, month: Month) -> None:
    cells: dict[tuple[str, str], list[int]] = {}
    for invoice in month.invoices:
        state = invoice["status"]
        if invoice["reason_code"]:
            state = f"{state}: {invoice['reason_code'].replace('_', ' ')}"
        cells.setdefault((state, invoice["currency"]), []).append(invoice["total_minor"])
    title = f"Invoices of {month.month:%B %Y}"
    table = _table(title, "state", "currency", ">invoices", ">total")
    before = None
    for (state, currency), totals in sorted(cells.items(), key=lambda item: (item[0][0] != "paid", item[0])):
        if before is not None and before != state:
            table.add_section()
        shown = "" if before == state else state
        table.add_row(shown, currency.upper(), f"{len(totals):,}", format_minor(sum(totals), currency))
        before = state
    console.print(table)


def _example(console: Console, month: Month, example: DemoCustomer) -> None:
    for invoice in month.invoices:
        if invoice["customer_id"] != example.customer_id:
            continue
        title = f"{invoice['number'] or 'Draft'} · {invoice['name']} · {invoice['status']}"
        table = _table(title, "line", ">used", ">included", ">billed", ">price each", ">amount")
        for line in month.lines:
            if line["invoice_id"] == invoice["invoice_id"]:
                table.add_row(
                    escape(line["description"]),
                    _plain(line["used"]),
                    _plain(line["included"]) if line["included"] else "",
                    _plain(line["quantity"]),
                    _plain(line["unit_amount"]),
                    format_minor(line["amount_minor"], line["currency"]),
                )
        table.add_section()
        expected = format_minor(example.expected_minor or 0, example.currency)
        total = format_minor(invoice["total_minor"], invoice["currency"])
        table.add_row("total", "", "", "", "", total)
        table.add_row("by the price list", "", "", "", "", expected)
        console.print(table)


def _price_change(console: Console, month: Month) -> None:
    """What the version that starts in the month changed, and whom it priced."""
    priced: dict[str, list[Mapping[str, Any]]] = {}
    for line in month.lines:
        if line["currency"] == CHANGING_CURRENCY and line["meter"] == CHANGING_METER:
            priced.setdefault(line["price_version"], []).append(line)
    table = _table(
        f"A price that changed: {CHANGING_METER} in {CHANGING_CURRENCY.upper()}", "version", ">price each", ">invoices"
    )
    for version, lines in sorted(priced.items()):
        prices = ", ".join(_plain(price) for price in sorted({line["unit_amount"] for line in lines}))
        table.add_row(escape(version), prices, f"{len(lines):,}")
    console.print(table)
    console.print("The version in force at a period's start prices it: N-day periods that began earlier keep theirs.\n")


def _quarantine(console: Console, month: Month) -> None:
    table = _table(
        "Usage that cannot be billed, set aside", "customer", "meter", "dimensions", ">quantity", ">events", "why"
    )
    for row in month.quarantine[:ROWS_SHOWN]:
        table.add_row(
            _customer(row),
            escape(row["meter"]),
            escape(", ".join(f"{name} {value}" for name, value in row["dimensions"].items())),
            _plain(row["quantity"]),
            f"{row['event_count']:,}",
            escape(row["reason"]),
        )
    _print(console, table, len(month.quarantine))


def _open(console: Console, month: Month) -> None:
    rows = [invoice for invoice in month.invoices if invoice["status"] != "paid"]
    table = _table("Invoices that are not paid, and why", "invoice", "customer", ">amount", "reason", "Stripe said")
    for row in rows[:ROWS_SHOWN]:
        table.add_row(
            row["number"] or "draft",
            _customer(row),
            format_minor(row["total_minor"], row["currency"]),
            escape(row["reason_code"] or row["state"] or row["status"]),
            escape(_first_sentence(row["reason"] or "")),
        )
    _print(console, table, len(rows))


def _print(console: Console, table: Table, row_count: int) -> None:
    if not row_count:
        table.add_row("none")
    console.print(table)
    if row_count > ROWS_SHOWN:
        console.print(f"… and {row_count - ROWS_SHOWN} more")


def _table(title: str, *columns: str) -> Table:
    """A table; a column whose name starts with > holds numbers."""
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        number = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if number else "left", no_wrap=number)
    return table


def _customer(row: Mapping[str, Any]) -> str:
    return escape(f"{row['customer_id']} {row['name'] or '(not in the customers file)'}")


def _first_sentence(reason: str) -> str:
    """Stripe's message without the codes before it, up to its first full stop."""
    message = reason.partition("): ")[2] or reason
    return message.split(". ")[0].removesuffix(".")


def _plain(number: Decimal) -> str:
    return f"{number:,f}"
