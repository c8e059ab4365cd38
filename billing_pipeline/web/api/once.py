"""Idempotency-Key: a write that is sent twice is done once, and both are told the same.

Plain ASGI, between the gate and the routes, so that it holds for every route alike.
"""

import re
from collections.abc import Callable
from hashlib import sha256

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing_pipeline.access.requests import Answered, NotTaken, Taken, give_back, keep_answer, take_request
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.api.problems import problem

HEADER = "Idempotency-Key"
READS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Once:
    """Around the routes. `is_excepted` tells the paths whose writes are idempotent by themselves."""

    def __init__(self, app: ASGIApp, warehouse: Warehouse, is_excepted: Callable[[str], bool]) -> None:
        self._app = app
        self._warehouse = warehouse
        self._is_excepted = is_excepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        key = Headers(scope=scope).get(HEADER.lower()) if scope["type"] == "http" else None
        caller: Caller | None = scope.get("state", {}).get("caller")
        if key is None or caller is None or scope["method"] in READS or self._is_excepted(scope["path"]):
            await self._app(scope, receive, send)
            return
        if not _KEY.fullmatch(key):
            answer = problem(Request(scope), 422, f"{HEADER}: expected 1 to 255 printable characters of ASCII")
            await answer(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return
        taken = await to_thread.run_sync(take_request, self._warehouse, caller.token_id, key, _digest(scope, body))
        if isinstance(taken, Taken):
            await self._do(taken, scope, _sent_again(body, receive), send)
        else:
            await _told(Request(scope), taken)(scope, receive, send)

    async def _do(self, taken: Taken, scope: Scope, receive: Receive, send: Send) -> None:
        held = _Held()
        try:
            await self._app(scope, receive, held)
        except BaseException:
            await to_thread.run_sync(lambda: give_back(self._warehouse, taken, changed_nothing=False))
            raise
        if 200 <= held.status < 300:
            content = None if scope["state"].get("holds_secret") else bytes(held.content)
            await to_thread.run_sync(keep_answer, self._warehouse, taken, held.status, content)
        else:
            unheard = 400 <= held.status < 500 and held.status != 409
            await to_thread.run_sync(lambda: give_back(self._warehouse, taken, changed_nothing=unheard))
        for message in held.messages:
            await send(message)


async def _whole(receive: Receive) -> bytes | None:
    """The body, which the gate limits; None: the sender went away before its end."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        more = message.get("more_body", False)
    return bytes(body)


class _Held:
    """An answer that is not sent before it is kept: who dies in between told nobody that it was done."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.content = bytearray()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.content += message.get("body", b"")


def _digest(scope: Scope, body: bytes) -> bytes:
    said = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}\n"
    return sha256(said.encode("utf-8", "surrogatepass") + body).digest()


def _sent_again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def read() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def _told(request: Request, found: Answered | NotTaken) -> Response:
    match found:
        case Answered(_, None):
            return problem(request, 409, f"{HEADER}: it was done; its answer held a secret, which is not kept")
        case Answered(status, content):
            return Response(content, status, {"Idempotency-Replayed": "true"}, "application/json")
        case NotTaken.OTHER_REQUEST:
            return problem(request, 422, f"{HEADER}: it was sent with another request before; choose another one")
        case NotTaken.BUSY:
            return problem(request, 409, f"{HEADER}: {found.value}", headers={"Retry-After": "2"})
