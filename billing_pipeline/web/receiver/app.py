"""The thin receiver of Stripe's webhooks: verify, store the bytes, answer 200 once they are committed. Nothing else.

An ASGI application for any server: `uvicorn --factory billing_pipeline.web.receiver.app:app`. What an event means is
decided elsewhere and later, so that nothing of it can keep an event from being stored. What is refused leaves no trace
but a line in the log, and that line repeats nothing of the request.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.rules.received_event import ReceivedEvent, parse_event
from billing_pipeline.events.rules.webhook_signature import SignatureError, read_signature_header
from billing_pipeline.events.store import Outcome
from billing_pipeline.events.writer import DatabaseAway, EventWriter
from billing_pipeline.settings import ReceiverSettings, SettingsError, load_receiver_settings
from billing_pipeline.web.receiver.bodies import BodyReader, TooLarge, TooManyBytes, TooSlow

PATHS = ("/stripe/webhook", "/api/billing/stripe-webhook")
WRITERS = 8
QUEUED_MAX = 256
"""Events that wait for a writer; Stripe sends again what finds no place."""
STORED_WITHIN_S = 9.0
"""Stripe waits for an answer about twice as long."""
CHECKED_FOR_S = 1.0
"""So long an answer of /readyz is given again: a flood of them asks the database once a second."""
RETRY_AFTER = {"Retry-After": "5"}
_log = logging.getLogger("billing.receiver")


class Receiver:
    """The handlers of one application, its writers and the bytes that it holds."""

    def __init__(self, settings: ReceiverSettings, writer: EventWriter) -> None:
        self._settings = settings
        self._secrets = [secret.encode() for secret in settings.secrets]
        self._writer = writer
        self._bodies = BodyReader()
        self._threads = ThreadPoolExecutor(WRITERS, "event-writer")
        self._under_way = 0
        self._checking: asyncio.Future[None] | None = None
        self._check_again_at = 0.0

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            *(Route(path, self.receive, methods=["POST"]) for path in PATHS),
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
        ]

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Until the server shuts down; then what is being stored is finished."""
        yield
        self._threads.shutdown()
        self._writer.close()

    async def receive(self, request: Request) -> Response:
        """An event of Stripe's: 200 once it is committed, 4xx if it is refused, 503 if Stripe should send it again."""
        try:
            header = read_signature_header(
                [value for name, value in request.headers.raw if name == b"stripe-signature"],
                time.time(),
                self._settings.tolerance_s,
            )
            body = await self._bodies.read(request)
        except SignatureError as error:
            return _refused(400, str(error))
        except TooLarge:
            return _refused(413, "body above 1 MiB")
        except TooSlow:
            return _refused(408, "body came too slowly", {"Connection": "close"})
        except TooManyBytes:
            return _refused(503, "too many large bodies at once", RETRY_AFTER)
        except ClientDisconnect:
            return _refused(400, "the sender went away")
        if not header.covers(body, self._secrets):
            return _refused(400, "no signature matches")
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            return _refused(400, "body is not UTF-8")
        event = parse_event(body)
        return await self._store(event)

    def _is_ours(self, event: ReceivedEvent) -> bool:
        return event.livemode in (None, self._settings.livemode) and event.account in (None, self._settings.account)

    async def _store(self, event: ReceivedEvent) -> Response:
        if self._under_way >= QUEUED_MAX:
            return _refused(503, "too many events at once", RETRY_AFTER)
        self._under_way += 1
        store = self._writer.store if self._is_ours(event) else self._writer.keep_foreign
        storing = asyncio.get_running_loop().run_in_executor(self._threads, store, event)
        storing.add_done_callback(self._stored)
        try:
            # a writer cannot be interrupted: if it is late, what it does is done all the same
            outcome = await asyncio.wait_for(asyncio.shield(storing), STORED_WITHIN_S)
        except TimeoutError:
            return _refused(503, "the database did not answer in time", RETRY_AFTER)
        except DatabaseAway as error:
            _log.error("not stored, the database is away: %s", error)
            return PlainTextResponse("try again\n", 503, RETRY_AFTER)
        if outcome == "not ours":
            # the names of somebody else's account and objects are no business of this log
            _log.info("not ours: an event of another account or mode; its envelope is in stripe_foreign_events")
        elif outcome == "conflict":
            _log.error("event %s came again with other content: kept aside in stripe_event_conflicts", event.event_id)
        else:
            _log.info("%s %s %s", outcome, event.event_id, event.type)
        return PlainTextResponse(f"{outcome}\n")

    def _stored(self, storing: "asyncio.Future[Outcome]") -> None:
        self._under_way -= 1
        if not storing.cancelled():
            storing.exception()  # was told to the sender, or nobody waits for it any more

    async def healthz(self, _: Request) -> Response:
        """200: the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """200: an event would be stored; 503 and why not, as of the last second."""
        now = time.monotonic()
        if self._checking is None or (self._checking.done() and now >= self._check_again_at):
            self._checking = asyncio.get_running_loop().run_in_executor(self._threads, self._writer.check)
            self._checking.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._check_again_at = now + CHECKED_FOR_S
        try:
            # all that ask meanwhile wait for the same answer
            await asyncio.wait_for(asyncio.shield(self._checking), STORED_WITHIN_S)
        except TimeoutError:
            return _refused(503, "the database did not answer in time", RETRY_AFTER)
        except DatabaseAway as error:
            _log.error("not ready: %s", error)
            return PlainTextResponse("the database is away\n", 503, RETRY_AFTER)
        return PlainTextResponse("ready\n")


def _refused(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    _log.warning("%d %s", status, reason)
    return PlainTextResponse(f"{reason}\n", status, headers)


def create_app(settings: ReceiverSettings, database_url: str) -> Starlette:
    """The application, without a connection yet.

    Raises:
        SettingsError: `database_url` is no PostgreSQL URL.
    """
    writer = EventWriter(database_url, EventCipher(settings.event_keys))
    receiver = Receiver(settings, writer)
    application = Starlette(routes=receiver.routes(), lifespan=receiver.lifespan)
    application.router.redirect_slashes = False  # a redirected POST would arrive as a GET, or not at all
    return application


def app() -> Starlette:
    """The application as the environment configures it, for an ASGI server of one's own.

    Raises:
        SettingsError: a setting is missing or too weak.
    """
    settings = load_receiver_settings()
    if settings.database_url is None:
        raise SettingsError("BILLING_DATABASE_URL is not set: expected postgresql://user@host/database")
    return create_app(settings, settings.database_url)
