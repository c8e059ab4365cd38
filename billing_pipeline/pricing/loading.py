"""Loading a price book on purpose, and what a run is priced by: the book that is loaded.

Here: the one operation that loads, what it refuses, and whether a run means the loaded book. Not here: the tables
(`prices`), reading the file (`book_file`).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.book_file import BookFile, read_book_file
from billing_pipeline.pricing.price_books import default_book_path
from billing_pipeline.pricing.prices import LoadedPrices, Loading, build
from billing_pipeline.pricing.rules.price_book import PriceBook, PriceBookError, load_price_books
from billing_pipeline.pricing.rules.price_book_difference import Change, difference, losses

FIRST_LOAD = Signature("billing-pipeline", "the first run of this database loads the price book that it finds")


@dataclass(frozen=True, slots=True)
class LoadedBook:
    """The price book in use. `books` is empty if this code can no longer read it: another one has to be loaded."""

    load_id: int
    file_name: str
    text: str
    books: tuple[PriceBook, ...]
    author: str
    loaded_at: datetime

    def __str__(self) -> str:
        """Which one it is, in words."""
        return f"{self.file_name}, loaded {self.loaded_at:%Y-%m-%d %H:%M} UTC by {self.author}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What loading a file would do. `losses`: what it would take away, which is asked for by name."""

    file: BookFile
    file_name: str
    after: int
    changes: list[Change]
    losses: list[str]


@dataclass(frozen=True, slots=True)
class RunPrices:
    """What a run is priced by. `first_load`: what it loaded because there was nothing, in words; else empty."""

    loaded: LoadedPrices
    first_load: str = ""


class AnotherBookError(UserError):
    """BILLING_PRICE_BOOK names another book than the one that is loaded."""


def loaded_book(warehouse: Warehouse) -> LoadedBook | None:
    """The price book in use, None before the first load."""
    rows = warehouse.rows("SELECT * FROM billing.price_loads ORDER BY load_id DESC LIMIT 1")
    for row in rows:
        try:
            books = load_price_books(row["content"], row["file_name"])
        except PriceBookError:
            books = ()
        return LoadedBook(row["load_id"], row["file_name"], row["content"], books, row["author"], row["loaded_at"])
    return None


def plan_load(warehouse: Warehouse, path: Path) -> Plan:
    """What loading the file would change; nothing is written.

    Raises:
        BookFileError: it cannot be read, or is no price book.
    """
    return plan_of(warehouse, read_book_file(path), path.name)


def plan_of(warehouse: Warehouse, file: BookFile, file_name: str) -> Plan:
    """The same of a file that was read."""
    now = loaded_book(warehouse)
    books = now.books if now else ()
    return Plan(file, file_name, now.load_id if now else 0, difference(books, file.books), losses(books, file.books))


def load_prices(warehouse: Warehouse, plan: Plan, signature: Signature, *, replace: bool = False) -> LoadedPrices:
    """Load what `plan_load` looked at; runs are priced by it from now on.

    Args:
        warehouse: the database.
        plan: what was shown to the person who decided.
        signature: who, and why.
        replace: it may take away what `plan.losses` says.

    Raises:
        UserError: it would take something away, or another load came in between. Nothing is written.
    """
    if plan.losses and not replace:
        raise UserError(f"{plan.file_name}: {'; '.join(plan.losses)}. If that is meant, add --replace")
    loading = Loading(plan.file_name, signature, after=plan.after)
    return build(warehouse, plan.file.books, plan.file.text, loading)


def require_named_book(now: LoadedBook | None, named: Path | None) -> None:
    """See that BILLING_PRICE_BOOK, if it is set and a book is loaded, names one that charges exactly the same.

    Raises:
        AnotherBookError: it names another one.
        BookFileError: it cannot be read, or is no price book.
    """
    if named is None:
        return
    file = read_book_file(named)
    if now is None or file.text == now.text:
        return
    changes = difference(now.books, file.books)
    if changes:
        first = changes[0]
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        raise AnotherBookError(
            f"BILLING_PRICE_BOOK names {named.name}, which is another book than the one that is loaded ({now}):"
            f" {first.what} {first.currency} {first.version} {first.subject}{more}. Load it by `billing prices load"
            f" {named} --author … --reason …`, or unset the variable"
        )


@dataclass(frozen=True, slots=True)
class ShadowBook:
    """What a shadow is priced by, and which one that is, in words."""

    file: BookFile
    name: str


def book_of_shadow(warehouse: Warehouse, chosen: Path | None, named: Path | None) -> ShadowBook:
    """The chosen file, else what a run would be priced by; nothing is written.

    Raises:
        AnotherBookError: nothing was chosen, and BILLING_PRICE_BOOK (`named`) is not the loaded book.
        BookFileError: it cannot be read, or is no price book.
    """
    now = loaded_book(warehouse)
    if chosen is None:
        require_named_book(now, named)
        if now is not None and now.books:
            return ShadowBook(BookFile(now.text, now.books), str(now))
    path = chosen or named or default_book_path()
    return ShadowBook(read_book_file(path), path.name)


def prices_for_run(warehouse: Warehouse, named: Path | None, run_id: str) -> RunPrices:
    """What a run is priced by: the loaded book; with nothing loaded yet, the named one or the packaged one is loaded.

    Raises:
        AnotherBookError: BILLING_PRICE_BOOK (`named`) is another one.
        BookFileError: it cannot be read, or is no price book.
    """
    now = loaded_book(warehouse)
    require_named_book(now, named)
    if now is not None:
        in_use = warehouse.scalar("SELECT count(*) FROM billing.prices WHERE retired_at IS NULL")
        return RunPrices(LoadedPrices(int(in_use), 0, 0))
    path = named or default_book_path()
    file = read_book_file(path)
    loaded = build(warehouse, file.books, file.text, Loading(path.name, FIRST_LOAD, run_id, after=0))
    names = ", ".join(f"{book.name} ({book.currency})" for book in file.books)
    said = "BILLING_PRICE_BOOK" if named else "the packaged book, as BILLING_PRICE_BOOK is not set"
    return RunPrices(loaded, f"no price book was loaded yet: loaded {path.name}, {said}: {names}")
