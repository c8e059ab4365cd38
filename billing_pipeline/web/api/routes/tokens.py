"""Tokens of the API: listed, made, rotated, revoked."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Role, Scope
from billing_pipeline.access.rules.tokens import Caller, Token
from billing_pipeline.access.tokens import create_token, list_tokens, revoke_token, rotate_token
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.changing import Done, Reasoned
from billing_pipeline.web.api.models.reading import TokenPage
from billing_pipeline.web.api.models.tokens import NewToken, Rotation, TokenAsked
from billing_pipeline.web.api.paging import Cursor, Limit, page, read_cursor
from billing_pipeline.web.api.permission import Books, allowed, signed

router = APIRouter(tags=["tokens"])
TokenPath = Annotated[str, Path(max_length=64, description="Its id.", examples=["0123456789ab"])]


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


@router.post("/tokens", summary="Make a token", responses={200: {"model": NewToken}})
def create(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.TOKENS)], body: TokenAsked
) -> Response:
    """It is shown in this answer alone, also to who sends an Idempotency-Key."""
    made = create_token(
        warehouse,
        Role(body.role),
        body.owner,
        signed(caller, body.reason),
        customer_id=body.customer,
        scopes=body.scopes,
        expires_days=body.expires_days,
    )
    return _shown_once(request, made)


@router.post("/tokens/{token}/rotate", summary="Rotate a token", responses={200: {"model": NewToken}})
def rotate(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.TOKENS)],
    token: TokenPath,
    body: Rotation,
) -> Response:
    """A new one of the same rights; the old one holds for `grace_hours` more."""
    made = rotate_token(warehouse, token, signed(caller, body.reason), grace_hours=body.grace_hours)
    return _shown_once(request, made)


@router.post("/tokens/{token}/revoke", summary="Revoke a token", responses={200: {"model": Done}})
def revoke(
    request: Request,
    warehouse: Books,
    caller: Annotated[Caller, allowed(Scope.TOKENS)],
    token: TokenPath,
    body: Reasoned,
) -> Response:
    """It lets nobody in from now on."""
    now = revoke_token(warehouse, token, signed(caller, body.reason))
    said = "It lets nobody in any more." if now else "It was revoked already."
    return answer(request, {"done": said, "result": {"token_id": token, "now": now}})


def _shown_once(request: Request, made: Token) -> Response:
    request.state.holds_secret = True
    return answer(request, {"token_id": made.token_id, "token": made.text})
