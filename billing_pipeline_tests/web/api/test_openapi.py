"""The OpenAPI document: it lies in the repository, is current, and describes every field with an example."""

import json
from collections.abc import Iterator
from typing import Any

from billing_pipeline.settings import ROOT
from billing_pipeline.web.api.app import openapi_document
from billing_pipeline.web.api.documentation import curl_of

DOCUMENT = ROOT / "docs" / "openapi.json"


def test_the_document_in_the_repository_is_current() -> None:
    """Made anew by `billing api --openapi > docs/openapi.json`."""
    assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == openapi_document()


def _fields() -> Iterator[tuple[str, dict[str, Any]]]:
    document = openapi_document()
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            yield f"{name}.{field}", described
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", []):
                yield f"{method} {path}?{parameter['name']}", {**parameter["schema"], **parameter}


def test_every_field_and_parameter_says_what_it_is_with_an_example() -> None:
    def has_example(field: dict[str, Any]) -> bool:
        composed = "$ref" in field or "$ref" in field.get("items", {}) or "$ref" in str(field.get("anyOf", ""))
        return composed or any(key in field for key in ("examples", "enum", "const")) or "enum" in str(field)

    assert [name for name, field in _fields() if not has_example(field)] == []
    assert [name for name, field in _fields() if "$ref" not in field and not field.get("description")] == []


def test_every_route_asks_for_a_token_and_says_which_problems_there_are() -> None:
    for path, methods in openapi_document()["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            if path.startswith("/api/"):
                assert operation["security"] == [{"token": []}]
                assert {"401", "403", "422", "429", "500"} <= set(operation["responses"])


def test_every_route_has_a_call_to_copy() -> None:
    document = openapi_document()
    calls = {
        f"{method} {path}": curl_of(document, method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    hold = calls["post /api/billing/months/{month}/hold"]
    assert hold == (
        """curl -X POST -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json'"""
        """ -d '{"reason": "billed twice"}' "$API/api/billing/months/2026-10/hold\""""
    )
    assert calls["get /healthz"] == 'curl "$API/healthz"'
    assert [name for name, call in calls.items() if "{" in call.rpartition("$API")[2]] == []
