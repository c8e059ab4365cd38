"""What only reads is answered as FastAPI would answer it, which the document describes."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Asked

from billing_pipeline.access.rules.permissions import Role, Scope, granted
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import load_settings
from billing_pipeline.web.api.app import ROUTERS, create_api
from billing_pipeline.web.api.gate import PREFIX
from billing_pipeline.web.api.parameters import CustomerPath, MonthQuery
from billing_pipeline.web.api.permission import Books, allowed
from billing_pipeline.web.api.reads import Read, Reads
from billing_pipeline_tests.web.api.serving import DOCUMENT

ODD = ("", "0", "201", "1.5", "x", "2026-13", "true", "é" * 3000)
READERS = Annotated[Caller, allowed(Scope.READ_INVOICES)]


def past_the_gate(app: ASGIApp, warehouse: Warehouse, role: Role) -> httpx.AsyncClient:
    """Somebody with a token of this role, without what the gate asks and adds."""

    async def let_in(asked: Asked, receive: Receive, send: Send) -> None:
        caller = Caller("0" * 12, "somebody", role, granted(role, []), None)
        asked["state"] = {"caller": caller, "warehouse": warehouse, "request_id": "r" * 32}
        await app(asked, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(let_in), base_url="http://here")


def reads_to_ask() -> Iterator[tuple[str, dict[str, str]]]:
    """Each read as it is documented, plainly and with each parameter of its query in odd ways."""
    for path, operations in DOCUMENT["paths"].items():
        if path.startswith(PREFIX) and "get" in operations:
            parameters = operations["get"].get("parameters", [])
            where = path.format(**{each["name"]: "2026-10" for each in parameters if each["in"] == "path"})
            needed = {each["name"]: "2026-10" for each in parameters if each["in"] == "query" and each.get("required")}
            yield where, needed
            yield where, {}
            for each in parameters:
                if each["in"] == "query":
                    yield from ((where, {**needed, each["name"]: odd}) for odd in ODD)


def answers(app: ASGIApp, warehouse: Warehouse, role: Role) -> list[tuple[str, dict[str, str], int, Any]]:
    async def ask() -> list[tuple[str, dict[str, str], int, Any]]:
        async with past_the_gate(app, warehouse, role) as client:
            asked = [(path, query, await client.get(path, params=query)) for path, query in reads_to_ask()]
        return [(path, query, answer.status_code, shown(answer)) for path, query, answer in asked]

    return asyncio.run(ask())


def shown(answer: httpx.Response) -> Any:
    if "json" not in answer.headers["content-type"]:
        return answer.text
    document = answer.json()
    return {name: value for name, value in document.items() if name not in ("at", "as_of")}  # two moments


@pytest.mark.parametrize("role", [Role.ANALYST, Role.PLATFORM])
def test_a_read_is_answered_as_the_framework_answers_it(warehouse: Warehouse, role: Role) -> None:
    framework = create_api()
    framework.state.settings = load_settings()
    reads = Reads(framework, ROUTERS, PREFIX)

    async def by_reads(asked: Asked, receive: Receive, send: Send) -> None:
        answer = reads.answer(asked)
        assert answer is not None, asked["path"]
        await answer(asked, receive, send)

    own = answers(by_reads, warehouse, role)
    assert {status for _, _, status, _ in own} >= {200, 403, 404, 422}
    assert own == answers(framework, warehouse, role)


def test_what_writes_and_what_is_unknown_is_no_read() -> None:
    app = create_api()
    reads = Reads(app, ROUTERS, PREFIX)
    for method, path in (("POST", "/invoices"), ("HEAD", "/invoices"), ("GET", "/nowhere"), ("DELETE", "/invoices")):
        assert reads.answer({"type": "http", "method": method, "path": PREFIX + path}) is None


def test_a_read_that_takes_what_is_read_from_nowhere_is_refused_at_once() -> None:
    def takes_a_text(_: Books, __: READERS, name: str) -> Response:
        return PlainTextResponse(name)

    def gives_rows(_: Books, __: READERS, ___: MonthQuery = None) -> list[str]:
        return []

    async def runs_itself(customer: CustomerPath) -> Response:
        return JSONResponse(customer)

    for endpoint, why in (
        (takes_a_text, "takes name, which is read from nowhere"),
        (gives_rows, "gives_rows is no plain function that gives a response"),
        (runs_itself, "runs_itself is no plain function that gives a response"),
    ):
        with pytest.raises(TypeError, match=f"^/somewhere: .*{why}$"):
            Read("/somewhere", endpoint)
