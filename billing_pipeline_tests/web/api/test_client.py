"""The typed client that `billing api --client` prints: it is Python, and it speaks with the API."""

import re
from types import ModuleType

import pytest

from billing_pipeline.access.rules.permissions import Role
from billing_pipeline.web.api.client_code import client_code, example_call
from billing_pipeline.web.api.documentation import typescript_of
from billing_pipeline_tests.postgres.invariants.rows import customer
from billing_pipeline_tests.web.api.serving import DOCUMENT, Serving


@pytest.fixture(scope="module")
def client() -> ModuleType:
    module = ModuleType("billing_client")
    exec(compile(client_code(DOCUMENT), "billing_client.py", "exec"), module.__dict__)
    return module


def test_every_route_is_a_method_whose_example_can_be_called(client: ModuleType) -> None:
    class Said(client.Billing):  # type: ignore[name-defined, misc]
        def _call(self, method: str, path: str, *_: object) -> str:
            return f"{method} {path}"

    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                said = eval(example_call(DOCUMENT, operation), {"api": Said("", "")})
                assert re.fullmatch(re.sub(r"\\{\w+\\}", "[^/{]+", re.escape(f"{method.upper()} {path}")), said), said


def test_the_client_reads_changes_and_raises_what_is_refused(api: Serving, client: ModuleType) -> None:
    with api.warehouse.transaction() as connection:
        customer(connection, "a")
    operator = client.Billing(api.base_url, api.as_(Role.OPERATOR).token)
    assert operator.invoices_list(month="2026-10", limit=5) == {"invoices": [], "next_cursor": None}
    first, again = (
        operator.customers_adjust(customer="a", amount_minor=-500, reason="sorry", idempotency_key="k") for _ in "12"
    )
    assert first == again
    assert [row["amount"]["display"] for row in operator.corrections_adjustments_list(all=True)["adjustments"]] == [
        "-5.00 USD"
    ]
    with pytest.raises(client.ApiProblem, match="expected the number or the id of an invoice") as refused:
        operator.invoices_show(invoice="INV 7 ü")
    assert (refused.value.status, refused.value.document["type"]) == (404, "urn:billing:problem:not-found")


def test_the_page_shows_each_route_in_typescript_too() -> None:
    path = "/api/billing/months/{month}/hold"
    assert typescript_of(DOCUMENT, "post", path, DOCUMENT["paths"][path]["post"]) == (
        "await fetch(`${api}/api/billing/months/2026-10/hold`, "
        '{ method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, '
        'body: JSON.stringify({"reason": "billed twice"}) })'
    )
