"""The price book as a file: read whole, or every mistake in one line."""

from dataclasses import dataclass
from pathlib import Path

from billing_pipeline.core.errors import UserError
from billing_pipeline.imports.regular_files import read_small_text
from billing_pipeline.pricing.rules.price_book import PriceBook, PriceBookError, load_price_books
from billing_pipeline.pricing.rules.price_book_yaml import TEXT_MAX


@dataclass(frozen=True, slots=True)
class BookFile:
    """A price book file that is right: its text, and a book a currency."""

    text: str
    books: tuple[PriceBook, ...]


class BookFileError(UserError):
    """The file cannot be read or is no price book. `problems`: every mistake in it, each with its path."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        more = f" (and {len(problems) - 1} more: `billing prices check` lists them)" if len(problems) > 1 else ""
        super().__init__(f"price book: {problems[0]}{more}")


def read_book_file(path: Path) -> BookFile:
    """Read and check the file; nothing is loaded.

    Raises:
        BookFileError: it cannot be read, or is no price book.
    """
    try:
        source = read_small_text(path, 4 * TEXT_MAX)
    except OSError as error:
        raise BookFileError((f"{path}: {error.strerror or error}",)) from None
    except UserError as error:
        raise BookFileError((f"{path}: {error}",)) from None
    return read_book_text(source, path.name)


def read_book_text(source: str, name: str) -> BookFile:
    """The same of its text.

    Raises:
        BookFileError: it is no price book.
    """
    try:
        return BookFile(source, load_price_books(source, name))
    except PriceBookError as error:
        raise BookFileError(tuple(f"{error.source}: {problem}" for problem in error.problems)) from None
