"""The ASGI application: HTTP in and out, start and stop.

What a call does is the work of `dispatch` and `control`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from .calls import Answer, Call
from .config import EmulatorConfig
from .control import Control
from .database import connect
from .delivery import Courier
from .dispatch import Dispatcher
from .errors import StripeError, unknown_url
from .hosted_pages import HostedPages
from .store import Store, dumps

TRANSPORT = "stripe_emulator.transport"


class EmulatorApp(Starlette):
    """Starlette, remembering the TCP connection of each request, so that a fault can cut it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        # uvicorn's `send` is a method of the request cycle, which holds the transport; there is no public way
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
        await super().__call__(scope, receive, send)


class Api:
    """All but ``/_emulator`` and ``/hosted``: reads a request, has it dispatched, answers or cuts the connection."""

    def __init__(self, dispatcher: Dispatcher, body_max_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._body_max_bytes = body_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        method, path = scope["method"], scope["path"]
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            body = await self._read(receive)
            if body is None:
                return
            if not path.startswith("/v1/"):
                raise unknown_url(method, path)
        except StripeError as error:
            await _send(send, Answer(error.status, dumps(error.body())), {})
            return
        call = Call(method, path, scope["query_string"].decode("latin-1"), body, names)
        answer, headers = await self._dispatcher.handle(call)
        if answer.status is None:
            await _cut(scope, receive)
            return
        await _send(send, answer, headers)

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body; None if the client went away before its end, and so nothing was asked."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self._body_max_bytes:
                raise StripeError(413, "invalid_request_error", "Request body too large.")
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)


async def _send(send: Send, answer: Answer, headers: dict[str, str]) -> None:
    body = answer.body.encode("utf-8")
    names = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in names.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _cut(scope: Scope, receive: Receive) -> None:
    """Close the TCP connection without a byte, and wait until the server has noticed."""
    transport = scope[TRANSPORT]
    if transport is None:
        raise ConnectionAbortedError("a fault drops this connection, and the server in use gives no access to it")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)


def create_app(config: EmulatorConfig | None = None) -> Starlette:
    """The emulator as an ASGI app; it opens its database when the server starts it up."""
    settings = config or EmulatorConfig()
    temporary = None if settings.path else tempfile.TemporaryDirectory(prefix="stripe-emulator-")
    path = settings.path or Path(temporary.name if temporary else "") / "emulator.sqlite3"
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = connect(path)
    # keys that a killed process with the same process id had reserved: nobody works on those requests any more
    connection.execute("DELETE FROM idempotency_keys WHERE status IS NULL AND holder_pid = ?", (os.getpid(),))
    store = Store(connection)
    courier = Courier(settings, path)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        courier.start()
        yield
        await asyncio.to_thread(courier.stop)
        connection.close()
        if temporary is not None:
            temporary.cleanup()

    api = Api(Dispatcher(settings, store, courier), settings.body_max_bytes)
    return EmulatorApp(
        routes=[
            Mount("/hosted", routes=HostedPages(store, courier).routes()),
            Mount("/_emulator", routes=Control(settings, store, courier).routes()),
            Route("/{path:path}", api),
        ],
        lifespan=lifespan,
    )
