"""Tokens of the API."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.access.tokens import list_tokens
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.reading import TokenPage
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.permission import Books, allowed

router = APIRouter(tags=["tokens"])


@router.get("/tokens", summary="List tokens", responses={200: {"model": TokenPage}})
def list_(
    request: Request,
    warehouse: Books,
    _: Annotated[Caller, allowed(Scope.TOKENS)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Without their secrets, the newest first."""
    after = read_cursor(cursor, datetime.fromisoformat, str) if cursor else None
    rows = list_tokens(warehouse, after=(after[0], after[1]) if after else None, limit=limit + 1)
    return answer(request, page(rows, limit, "created_at", "token_id").named("tokens"))
