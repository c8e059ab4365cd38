"""A charged month behind the pages, and browsers that are signed in."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from billing_pipeline.access.identity_provider import IdentityProvider
from billing_pipeline.access.links import console_link, portal_link
from billing_pipeline.access.mailed_links import mail_links
from billing_pipeline.access.provider_sign_in import ProviderSignIn
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import load_settings
from billing_pipeline.settings.api import OidcSettings
from billing_pipeline.settings.pages import PagesSettings
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.web.pages.app import page_routes
from billing_pipeline.web.pages.provider_entering import PATH
from billing_pipeline_tests.charging.world import Bill, Emulated
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.plain_http import WITHOUT_TLS
from billing_pipeline_tests.web.behind_the_gate import behind_the_gate

MAKER = Signature("test", "to look")


@dataclass(frozen=True)
class Site:
    """Console and portal as they are served at an address; its browsers are closed at the end."""

    address: str
    warehouse: Warehouse
    opened: ExitStack

    def browser(self, cookies: dict[str, str] | None = None) -> httpx.Client:
        """Somebody who is not signed in, with these cookies."""
        return self.opened.enter_context(
            httpx.Client(base_url=self.address, cookies=cookies, follow_redirects=True, verify=WITHOUT_TLS)
        )

    def console(self, role: str = "operator", owner: str = "otto") -> httpx.Client:
        """Somebody who is signed in to the console."""
        return self._entered(f"/console/enter/{console_link(self.warehouse, MAKER, owner, role)}")

    def portal(self, customer_id: str) -> httpx.Client:
        """Somebody who is signed in to a customer's portal."""
        return self._entered(f"/portal/enter/{portal_link(self.warehouse, MAKER, customer_id)}")

    def _entered(self, link: str) -> httpx.Client:
        client = self.browser()
        assert client.post(link).status_code == 200
        return client


@pytest.fixture
def month(warehouse: Warehouse, stripe_side: Emulated) -> CorrectingWorld:
    """October: ann has paid 50.00, bob's card was declined."""
    world = CorrectingWorld(warehouse, stripe_side)
    world.charged(Bill("ann", (4000, 1000), meters=("seats", "users")), Bill("bob", card="pm_card_chargeCustomerFail"))
    return world


@pytest.fixture
def site(month: CorrectingWorld) -> Iterator[Site]:
    """Console and portal over the month."""
    with serving(month) as served:
        yield served


@contextmanager
def serving(
    world: CorrectingWorld,
    state_dir: Path | None = None,
    oidc: OidcSettings | None = None,
    framed_by: str | None = None,
) -> Iterator[Site]:
    """Console and portal over a world, on a port of their own.

    `framed_by`: who may show the portal in a frame; browsers take it then for one of https, as they do localhost.

    Links are mailed into `state_dir`, if there is one; people sign in at the provider of `oidc`, if there is one.
    """

    @contextmanager
    def stripe() -> Iterator[StripeGateway]:
        yield world.gateway()

    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as opened:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = PagesSettings(address, "'none'", portal_edits_details=True)
        if framed_by is not None:
            address = address.replace("127.0.0.1", "localhost")
            settings = PagesSettings(address.replace("http:", "https:"), framed_by, portal_edits_details=True)
        mail = None
        if state_dir is not None:
            own = replace(load_settings(), state_dir=state_dir, pages=settings)
            mail = partial(mail_links, world.warehouse, own)
        sign_in = None
        if oidc is not None:
            sign_in = ProviderSignIn(IdentityProvider(oidc), oidc, str(oidc.client_id), f"{address}{PATH}/callback")
        routes = page_routes(world.warehouse, stripe, settings, mail=mail, sign_in=sign_in)
        with _served(behind_the_gate(routes, world.warehouse), listening):
            yield Site(address, world.warehouse, opened)


@contextmanager
def _served(app: ASGIApp, listening: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def csrf_of(page: str) -> str:
    """The token that the page's forms carry, all the same."""
    [token] = set(re.findall(r'name="csrf" value="([0-9a-f]+)"', page))
    return str(token)
