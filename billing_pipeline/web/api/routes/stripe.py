"""Stripe's events, and our books against Stripe's."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.books.reading import last_reconciliation
from billing_pipeline.events.queue import EventFilter, listed
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.reading import LastReconciliation, StripeEventPage
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.parameters import instant_or_none
from billing_pipeline.web.api.permission import Books, allowed

router = APIRouter(tags=["stripe"])
Word = Annotated[str | None, Query(max_length=255, description="Only these.", examples=["invoice.*"])]


@router.get("/events", summary="List Stripe's events", responses={200: {"model": StripeEventPage}})
def events(
    request: Request,
    warehouse: Books,
    _: Annotated[Caller, allowed(Scope.READ_STRIPE)],
    state: Word = None,
    type: Word = None,  # noqa: A002 - the name of the parameter
    object_id: Word = None,
    since: Annotated[
        str | None, Query(max_length=40, description="Received from then on.", examples=["2026-11-01T00:00:00Z"])
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The newest first."""
    wanted = EventFilter(None, state, type, object_id, instant_or_none("since", since))
    after = read_cursor(cursor, datetime.fromisoformat, str) if cursor else None
    rows = listed(warehouse, wanted, limit + 1, (after[0], after[1]) if after else None)
    return answer(request, page(rows, limit, "received_at", "event_id").named("events"))


@router.get("/reconciliation", summary="Show the last comparison", responses={200: {"model": LastReconciliation}})
def reconciliation(request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_STRIPE)]) -> Response:
    """What the newest comparison of our books with Stripe's found."""
    return answer(request, {"reconciliation": last_reconciliation(warehouse)})
