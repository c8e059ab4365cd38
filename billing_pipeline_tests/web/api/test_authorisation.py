"""Who may do what: docs/api.md has it as a table, and each cell of it is tried, with tokens that hold and that do not."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billing_pipeline.access.rules.permissions import RIGHTS, Role
from billing_pipeline.access.tokens import create_token, revoke_token
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import ROOT
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.opening import StripeFailed
from billing_pipeline.web.api.app import openapi_document
from billing_pipeline_tests.charging.world import Bill, Emulated, World
from billing_pipeline_tests.web.api.serving import PREFIX, Client, Serving, serving

ROLES = ("admin", "operator", "analyst", "platform", "customer")
KEYS = {
    "month": "2026-10", "invoice": "INV-00000001", "customer": "a", "note": "CN-00000001", "grant": "0", "event": "evt_1",
    "settlement": "1", "adjustment": "0", "token": "0123456789ab", "run": "0",
    "dispute": "du_1", "refund": "re_1", "alert": "1", "notice": "1", "kind": "payment_succeeded",
    "endpoint": "ep_1",
}  # fmt: skip
OWN: dict[str, tuple[tuple[str, Any], tuple[str, Any]]] = {
    "GET /invoices": (("/invoices?customer=a", None), ("/invoices?customer=b", None)),
    "GET /invoices/{invoice}": (("/invoices/INV-00000001", None), ("/invoices/INV-00000002", None)),
    "GET /invoices/{invoice}/explain": (("/invoices/INV-00000001/explain", None), ("/invoices/INV-00000002/explain", None)),
    "GET /customers/{customer}": (("/customers/a", None), ("/customers/b", None)),
    "GET /usage": (("/usage?month=2026-10&customer=a", None), ("/usage?month=2026-10&customer=b", None)),
    "GET /customers/{customer}/credits": (("/customers/a/credits", None), ("/customers/b/credits", None)),
    "GET /customers/{customer}/budgets": (("/customers/a/budgets", None), ("/customers/b/budgets", None)),
    "POST /customers/{customer}/budgets": (
        ("/customers/a/budgets", {"amount_minor": 1}), ("/customers/b/budgets", {"amount_minor": 1})
    ),
    "POST /customers/{customer}/portal-link": (("/customers/a/portal-link", {}), ("/customers/b/portal-link", {})),
    "DELETE /customers/{customer}/budgets": (("/customers/a/budgets", None), ("/customers/b/budgets", None)),
    "GET /process-monthly": (("/process-monthly?customer=a", None), ("/process-monthly?customer=b", None)),
    "POST /process-payment": (
        ("/process-payment", {"invoice": "INV-00000001"}), ("/process-payment", {"invoice": "INV-00000002"})
    ),
    "POST /setup-subscription": (("/setup-subscription", {"customer": "a"}), ("/setup-subscription", {"customer": "b"})),
    "DELETE /setup-subscription": (
        ("/setup-subscription?customer=a", None), ("/setup-subscription?customer=b", None)
    ),
}  # fmt: skip


def table() -> dict[str, dict[str, str]]:
    """`METHOD /path` -> role -> yes, own, granted or no, as the document says."""
    shown = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## Who may do what")[2]
    rows = re.findall(r"^\| `([A-Z]+ \S+)` \|(.+)\|$", shown, re.MULTILINE)
    return {route: dict(zip(ROLES, map(str.strip, cells.split("|")), strict=True)) for route, cells in rows}


TABLE = table()


def routes() -> set[str]:
    """Those of the OpenAPI document that ask for a token."""
    return {
        f"{method.upper()} {path.removeprefix(PREFIX)}"
        for path, methods in openapi_document()["paths"].items()
        if path.startswith(PREFIX)
        for method in methods
    }


@pytest.fixture(scope="module")
def api(shared_database: Any, shared_stripe: Emulated) -> Iterator[Serving]:
    """Two customers with an invoice each; Stripe is never reached."""

    @contextmanager
    def away() -> Iterator[StripeGateway]:
        raise StripeFailed("Stripe: not here")
        yield

    World(shared_database, shared_stripe).bill(Bill("a"), Bill("b"))
    with serving(shared_database, stripe=away) as running:
        yield running


def status(client: Client, route: str, path: str | None = None, body: Any = None) -> int:
    method, _, template = route.partition(" ")
    where = path or re.sub(r"\{(\w+)\}", lambda key: KEYS[key[1]], template)
    sent = {} if body is None and method in ("POST", "PATCH") else body
    return client.send(method, where, **({} if sent is None else {"json": sent})).status_code


def test_the_table_has_every_route_and_no_other() -> None:
    assert set(TABLE) == routes()
    assert {route for route, cells in TABLE.items() if cells["customer"] == "own"} == set(OWN)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says(api: Serving, role: str) -> None:
    plain = api.as_(role, "a" if role == "customer" else None)
    for route, cells in TABLE.items():
        found = status(plain, route)
        assert (found == 403) == (cells[role] in ("no", "granted")), (route, found)
        assert found not in (401, 500), route  # 503: tests have no storage of Dagster's


def test_what_may_be_granted_is_allowed_once_it_is(api: Serving) -> None:
    granted = api.as_("platform", scopes=[*RIGHTS[Role.PLATFORM].default, "invoices:read", "payments:write"])
    wanted = [route for route, cells in TABLE.items() if cells["platform"] == "granted"]
    assert wanted
    for route in wanted:
        assert status(granted, route) != 403, route


def test_a_customer_finds_its_own_and_what_is_another_s_is_not_there(api: Serving) -> None:
    customer = api.as_("customer", "a")
    for route, (own, other) in OWN.items():
        assert status(customer, route, *own) not in (403, 404), route
        assert status(customer, route, *other) == 404, route


def test_a_token_that_holds_no_more_opens_nothing(api: Serving) -> None:
    who = Signature("ann", "test")
    tokens = [create_token(api.warehouse, Role.ADMIN, "ann", who, expires_days=1) for _ in range(3)]
    revoke_token(api.warehouse, tokens[0].token_id, who)
    with api.warehouse.transaction() as connection:
        statement = "UPDATE billing.api_tokens SET expires_at = clock_timestamp() - :ago WHERE token_id = :id"
        connection.execute(text(statement), {"ago": timedelta(seconds=1), "id": tokens[1].token_id})
    changed = tokens[2].text[:-1] + ("A" if tokens[2].text[-1] != "A" else "B")
    for held in (tokens[0].text, tokens[1].text, changed, None):
        client = Client(api.base_url, held)
        assert {status(client, route) for route in TABLE} == {401}
