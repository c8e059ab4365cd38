"""The demo's price book: pricing/price_books/demo.yaml, and in the pound book a version for each of the last months.

So a new price version starts in the month that the demo bills, whichever month that is, and history keeps its own.
"""

import copy
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from importlib.resources import files
from typing import Any

import yaml

CHANGING_CURRENCY = "gbp"
CHANGING_METER = "users"
_INDEX_STEP = Decimal("0.05")


def unit_amount(base: Decimal, month: date) -> Decimal:
    """The changing price in a month: the book's, and a few steps of an index."""
    return base + _INDEX_STEP * (month.month % 4)


def demo_book(months: Sequence[date]) -> str:
    """The price book file with a version from each of `months` on."""
    source = files("billing_pipeline.pricing.price_books").joinpath("demo.yaml").read_text(encoding="utf-8")
    books: list[dict[str, Any]] = list(yaml.safe_load_all(source))  # amounts are in quotes there: texts, never floats
    for book in books:
        if book["currency"] == CHANGING_CURRENCY:
            base = book["versions"][-1]
            book["versions"].extend(_version(base, month) for month in months)
    head = (
        "# Written by `billing demo` from pricing/price_books/demo.yaml; the versions of the last months are added.\n"
    )
    return head + yaml.safe_dump_all(books, sort_keys=False, allow_unicode=True)


def _version(base: dict[str, Any], month: date) -> dict[str, Any]:
    version = copy.deepcopy(base) | {"id": f"{month:%Y-%m}", "effective_from": month.isoformat()}
    for price in version["prices"]:
        if price["meter"] == CHANGING_METER:
            price["unit_amount"] = str(unit_amount(Decimal(price["unit_amount"]), month))
    return version
