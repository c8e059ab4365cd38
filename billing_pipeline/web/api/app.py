"""The application: the gate, the routes, and what the OpenAPI document says of all of them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp

from billing_pipeline.access.identity_provider import IdentityProvider
from billing_pipeline.access.mailed_links import mail_links
from billing_pipeline.access.provider_sign_in import ProviderSignIn
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.writer import EventWriter
from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings, SettingsError, load_receiver_settings
from billing_pipeline.settings.logs import requests_are_traced
from billing_pipeline.stripe_gateway.opening import open_stripe
from billing_pipeline.web.api.documentation import router as documentation
from billing_pipeline.web.api.gate import PREFIX, Gate
from billing_pipeline.web.api.metrics import Metrics
from billing_pipeline.web.api.once import Once
from billing_pipeline.web.api.openapi import DESCRIPTION, PROBLEMS, VERSION, complete
from billing_pipeline.web.api.problems import handle_problems
from billing_pipeline.web.api.reads import Reads
from billing_pipeline.web.api.routes import (
    alerts,
    budgets,
    changes,
    changing,
    charging,
    corrections,
    customers,
    ingestion,
    invoices,
    log,
    months,
    notices,
    operating,
    paying,
    prices,
    runs,
    standing,
    stripe,
    tokens,
    usage,
    webhooks,
)
from billing_pipeline.web.api.tracing import Tracing, exporting_provider
from billing_pipeline.web.pages.app import OpenStripe, page_routes
from billing_pipeline.web.pages.provider_entering import PATH
from billing_pipeline.web.rates import RateLimits
from billing_pipeline.web.receiver.app import Receiver

_log = logging.getLogger("billing.api")

THREADS = 16
"""Requests that work at once, if the pool has that many connections; the others wait their turn."""
ROUTERS = (
    *(each.router for each in (invoices, customers, usage, ingestion, months, prices, charging, stripe, log, tokens)),
    *(each.router for each in (corrections, alerts, budgets, notices, webhooks)),
    *(changing.router, paying.router, runs.router, standing.router, *changes.ROUTERS),
)
IDEMPOTENT_PATHS = frozenset({f"{PREFIX}/usage/events"})
"""Whose writes need no Idempotency-Key."""


def create_api() -> FastAPI:
    """The routes and their document, without a database: what `create_app` serves."""
    app = FastAPI(
        title="Billing",
        version=VERSION,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: (
            f"{route.tags[0]}_{route.name.strip('_').removeprefix(f'{route.tags[0]}_')}"
        ),
    )
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX, responses=PROBLEMS)
    app.include_router(operating.router)
    app.include_router(documentation, prefix=PREFIX, include_in_schema=False)
    app.state.metrics = Metrics()
    handle_problems(app)
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, as docs/openapi.json has it."""
    return complete(create_api().openapi())


def create_app(settings: Settings, warehouse: Warehouse, stripe: OpenStripe = open_stripe) -> ASGIApp:
    """What a server serves. `stripe` opens the gateway for as long as a change takes."""
    app = create_api()
    app.state.settings = settings
    app.state.open_stripe = stripe
    provider = IdentityProvider(settings.api.oidc) if settings.api.oidc else None
    mail, sign_in = partial(mail_links, warehouse, settings), _sign_in(settings, provider)
    policy = settings.notices.dunning_policy
    pages = page_routes(warehouse, stripe, settings.pages, mail=mail, sign_in=sign_in, dunning_policy=policy)
    app.router.routes.extend(pages)

    receiver = _receiver(warehouse)
    if receiver is not None:
        app.router.routes.append(Route(f"{PREFIX}/stripe-webhook", receiver.receive, methods=["POST"]))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = warehouse.threads(THREADS)
        async with receiver.lifespan(app) if receiver is not None else nullcontext():
            yield
        warehouse.engine.dispose()

    app.router.lifespan_context = lifespan
    once = Once(app, warehouse, lambda path: path in IDEMPOTENT_PATHS)
    limits, reads = RateLimits(settings.api.requests_per_minute), Reads(app, ROUTERS, PREFIX)
    gate = Gate(once, warehouse, limits, app.state.metrics, provider, reads)
    return Tracing(gate, exporting_provider()) if requests_are_traced() else gate


def _sign_in(settings: Settings, provider: IdentityProvider | None) -> ProviderSignIn | None:
    """How people sign in to the console at the provider; None: it does not know the console."""
    oidc = settings.api.oidc
    if provider is None or oidc is None or oidc.client_id is None:
        return None
    return ProviderSignIn(provider, oidc, oidc.client_id, f"{settings.pages.public_url}{PATH}/callback")


def _receiver(warehouse: Warehouse) -> Receiver | None:
    """The receiver of Stripe's webhooks at this port too; None: the environment does not configure one."""
    try:
        settings = load_receiver_settings()
    except SettingsError as error:
        _log.info("Stripe's webhooks are not received at this port: %s", error)
        return None
    url = settings.database_url or libpq_url(warehouse.engine.url)
    return Receiver(settings, EventWriter(url, EventCipher(settings.event_keys)))
