"""The document and a page made of it: from our own files, without a script and without another host."""

import json
import shlex
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from billing_pipeline.web.api.client_code import example_call
from billing_pipeline.web.api.openapi import complete

PAGES = Path(__file__).parent / "pages"
router = APIRouter(tags=["documentation"])


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(_document(request))


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The same for people."""
    return HTMLResponse(_page(_document(request)))


@router.get("/docs.css")
async def style() -> Response:
    """How the page looks."""
    return FileResponse(PAGES / "docs.css", media_type="text/css")


def _document(request: Request) -> dict[str, Any]:
    kept: dict[str, Any] | None = getattr(request.app.state, "document", None)
    if kept is None:
        kept = request.app.state.document = complete(request.app.openapi())
    return kept


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(PAGES), autoescape=True)


def _page(document: dict[str, Any]) -> str:
    calls = {
        "curl": partial(curl_of, document),
        "Python": lambda _method, _path, operation: example_call(document, operation),
        "TypeScript": partial(typescript_of, document),
    }
    return _templates().get_template("docs.html.j2").render(api=document, calls=calls)


def curl_of(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    """A call of the route with the examples of its fields, for a shell where TOKEN and API are set."""
    address, body = _example_request(document, path, operation)
    words = ["curl"] if method == "get" else ["curl", "-X", method.upper()]
    if "security" in operation:
        words += ["-H", '"Authorization: Bearer $TOKEN"']
    if body is not None:
        words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(json.dumps(body, ensure_ascii=False))]
    return " ".join([*words, f'"$API{address}"'])


def typescript_of(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    """The same with fetch, where `api` is the address and `token` the token."""
    address, body = _example_request(document, path, operation)
    headers = ["Authorization: `Bearer ${token}`"] if "security" in operation else []
    headers += ['"Content-Type": "application/json"'] if body is not None else []
    options = [f'method: "{method.upper()}"'] if method != "get" else []
    options += [f"headers: {{ {', '.join(headers)} }}"] if headers else []
    options += [f"body: JSON.stringify({json.dumps(body, ensure_ascii=False)})"] if body is not None else []
    return f"await fetch(`${{api}}{address}`{', { ' + ', '.join(options) + ' }' if options else ''})"


def _example_request(document: dict[str, Any], path: str, operation: dict[str, Any]) -> tuple[str, Any]:
    """Path and query with examples of what is needed, and the body; None: it has none."""
    given = operation.get("parameters", [])
    for each in given:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", quote(str(_example(each["schema"]))))
    needed = [
        f"{each['name']}={_example(each['schema'])}" for each in given if each["in"] == "query" and each["required"]
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    address = f"{path}{'?' if needed else ''}{'&'.join(needed)}"
    return address, None if body is None else _example_of(document, body["schema"])


def _example_of(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """What is needed of a body, or its first fields if nothing is."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "array":
        return [_example_of(document, schema["items"])]
    fields = schema.get("properties")
    if fields is None:
        return _example(schema)
    shown = schema.get("required") or list(fields)[:2]
    return {name: _example_of(document, fields[name]) for name in shown}


def _example(schema: dict[str, Any]) -> Any:
    return next(iter(schema.get("examples", [])), "")
