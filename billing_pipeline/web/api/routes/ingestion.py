"""Usage as it comes, and as it is corrected."""

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.invoicing.first_month import keep_first_month
from billing_pipeline.usage.correction import MissingEvent, correct_usage, remove_usage
from billing_pipeline.usage.ingestion import ingest_usage
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.event_bodies import events_of
from billing_pipeline.web.api.models.usage import EVENT_BODY, Correction, Ingested, UsageCorrection
from billing_pipeline.web.api.parameters import instant_or_none
from billing_pipeline.web.api.permission import Books, allowed, signed

router = APIRouter(tags=["usage"])
MAY = Annotated[Caller, allowed(Scope.CHANGE_USAGE)]


@router.post(
    "/usage/events",
    summary="Store usage events",
    responses={200: {"model": Ingested}},
    openapi_extra={"requestBody": EVENT_BODY},
)
async def ingest(
    request: Request,
    warehouse: Books,
    caller: MAY,
    complete_through: Annotated[
        str | None,
        Query(max_length=40, description="All usage before this instant is in.", examples=["2026-10-20T12:00:00Z"]),
    ] = None,
) -> Response:
    """Up to 10,000 at once, as JSON or NDJSON, gzip or not. Each is stored, known or refused by itself."""
    sent = await events_of(request)
    through = instant_or_none("complete_through", complete_through)

    def stored() -> dict[str, Any]:
        done = ingest_usage(warehouse, sent, through, source=f"api:{caller.token_id}")
        keep_first_month(warehouse, request.app.state.settings)
        count = Counter(event.status for event in done.events)
        counts = {status: count[status] for status in ("stored", "known", "refused")}
        return {"received_at": done.received_at, **counts, "events": [asdict(event) for event in done.events]}

    return answer(request, await run_in_threadpool(stored))


@router.post("/usage/corrections", summary="Correct usage", responses={200: {"model": Correction}})
def correct(request: Request, warehouse: Books, caller: MAY, body: UsageCorrection) -> Response:
    """Replace an event's quantity, take an event away, or add one that was never sent."""
    signature = signed(caller, body.reason)
    missing = MissingEvent(body.customer, body.meter, body.dimensions, body.occurred_at, body.properties)
    if body.remove:
        if body.event_id is None or body.quantity is not None or missing.is_given:
            raise HTTPException(422, "remove: expected an event_id and nothing else")
        return answer(request, {"event_id": remove_usage(warehouse, signature, event_id=body.event_id)})
    if body.quantity is None:
        raise HTTPException(422, "quantity: expected one, or remove")
    if body.occurred_at is not None and body.occurred_at.tzinfo is None:
        raise HTTPException(422, "occurred_at: expected an instant with an offset, such as 2026-10-20T12:00:00Z")
    written = correct_usage(warehouse, signature, event_id=body.event_id, quantity=body.quantity, missing=missing)
    return answer(request, {"event_id": written})
