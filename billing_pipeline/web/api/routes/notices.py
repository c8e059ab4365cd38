"""What mail providers tell of the mails that went out."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.notices.choices import NotedAlready, note_bounce
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.changing import BounceAsked, Done
from billing_pipeline.web.api.permission import Books, allowed, signed

router = APIRouter(tags=["notices"])


@router.post("/bounces", summary="Note a bounce or a complaint", responses={200: {"model": Done}})
def bounced(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.CHANGE_CUSTOMERS)], body: BounceAsked
) -> Response:
    """Nothing is mailed to the address any more. Told again, as providers do, it is the same, and a 200."""
    reason = body.reason if body.kind == "bounce" else f"complaint: {body.reason}"
    with suppress(NotedAlready):
        note_bounce(warehouse, body.address, signed(caller, reason))
    return answer(
        request, {"done": f"Nothing is mailed to {body.address} any more.", "result": {"address": body.address}}
    )
