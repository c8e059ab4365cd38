"""Refusals and faults as `application/problem+json` (RFC 9457), each with a stable `type` and nothing internal."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from billing_pipeline.charging.exclusive import InvoiceBusy
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.customers.one_customer import CustomerRefused
from billing_pipeline.postgres.errors import RESTRICTED, RULE, database_reason, sqlstate
from billing_pipeline.settings import SettingsError
from billing_pipeline.stripe_gateway.opening import StripeFailed
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

MEDIA_TYPE = "application/problem+json"
TYPES: Mapping[int, str] = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    409: "refused",
    412: "changed-meanwhile",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    429: "too-many-requests",
    500: "internal",
    502: "stripe-failed",
    503: "unavailable",
}
"""Status -> the last part of `type`, which stays as it is."""
REFUSALS = (HTTPException, RequestValidationError, UserError, StripeFailure, DBAPIError, PoolTimeoutError)
"""What a request may end with; anything else is a fault of ours."""
LATER = {"Retry-After": "5"}
_log = logging.getLogger("billing.api")


class FieldError(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(extra="forbid")
    field: str = Field(description="Where: body, query or path, and the way to the field.", examples=["body.reason"])
    expected: str = Field(description="What was expected there.", examples=["a text of at most 2,000 characters"])


class Problem(BaseModel):
    """A refusal or a fault (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field(description="Stable name of the kind.", examples=["urn:billing:problem:refused"])
    title: str = Field(description="The kind in words.", examples=["Conflict"])
    status: int = Field(description="The HTTP status.", examples=[409])
    detail: str = Field(
        description="What happened, in the words that the command has too.",
        examples=["INV-00000001 has payments: credit it instead"],
    )
    request_id: str = Field(description="The request, as logs name it.", examples=["0b6f3d6f5e2c4a7f9d1e2c3b4a5f6e7d"])
    errors: list[FieldError] = Field(description="Field by field, where fields are wrong.", examples=[[]])


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer."""
    document = {
        "type": f"urn:billing:problem:{TYPES.get(status, 'malformed')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request.state.request_id,
        "errors": list(errors),
    }
    content = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, status, headers, MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Every refusal of the application is a problem document."""
    for error in (*REFUSALS, Exception):
        app.add_exception_handler(error, problem_of)


def problem_of(request: Request, error: Exception) -> Response:
    """What an error means for who asked."""
    match error:
        case HTTPException():
            return _of_framework(request, error)
        case RequestValidationError():
            return _invalid(request, error)
        case NotFound():
            return problem(request, 404, str(error))
        case SettingsError():
            _log.error("a setting cannot work: %s", error)
            return problem(request, 503, "a setting of the API cannot work; its log names it")
        case CustomerRefused():
            return problem(request, 422, str(error))
        case StripeFailed():
            return problem(request, 502, str(error))
        case UserError():
            headers = {"Retry-After": "2"} if isinstance(error, InvoiceBusy) else None
            return problem(request, 409, str(error), headers=headers)
        case StripeFailure():
            return problem(request, 502, f"Stripe: {error}")
        case PoolTimeoutError():
            return problem(request, 503, "all connections to the database are in use", headers=LATER)
        case DBAPIError():
            return _of_database(request, error)
        case _:
            return problem(request, 500, "this is a fault of ours; the log has it under request_id")


def _of_framework(request: Request, error: HTTPException) -> Response:
    if error.status_code == 400:
        return problem(request, 422, "body: expected JSON in UTF-8")  # how FastAPI says that it cannot read it
    headers = error.headers
    if error.status_code == 405:
        headers = _allowed(request) or headers
    return problem(request, error.status_code, str(error.detail), headers=headers)


def _allowed(request: Request) -> dict[str, str] | None:
    """All methods of the path: the framework names those of the first route that has it. None: no path of ours."""
    paths: Mapping[str, Mapping[str, object]] = request.app.openapi()["paths"]
    methods = {
        method.upper()
        for path, operations in paths.items()
        if compile_path(path)[0].match(request.url.path)
        for method in operations
    }
    return {"Allow": ", ".join(sorted(methods))} if methods else None


def _invalid(request: Request, error: RequestValidationError) -> Response:
    errors = [{"field": ".".join(map(str, each["loc"])), "expected": _expected(each)} for each in error.errors()]
    detail = "; ".join(f"{each['field']}: expected {each['expected']}" for each in errors)
    return problem(request, 422, detail, errors=errors)


def _expected(error: Mapping[str, Any]) -> str:
    """The house's words for what pydantic says of a field; its own, where there are none."""
    given = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(given["error"]).removeprefix("expected ")
    words = _EXPECTED.get(error["type"]) or _EXPECTED.get(error["type"].partition("_")[0])
    return words.format(**given) if words else str(error["msg"])


# pydantic's type of an error, or the kind of value that it begins with -> what was expected
_EXPECTED: Mapping[str, str] = {
    "missing": "a value",
    "extra_forbidden": "no field of this name",
    "json_invalid": "JSON",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "characters: {min_length} at least",
    "string_too_long": "characters: {max_length:,} at most",
    "string_pattern_mismatch": "a text that matches {pattern}",
    "too_short": "items: {min_length} at least",
    "too_long": "items: {max_length:,} at most",
    "string": "a text",
    "int": "a whole number",
    "bool": "true or false",
    "date": "a date such as 2026-10-31",
    "datetime": "an instant such as 2026-10-31T12:00:00Z",
    "dict": "an object",
    "model": "an object",
    "list": "a list",
}


def _of_database(request: Request, error: DBAPIError) -> Response:
    if sqlstate(error) in (RULE, RESTRICTED):
        return problem(request, 409, database_reason(error))
    if isinstance(error.orig, psycopg.DataError):
        return problem(request, 422, "a value is none that can be stored, such as a character with the code 0")
    if error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError):
        _log.error("the database is away: %s", database_reason(error))
        return problem(request, 503, "the database does not answer", headers=LATER)
    _log.error("the database refuses: %s", database_reason(error), exc_info=error)
    return problem(request, 500, "this is a fault of ours; the log has it under request_id")
