"""The automation log: who did what, as JSON pages, CSV or NDJSON."""

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.books.automation_log import LOG_COLUMNS, LogFilter, read_log, whole_log
from billing_pipeline.books.spreadsheets import csv_lines
from billing_pipeline.core.shapes import shaped
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.reading import LogPage
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.parameters import MonthQuery, first_day_or_none, instant_or_none
from billing_pipeline.web.api.permission import Books, allowed

Word = Annotated[str | None, Query(max_length=255, description="Only these.", examples=["invoice"])]
When = Annotated[str | None, Query(max_length=40, description="An instant.", examples=["2026-11-01T00:00:00Z"])]
Format = Annotated[
    Literal["json", "csv", "ndjson"],
    Query(description="csv and ndjson are the whole of what is chosen, without pages.", examples=["json"]),
]
_TEXTS = {"text/csv": {"schema": {"type": "string"}}, "application/x-ndjson": {"schema": {"type": "string"}}}
router = APIRouter(tags=["log"])


@router.get(
    "/automated-billing", summary="Read the automation log", responses={200: {"model": LogPage, "content": _TEXTS}}
)
def read(
    request: Request,
    warehouse: Books,
    _: Annotated[Caller, allowed(Scope.READ_LOG)],
    actor: Word = None,
    action: Word = None,
    object_type: Word = None,
    object_id: Word = None,
    month: MonthQuery = None,
    since: When = None,
    until: When = None,
    format: Format = "json",  # noqa: A002 - the name of the parameter
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The newest first: of one actor, action, object or month, between two instants."""
    wanted = LogFilter(
        actor,
        action,
        object_type,
        object_id,
        first_day_or_none(month),
        instant_or_none("since", since),
        instant_or_none("until", until),
    )
    if format == "csv":
        return StreamingResponse(csv_lines(LOG_COLUMNS, whole_log(warehouse, wanted)), media_type="text/csv")
    if format == "ndjson":
        lines = (json.dumps(shaped(row), ensure_ascii=False) + "\n" for row in whole_log(warehouse, wanted))
        return StreamingResponse(lines, media_type="application/x-ndjson")
    (after,) = read_cursor(cursor, int)
    rows = read_log(warehouse, wanted, after=after, limit=limit + 1)
    return answer(request, page(rows, limit, "log_id").named("log"))
