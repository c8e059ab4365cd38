"""Traffic held to an OpenAPI document of Stripe's, such as `latest/openapi.spec3.json` of github.com/stripe/openapi.

The document is not part of this repository (5 MB, another version every month). It leaves objects open; what it does not
name counts as a violation here all the same.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

from billing_pipeline.sandbox.stripe_emulator import forms
from billing_pipeline_tests.contract.traffic import Exchange

FORM = "application/x-www-form-urlencoded"
_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class OpenApi:
    """A document, and what of an exchange breaks it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._root = {"components": _closed(document["components"])}
        self._paths = [
            (re.compile(re.sub(r"\\{[^/]*?\\}", "[^/]+", re.escape(path)) + "$"), path, operations)
            for path, operations in document["paths"].items()
        ]
        self._validators: dict[str, Draft4Validator] = {}

    @classmethod
    def read(cls, path: Path) -> "OpenApi":
        return cls(json.loads(path.read_text(encoding="utf-8")))

    @property
    def version(self) -> str:
        return str(self._document["info"]["version"])

    def violations(self, said: Exchange) -> list[str]:
        """What of the request or of its answer is not as the document says."""
        operation = self._operation(said)
        if operation is None:
            return [f"{said}: the document has no such operation"]
        wrong = [*self._request(said, operation), *(self._answer(said, operation) if said.status is not None else ())]
        return [f"{said}: {one}" for one in wrong]

    def event(self, about: Mapping[str, Any]) -> list[str]:
        """What is wrong with the object of an event."""
        schema = {"$ref": f"#/components/schemas/{about['data']['object']['object']}"}
        return [f"{about['type']}: {one}" for one in self._wrong(about["data"]["object"], schema)]

    def _operation(self, said: Exchange) -> Mapping[str, Any] | None:
        found = [
            (path.count("{"), operations[said.method.lower()])
            for pattern, path, operations in self._paths
            if pattern.match(said.path) and said.method.lower() in operations
        ]
        return min(found, key=lambda one: one[0])[1] if found else None

    def _request(self, said: Exchange, operation: Mapping[str, Any]) -> Iterator[str]:
        if said.method == "GET":
            given = {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == "query"}
            schema = {
                "type": "object",
                "properties": {name: one["schema"] for name, one in given.items()},
                "required": [name for name, one in given.items() if one.get("required")],
            }
        else:
            schema = operation["requestBody"]["content"][FORM]["schema"]
        closed = _closed(schema)
        yield from self._wrong(self._typed(forms.parse(said.encoded), closed), closed)

    def _answer(self, said: Exchange, operation: Mapping[str, Any]) -> Iterator[str]:
        responses = operation["responses"]
        answer = responses.get(str(said.status), responses["default"])
        yield from self._wrong(json.loads(said.answer), _closed(answer["content"]["application/json"]["schema"]))

    def _wrong(self, value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
        name = json.dumps(schema, sort_keys=True)
        if name not in self._validators:
            self._validators[name] = Draft4Validator({**self._root, **schema})
        for error in self._validators[name].iter_errors(value):
            # of several shapes that it may have, what is wrong with the one that it comes nearest to
            while error.context:
                error = max(error.context, key=lambda one: len(one.absolute_path))
            yield f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"

    def _typed(self, raw: Any, schema: Mapping[str, Any]) -> Any:
        """The strings of a form as the types that the schema has; what does not fit stays as it is."""
        if "$ref" in schema:
            return self._typed(raw, self._root["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            candidates = [(self._typed(raw, arm), arm) for arm in schema["anyOf"]]
            fitting = (value for value, arm in candidates if not list(self._wrong(value, arm)))
            return next(fitting, candidates[0][0])
        if schema.get("type") == "object" and isinstance(raw, dict):
            other = schema.get("additionalProperties")
            schemas = schema.get("properties", {})
            return {
                key: self._typed(value, schemas.get(key) or (other if isinstance(other, dict) else {}))
                for key, value in raw.items()
            }
        if schema.get("type") == "array" and isinstance(raw, dict | list):
            values = raw if isinstance(raw, list) else [raw[key] for key in sorted(raw, key=int)]
            return [self._typed(value, schema["items"]) for value in values]
        return _scalar(raw, str(schema.get("type")))


def _scalar(raw: Any, type_: str) -> Any:
    if not isinstance(raw, str):
        return raw
    if type_ == "integer" and _INTEGER.fullmatch(raw):
        return int(raw)
    if type_ == "number" and _NUMBER.fullmatch(raw):
        return float(raw)
    return {"true": True, "false": False}.get(raw, raw) if type_ == "boolean" else raw


def _closed(schema: Any) -> Any:
    """The same as a JSON schema, in which null is a type and objects have what they name and no more."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # what is named `properties` holds names, not words of a schema
    made = {
        name: {key: _closed(one) for key, one in value.items()} if name == "properties" else _closed(value)
        for name, value in schema.items()
        if name not in ("nullable", "description", "title")
    }
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") is True else made
