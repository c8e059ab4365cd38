"""The console's prices: versions side by side, and what another book would make of a month."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.books.month_overview import newest_month
from billing_pipeline.comparison.book_shadows import shadow_of_book
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.months import parse_month
from billing_pipeline.pricing.book_file import BookFileError, read_book_text
from billing_pipeline.pricing.loading import loaded_book, plan_of
from billing_pipeline.pricing.reading import prices_loaded
from billing_pipeline.web.pages.console_pages import ROWS, ConsolePages
from billing_pipeline.web.pages.sessions import Fields, Visitor

BOOK_FORM_MAX_BYTES = 4 << 20
"""A book of a million characters, as a form sends it."""


@dataclass(frozen=True, slots=True)
class Prices(ConsolePages):
    """Nothing is loaded here: who looks at a shadow may not be who decides."""

    def prices(self, _: Request, visitor: Visitor) -> Response:
        """Price versions side by side."""
        return self.page("console/prices.html", visitor, rows=prices_loaded(self.warehouse).prices)

    def ask(self, _: Request, visitor: Visitor) -> Response:
        """Where a month is chosen and a book is written; it begins with the one in use."""
        loaded, month = loaded_book(self.warehouse), newest_month(self.warehouse)
        given = {"month": f"{month:%Y-%m}" if month else "", "book": loaded.text if loaded else ""}
        return self._page(visitor, given)

    def shadow(self, _: Request, visitor: Visitor, given: Fields) -> Response:
        """The month under that book against the books, and what loading it would change."""
        try:
            month = parse_month(given.get("month", "").strip())
            plan = plan_of(self.warehouse, read_book_text(given.get("book", ""), "book"), "book")
            found = shadow_of_book(self.warehouse, month, plan.file.books, self.clock())
        except BookFileError as error:
            return self._page(visitor, given, 422, problems=error.problems)
        except UserError as error:
            return self._page(visitor, given, 422, problems=[str(error)])
        return self._page(visitor, given, plan=plan, found=found, billing_month=month)

    def _page(self, visitor: Visitor, given: Fields, status: int = 200, **values: Any) -> Response:
        shown: dict[str, Any] = {"problems": (), "found": None, "given": given, "rows_max": ROWS, **values}
        answer = self.page("console/price_shadow.html", visitor, **shown)
        answer.status_code = status
        return answer
