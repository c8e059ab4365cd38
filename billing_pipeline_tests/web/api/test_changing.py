"""Changes over HTTP: the operation that the command calls, signed by the token's owner, refused in its words."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.web.actions import ACTIONS
from billing_pipeline.web.api.routes import changing
from billing_pipeline_tests.charging.world import Bill, Emulated
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.web.api.serving import Serving, serving


@pytest.fixture
def month(warehouse: Warehouse, stripe_side: Emulated) -> CorrectingWorld:
    """October: ann has paid 50.00, bob's card was declined, cyd is not final."""
    world = CorrectingWorld(warehouse, stripe_side)
    world.charged(Bill("ann", (4000, 1000), meters=("seats", "users")), Bill("bob", card="pm_card_chargeCustomerFail"))
    return world


@pytest.fixture
def api(month: CorrectingWorld) -> Iterator[Serving]:
    """The month's API."""

    @contextmanager
    def stripe() -> Iterator[StripeGateway]:
        yield month.gateway()

    with serving(month.warehouse, stripe=stripe) as running:
        yield running


def test_an_invoice_is_voided_here_and_at_stripe_and_signed_by_the_token_s_owner(
    api: Serving, month: CorrectingWorld
) -> None:
    number = month.number_of("bob")
    done = api.as_("operator").post(f"/invoices/{number}", {"action": "void", "reason": "wrong"}, method="PATCH")
    assert done["result"]["rebill"] is False
    assert month.stripe_invoice("bob").status == "void"
    actor = api.warehouse.scalar(
        "SELECT actor FROM billing.automation_log WHERE reason = 'wrong' ORDER BY log_id DESC LIMIT 1"
    )
    assert actor == "operator-owner"


def test_what_may_not_be_is_refused_and_names_the_right_way(api: Serving, month: CorrectingWorld) -> None:
    number = month.number_of("ann")
    body = {"action": "void_and_rebill", "reason": "wrong"}
    refused = api.as_("operator").post(f"/invoices/{number}", body, method="PATCH", status=409)
    assert refused["detail"] == (
        f"{number} is paid and cannot be voided: `billing credit issue {number}` gives the money back"
    )


def test_a_change_of_what_has_changed_since_it_was_read_is_refused(api: Serving, month: CorrectingWorld) -> None:
    operator, path = api.as_("operator"), f"/invoices/{month.number_of('bob')}"
    tag = {"If-Match": operator.send("GET", path).headers["etag"]}
    hold = {"action": "hold", "reason": "asks"}
    operator.post(path, hold, method="PATCH", headers=tag)
    again = {"action": "release", "reason": "asked"}
    operator.post(path, again, method="PATCH", headers={"If-Match": '"x"'}, status=412)
    operator.post(path, again, method="PATCH")


def test_a_credit_note_gives_an_amount_back(api: Serving, month: CorrectingWorld) -> None:
    path = f"/invoices/{month.number_of('ann')}/credit-notes"
    done = api.as_("operator").post(path, {"amount_minor": 1250, "reason": "outage"})["result"]
    assert (done["number"], done["amount"]["display"], done["state"]) == ("CN-00000001", "12.50 USD", "issued")
    assert month.refunded_minor("ann") == 1250


def test_a_customer_s_amounts_contract_credits_and_holds(api: Serving) -> None:
    operator = api.as_("operator")
    made = operator.post("/invoices", {"customer": "ann", "amount_minor": -500, "reason": "sorry"})["result"]
    assert made["amount"]["display"] == "-5.00 USD"
    operator.post(f"/adjustments/{made['adjustment_id']}/revoke", {"reason": "not sorry"})
    change = {"action": "end", "on": "2026-12-31", "reason": "leaves"}
    assert operator.post("/customers/ann/contract", change)["result"]["contracts"][0]["ends_on"] == "2026-12-31"
    granted = operator.post("/customers/ann/credits", {"amount_minor": 10000, "reason": "bought"})["result"]
    assert operator.post(f"/credits/{granted['grant_id']}/void", {"reason": "oops"})["result"]["taken_minor"] == 10000
    operator.post("/customers/ann/hold", {"reason": "asks"})
    assert "on hold already" in operator.post("/customers/ann/hold", {"reason": "x"}, status=409)["detail"]
    operator.post("/customers/ann/release", {"reason": "signed"})
    operator.post("/customers/nobody/hold", {"reason": "x"}, status=409)


def test_months_and_charging(api: Serving, month: CorrectingWorld) -> None:
    operator = api.as_("operator")
    assert operator.get("/months/2026-10/drafts")["drafts"] == 0
    assert "no draft" in operator.post("/months/2026-10/approve", {"rows": "1"}, status=409)["detail"]
    operator.post("/months/2026-10/hold", {"reason": "audit"})
    operator.post("/months/2026-10/release", {"reason": "done"})
    assert operator.post("/months/2026-10/settlements", {})["result"]["new"] == 0
    assert "expected a month" in operator.post("/months/2026-13/close", {}, status=409)["detail"]
    assert operator.post("/charges/pause", {"reason": "look"})["result"] == {"charges_enabled": False}
    assert operator.post("/charges/resume", {"reason": "looked"})["result"] == {"charges_enabled": True}
    retried = operator.post(f"/charges/{month.number_of('bob')}/retry", {"reason": "new card"})["result"]
    assert (retried["state"], retried["attempt"]) == ("refused", 2)
    operator.post("/settlements/7/withdraw", {"reason": "x"}, status=409)
    operator.post("/settlements/x/approve", {}, status=404)
    assert operator.post("/events/evt_none/replay", {"reason": "x"})["result"] == {"replayed": 0}


def test_who_may_only_read_changes_nothing(api: Serving) -> None:
    for client in (api.as_("analyst"), api.as_("platform"), api.as_("customer", "ann")):
        for path in ("/charges/pause", "/customers/ann/hold", "/months/2026-10/close", "/customers/ann/credits"):
            body = {"reason": "x"} if "close" not in path else {}
            client.post(path, {**body, **({"amount_minor": 1} if "credits" in path else {})}, status=403)


def test_every_action_of_the_table_has_a_route() -> None:
    from billing_pipeline.web.api.routes.changes import ROUTERS

    routed = {route.name for router in ROUTERS for route in router.routes if hasattr(route, "name")}
    by_body = {f"customers_{name}" for name in ("start", "end", "plan", "pause", "resume", "withdraw")}
    by_body |= {"invoices_" + changing.OF_INVOICES.get(name, name).replace("-", "_") for name in ("void", "hold")}
    by_body |= {"invoices_void", "invoices_release"}
    expected = {f"{kind}_{name}".replace("-", "_") for kind, names in ACTIONS.items() for name in names}
    assert expected - routed - by_body == set()
