"""The platform's endpoints, which are told what customers are told: listed, added, given another secret, disabled."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.notices.endpoints import add_endpoint, disable_endpoint, list_endpoints, replay, rotate_secret
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.fields import shown
from billing_pipeline.web.api.models.changing import Done, Reasoned
from billing_pipeline.web.api.models.telling import EndpointAsked, NewSecret, ReplayAsked
from billing_pipeline.web.api.parameters import instant_or_none
from billing_pipeline.web.api.permission import Books, allowed, signed

router = APIRouter(tags=["webhooks"])
Changer = Annotated[Caller, allowed(Scope.CHANGE_SETUP)]
EndpointPath = Annotated[str, Path(max_length=64, description="Its id.", examples=["ep_0123456789abcdef"])]
Endpoints = shown(
    "Endpoints",
    "The platform's endpoints, as `billing webhooks list --json` has them.",
    endpoints=(list[dict[str, Any]], "The oldest first.", [{"endpoint_id": "ep_0123456789abcdef"}]),
)


@router.get("/webhooks", summary="List endpoints", responses={200: {"model": Endpoints}})
def list_(request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_SETUP)]) -> Response:
    """With how many messages each has taken, waits for and did not take."""
    return answer(request, {"endpoints": list_endpoints(warehouse)})


@router.post("/webhooks", summary="Add an endpoint", responses={200: {"model": NewSecret}})
def add(request: Request, warehouse: Books, caller: Changer, body: EndpointAsked) -> Response:
    """It is told of everything from now on. Its secret is shown in this answer alone."""
    endpoint_id, secret = add_endpoint(warehouse, _cipher(request), body.url, signed(caller, body.reason))
    return _shown_once(request, endpoint_id, secret)


@router.post("/webhooks/{endpoint}/rotate", summary="Rotate a secret", responses={200: {"model": NewSecret}})
def rotate(request: Request, warehouse: Books, caller: Changer, endpoint: EndpointPath, body: Reasoned) -> Response:
    """Another secret; the old one signs for another 24 hours beside it."""
    secret = rotate_secret(warehouse, _cipher(request), endpoint, signed(caller, body.reason))
    return _shown_once(request, endpoint, secret)


@router.post("/webhooks/{endpoint}/disable", summary="Disable an endpoint", responses={200: {"model": Done}})
def disable(request: Request, warehouse: Books, caller: Changer, endpoint: EndpointPath, body: Reasoned) -> Response:
    """It is told nothing more."""
    disable_endpoint(warehouse, endpoint, signed(caller, body.reason))
    return answer(request, {"done": f"{endpoint} is told nothing more.", "result": {"endpoint_id": endpoint}})


@router.post("/webhooks/{endpoint}/replay", summary="Tell an endpoint again", responses={200: {"model": Done}})
def replay_(request: Request, warehouse: Books, caller: Changer, endpoint: EndpointPath, body: ReplayAsked) -> Response:
    """Of everything since an instant that it was told, or that was given up."""
    since = instant_or_none("since", body.since)
    if since is None:
        raise HTTPException(422, "since: expected an instant")
    count = replay(warehouse, endpoint, since, signed(caller, body.reason))
    return answer(request, {"done": f"{count:,} messages are to be sent again.", "result": {"messages": count}})


def _cipher(request: Request) -> EventCipher:
    return EventCipher(request.app.state.settings.events.keys)


def _shown_once(request: Request, endpoint_id: str, secret: str) -> Response:
    request.state.holds_secret = True
    return answer(request, {"endpoint_id": endpoint_id, "secret": secret})
