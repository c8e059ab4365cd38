"""Whatever is sent, the answer is one that the document describes, and never a fault of ours."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.opening import StripeFailed
from billing_pipeline_tests.charging.world import Bill, Emulated, World
from billing_pipeline_tests.web.api.serving import DOCUMENT, PREFIX, Client, serving

TEXTS = ("", "a\x00b", "\ud800", "x" * 300, "2026-02-30", "1e400")
OTHERS: tuple[Any, ...] = (None, -1, 10**30, True, [None], {"a": {"b": 1}})
RAW = (b"", b"\xff\xfe", b"null", b"[]", b'"x"', b"{", b'{"a": 1, "a": 2}', b"[" * 50_000, b'{"reason": NaN}')
WRITES = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if "application/json" in operation.get("requestBody", {}).get("content", {})
]


@pytest.fixture(scope="module")
def admin(shared_database: Any, shared_stripe: Emulated) -> Iterator[Client]:
    @contextmanager
    def away() -> Iterator[StripeGateway]:
        raise StripeFailed("Stripe: not here")
        yield

    World(shared_database, shared_stripe).bill(Bill("a"), Bill("b"))
    with serving(shared_database, stripe=away) as api:
        yield api.as_("admin")


def properties(operation: dict[str, Any]) -> dict[str, Any]:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    while "anyOf" in schema or "$ref" in schema:
        schema = schema["anyOf"][0] if "anyOf" in schema else DOCUMENT["components"]["schemas"][schema["$ref"][21:]]
    found: dict[str, Any] = schema.get("properties", {})
    return found


def bodies(fields: dict[str, Any]) -> Iterator[bytes]:
    """Raw ones, and those where all fields, or each by itself, hold something odd."""
    yield from RAW
    good = {name: (field.get("examples") or [None])[0] for name, field in fields.items()}
    good = {name: value for name, value in good.items() if value is not None}
    for odd in (*TEXTS, *OTHERS):
        yield json.dumps(dict.fromkeys(fields, odd)).encode()
    for number, name in enumerate(fields):
        for odd in (TEXTS[number % len(TEXTS)], OTHERS[number % len(OTHERS)]):
            yield json.dumps({**good, name: odd}).encode()


@pytest.mark.parametrize(
    ("method", "path", "operation"), WRITES, ids=[f"{method} {path}" for method, path, _ in WRITES]
)
def test_an_odd_body_is_answered_as_the_document_says(
    admin: Client, method: str, path: str, operation: dict[str, Any]
) -> None:
    where = path.removeprefix(PREFIX).replace("{month}", "2026-10").replace("{customer}", "a")
    where = where.replace("{", "").replace("}", "")
    for body in bodies(properties(operation)):
        answer = admin.send(method, where, content=body, headers={"Content-Type": "application/json"})
        told = operation["responses"].get(str(answer.status_code))
        assert told is not None, (body[:200], answer.text)
        assert answer.status_code != 500, (body[:200], answer.text)
        told_schema(path, method.lower(), answer.status_code, answer.headers["content-type"]).validate(answer.json())


@cache
def told_schema(path: str, method: str, status: int, kind: str) -> Draft202012Validator:
    told = DOCUMENT["paths"][path][method]["responses"][str(status)]["content"][kind]["schema"]
    return Draft202012Validator({**told, "components": DOCUMENT["components"]})
