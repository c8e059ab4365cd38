"""A typed client in Python, written from the OpenAPI document: `billing api --client` prints it.

It is the text of client_base.py with a method a route, and a type a schema of the document.
"""

import json
import keyword
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from billing_pipeline.web.api import client_base

METHODS = ("get", "post", "patch", "put", "delete")
_KINDS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_TYPES = "from typing import Any"


def client_code(document: Mapping[str, Any]) -> str:
    """The module's text."""
    routes = [
        _method(document, path, method, methods[method])
        for path, methods in document["paths"].items()
        for method in METHODS
        if method in methods and "security" in methods[method]
    ]
    base = Path(client_base.__file__).read_text(encoding="utf-8")
    head = base.replace(_TYPES, f"{_TYPES}, Literal, NotRequired, TypedDict", 1)
    return "\n".join([head, *routes, *_shapes(document)]) + "\n"


def example_call(document: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    """A call of the route with the examples of what it needs, where `api` is a Billing."""
    needed = [one for one in _arguments(document, operation) if one.required]
    return f"api.{operation['operationId']}({', '.join(f'{one.name}={one.example!r}' for one in needed)})"


class _Argument:
    """What a method takes: a parameter of the route, or a field of its body."""

    def __init__(self, name: str, place: str, schema: Mapping[str, Any], *, required: bool) -> None:
        self.wire = name
        self.name = f"{name}_" if keyword.iskeyword(name) else name
        self.place = place
        self.schema = schema
        self.required = required

    @property
    def example(self) -> Any:
        return next(iter(self.schema.get("examples", [])), None)

    @property
    def written(self) -> str:
        kind = type_of(self.schema)
        if self.required:
            return f"{self.name}: {kind}"
        return f"{self.name}: {kind if 'None' in kind else f'{kind} | None'} = None"


def _arguments(document: Mapping[str, Any], operation: Mapping[str, Any]) -> list[_Argument]:
    found = [
        _Argument(one["name"], one["in"], {**one, **one["schema"]}, required=one["required"])
        for one in operation.get("parameters", [])
        if one["in"] in ("path", "query")
    ]
    body = _resolved(document, _body_of(operation) or {})
    needed = body.get("required", [])
    found += [
        _Argument(name, "body", schema, required=name in needed) for name, schema in body.get("properties", {}).items()
    ]
    names = [one.name for one in found]
    if len(set(names)) != len(names):
        raise ValueError(f"{operation['operationId']}: a field of the body has the name of a parameter")
    return found


def _method(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    arguments = _arguments(document, operation)
    ordered = sorted(arguments, key=lambda one: not one.required)
    writes = method != "get"
    taken = [one.written for one in ordered] + (["idempotency_key: str | None = None"] if writes else [])
    where = path
    for one in arguments:
        if one.place == "path":
            where = where.replace(f"{{{one.wire}}}", f"{{quote({one.name}, safe='')}}")

    def given(place: str) -> str:
        return "{" + ", ".join(f"{one.wire!r}: {one.name}" for one in arguments if one.place == place) + "}"

    body = given("body") if _body_of(operation) is not None else "None"
    key = "idempotency_key" if writes else "None"
    told = _answer_of(operation)
    return "\n".join(
        [
            f"    def {operation['operationId']}(self{', *, ' if taken else ''}{', '.join(taken)}) -> {told!r}:",
            f"        {json.dumps(operation['summary'] + ': ' + ' '.join(operation['description'].split()))}",
            f"        answer: {told} = self._call({method.upper()!r}, f{where!r}, {given('query')}, {body}, {key})",
            "        return answer",
            "",
        ]
    )


def _body_of(operation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = (
        operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    )
    return found


def _answer_of(operation: Mapping[str, Any]) -> str:
    for status in ("200", "202"):
        content = operation["responses"].get(status, {}).get("content", {})
        if "application/json" in content:
            return type_of(content["application/json"]["schema"])
    return "Any"


def _shapes(document: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        fields = schema.get("properties", {})
        needed = schema.get("required", [])
        # written as a call: a field may have the name of a word of the language
        entries = [
            f"    {field!r}: {type_of(one)!r}," if field in needed else f"    {field!r}: NotRequired[{type_of(one)!r}],"
            for field, one in fields.items()
        ]
        yield "\n".join(["", f"{name} = TypedDict({name!r}, {{", *entries, "})"])


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def type_of(schema: Mapping[str, Any]) -> str:
    """The Python type of a schema."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return f"Literal[{', '.join(map(repr, schema.get('enum', [schema.get('const')])))}]"
    if schema.get("type") == "array":
        return f"list[{type_of(schema.get('items', {}))}]"
    if schema.get("type") == "object":
        return "dict[str, Any]"
    return _KINDS.get(schema.get("type", ""), "Any")
