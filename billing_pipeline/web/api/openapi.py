"""What the OpenAPI document says beside the routes themselves: the words at its top, the token, and the problems."""

from typing import Any

from billing_pipeline.web.api.models.usage import UsageEvent
from billing_pipeline.web.api.problems import MEDIA_TYPE, TYPES, Problem

VERSION = "1"
DESCRIPTION = """Usage billing over HTTP: every operation of the `billing` command by one more door.

Send a token that `billing tokens create` made: `Authorization: Bearer bil_…`. Its owner is the author of what it
changes; a token of a customer sees this customer alone. Refusals are `application/problem+json`, with the words of the
command.
Amounts are integers of minor units beside their currency, exact numbers are texts, times are ISO 8601 in UTC.
"""
_TOLD = (401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503)
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": TYPES[status].replace("-", " ").capitalize()} for status in _TOLD
}

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A text of yours: the same request with it is done once in 24 hours, and answered the same again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["b3f0c2d4-credit-of-INV-00000001"]},
}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the media type of problems, and with the token that every path of the API asks for."""
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["components"]["schemas"]["UsageEvent"] = UsageEvent.model_json_schema()
    for schema in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(schema, None)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/"):
                operation["security"] = [{"token": []}]
                if method not in ("get", "head"):
                    operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
            for status, told in operation["responses"].items():
                if int(status) >= 400 and "application/json" in told.get("content", {}):
                    told["content"] = {MEDIA_TYPE: told["content"]["application/json"]}
                if int(status) == 422:
                    told["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return document
