"""What customers are told, who is told it, what mail providers tell of it; and where unpaid invoices stand."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.addresses import NotedAlready, note_bounce
from billing_pipeline.notices.choices import list_choices
from billing_pipeline.notices.dunning import case_rows, history, standings
from billing_pipeline.notices.dunning_policies import load_policy
from billing_pipeline.notices.reading import list_notices, read_notice
from billing_pipeline.web.actions.telling import notice_number
from billing_pipeline.web.api.answers import answer, without_personal
from billing_pipeline.web.api.fields import listed_as, shown
from billing_pipeline.web.api.models.changing import Done
from billing_pipeline.web.api.models.telling import BounceAsked
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.parameters import CustomerPath, CustomerQuery
from billing_pipeline.web.api.permission import Books, allowed, signed

State = Literal["pending", "claimed", "handing_over", "sent", "overtaken", "failed"]
Standing = Literal["current", "past_due", "in_grace", "suspended", "resumed"]
Reader = Annotated[Caller, allowed(Scope.READ_INVOICES)]
Json = dict[str, Any]
router = APIRouter(tags=["notices"])
OneNotice = shown(
    "Notice",
    "A notice, as `billing notices show --json` has it.",
    notice=(Json, "How far it is sent, and what it tells.", {"notice_id": 1, "kind": "payment_failed"}),
)
Choices = shown(
    "NoticeChoices",
    "Who is told what, as `billing notices choices list --json` has it.",
    choices=(list[Json], "Further addresses, kinds that are off, addresses that bounced.", [{"what": "off"}]),
)
Cases = shown(
    "DunningCases",
    "Unpaid invoices, as `billing dunning list --json` has them.",
    cases=(list[Json], "How far each has come, and what is next.", [{"invoice": "INV-00000001"}]),
)
Standings = shown(
    "Standings",
    "Where customers stand, as `billing dunning status --json` has it.",
    customers=(list[Json], "The newest change first.", [{"customer_id": "cust_focus", "state": "past_due"}]),
)
History = shown(
    "DunningHistory",
    "What dunning did with a customer, as `billing dunning show --json` has it.",
    history=(list[Json], "The oldest first.", [{"what": "reminder"}]),
)


@router.get(
    "/notices", summary="List notices", responses={200: {"model": listed_as("notices", "billing notices list")}}
)
def list_(
    request: Request,
    warehouse: Books,
    caller: Reader,
    customer: CustomerQuery = None,
    kind: Annotated[
        str | None, Query(max_length=64, description="Only this kind.", examples=["payment_failed"])
    ] = None,
    state: Annotated[State | None, Query(description="Only these.", examples=["failed"])] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The newest first, without what they tell."""
    (after,) = read_cursor(cursor, int)
    rows = list_notices(warehouse, customer_id=customer, kind=kind, state=state, after=after, limit=limit + 1)
    found = [{**_seen(caller, row), "facts": None} for row in rows]
    return answer(request, page(found, limit, "notice_id").named("notices"))


@router.get("/notices/{notice}", summary="Show a notice", responses={200: {"model": OneNotice}})
def show(
    request: Request,
    warehouse: Books,
    caller: Reader,
    notice: Annotated[str, Path(max_length=18, description="Its number.", examples=["1"])],
) -> Response:
    """What it tells is null for a token without the scope `personal`."""
    return answer(request, {"notice": _seen(caller, read_notice(warehouse, notice_number(notice)))})


@router.get("/customers/{customer}/notices", summary="Show who is told what", responses={200: {"model": Choices}})
def choices(request: Request, warehouse: Books, caller: Reader, customer: CustomerPath) -> Response:
    """Further addresses, kinds that are off, addresses that bounced. Why is null for a token without `personal`."""
    read_customer(warehouse, customer)
    rows = without_personal(caller, list_choices(warehouse, customer))
    # what a mail server said of an address often names it
    shown = rows if caller.may(Scope.PERSONAL) else [{**row, "reason": None} for row in rows]
    return answer(request, {"choices": shown})


@router.get("/dunning", summary="List unpaid invoices", responses={200: {"model": Cases}})
def cases(request: Request, warehouse: Books, _: Reader, customer: CustomerQuery = None) -> Response:
    """Those that are counted, how far each has come, and what is next."""
    policy = load_policy(request.app.state.settings.notices.dunning_policy)
    return answer(request, {"cases": case_rows(warehouse, policy, datetime.now(UTC), customer)})


@router.get("/dunning/customers", summary="List where customers stand", responses={200: {"model": Standings}})
def standing(
    request: Request,
    warehouse: Books,
    caller: Reader,
    state: Annotated[Standing | None, Query(description="Only these.", examples=["suspended"])] = None,
) -> Response:
    """Those who were ever in dunning."""
    return answer(request, {"customers": without_personal(caller, standings(warehouse, state))})


@router.get("/customers/{customer}/dunning", summary="Show a customer's dunning", responses={200: {"model": History}})
def dunning(request: Request, warehouse: Books, _: Reader, customer: CustomerPath) -> Response:
    """Everything that was done, promises too."""
    return answer(request, {"history": history(warehouse, customer)})


@router.post("/bounces", summary="Note a bounce or a complaint", responses={200: {"model": Done}})
def bounced(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.NOTE_BOUNCES)], body: BounceAsked
) -> Response:
    """Nothing is mailed to the address any more. Told again, as providers do, it is the same, and a 200."""
    reason = body.reason if body.kind == "bounce" else f"complaint: {body.reason}"
    with suppress(NotedAlready):
        note_bounce(warehouse, body.address, signed(caller, reason))
    return answer(
        request, {"done": f"Nothing is mailed to {body.address} any more.", "result": {"address": body.address}}
    )


def _seen(caller: Caller, row: Json) -> Json:
    """What is told, and what a mail server answered, may name people."""
    if caller.may(Scope.PERSONAL):
        return row
    [seen] = without_personal(caller, [row])
    return {**seen, "facts": None, "last_error": None}
