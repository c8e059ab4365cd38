"""Answers: rows in the shape of `core/shapes.py`, with an ETag over their bytes, and without what is personal."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from fastapi import HTTPException, Request
from pydantic_core import to_json
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.core.shapes import shaped

PERSONAL = frozenset(
    {"customer_name", "name", "email", "stripe_customer_id", "address", "tax_id", "phone", "recipient"}
)
"""Keys that say who somebody is: null for a token without the scope `personal`."""


def etag_of(document: Any) -> str:
    """The tag of a document as it would be sent."""
    return f'"{sha256(_bytes(document)).hexdigest()[:32]}"'


def answer(request: Request, document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The document as JSON; 304 where the caller has these very bytes."""
    content = _bytes(document)
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    told = {"ETag": tag, **(headers or {})}
    if request.method == "GET" and tag in _tags(request.headers.get("if-none-match")):
        return Response(status_code=304, headers=told)
    return Response(content, status, told, "application/json")


def require_unchanged(request: Request, read: Callable[[], Any]) -> None:
    """What the caller saw is what is read now, if the request says what it saw (If-Match).

    Raises:
        HTTPException: 412, it has changed.
    """
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted != "*" and etag_of(read()) not in _tags(wanted):
        raise HTTPException(412, "it has changed since it was read: look again")


def without_personal(caller: Caller, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows as the caller may see them."""
    if caller.may(Scope.PERSONAL):
        return [dict(row) for row in rows]
    return [{name: None if name in PERSONAL else value for name, value in row.items()} for row in rows]


def _bytes(document: Any) -> bytes:
    return to_json(shaped(document))


def _tags(header: str | None) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
