"""What every page of the console has: who looks at it, and the frame around."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.pages.rendering import Reader, page
from billing_pipeline.web.pages.sessions import Visitor

ROWS = 100
"""How many rows a list shows."""


def download(name: str, lines: Iterator[str]) -> Response:
    """A file for a spreadsheet."""
    named = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(lines, media_type="text/csv", headers=named)


@dataclass(frozen=True, slots=True)
class ConsolePages:
    """`clock` says what time it is; `dagster_url` is where people reach Dagster's UI."""

    warehouse: Warehouse
    clock: Callable[[], datetime]
    dagster_url: str

    def page(self, template: str, visitor: Visitor, *, timezone: str = "UTC", **values: Any) -> HTMLResponse:
        """The template, with names and addresses for those alone who may see them (`who`)."""

        def who(personal: str | None) -> str:
            return personal or "" if visitor.session.sees_personal else ""

        return page(
            template,
            Reader("en", timezone),
            visitor=visitor,
            session=visitor.session,
            who=who,
            dagster_url=self.dagster_url,
            **values,
        )

    def part(
        self, template: str, request: Request, visitor: Visitor, heading: str, of: str, **values: Any
    ) -> HTMLResponse:
        """What htmx asks for after a page is there; without it a page of its own, whose heading leads back to `of`."""
        if request.headers.get("hx-request"):
            return self.page(template, visitor, **values)
        return self.page("console/part.html", visitor, part=template, heading=heading, of=of, **values)
