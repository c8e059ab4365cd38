"""Events of other accounts and modes, sent by the emulator as Stripe sends them, through the receiver."""

import time
from typing import Any

import pytest

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Emulated
from billing_pipeline_tests.web.receiver.receiving import PATH, receiving

WAIT_S = 20.0


def deliveries(stripe_side: Emulated) -> list[tuple[str, str, int]]:
    """State, last answer and attempts of every delivery, once none is under way."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = stripe_side.control("GET", "/deliveries")["deliveries"]
        if found and all(one["attempts"] for one in found):
            return [(one["state"], one["last_answer"], one["attempts"]) for one in found]
        time.sleep(0.02)
    raise AssertionError("the emulator did not deliver")


@pytest.mark.parametrize(
    "fields",
    [
        {"account": "acct_other"},
        {"livemode": True},
        {"account": "acct_other", "livemode": True, "type": "charge.refunded"},
        {"livemode": True, "type": "v1.billing.meter.error", "thin": True, "account": "acct_other"},
    ],
    ids=["account", "mode", "both", "thin"],
)
def test_it_is_delivered_once_counted_and_never_processed(
    warehouse: Warehouse, stripe_side: Emulated, fields: dict[str, Any]
) -> None:
    endpoint = stripe_side.api.webhook_endpoints.create({"url": "http://127.0.0.1:9", "enabled_events": ["*"]})
    with receiving(warehouse, secrets=(str(endpoint.secret),)) as running:
        url = f"http://127.0.0.1:{running.port}{PATH}"
        stripe_side.api.webhook_endpoints.update(endpoint.id, {"url": url})
        sent = stripe_side.control("POST", "/events/foreign", fields)
        assert deliveries(stripe_side) == [("delivered", "200", 1)]
        assert running.stored() == []
        rows = warehouse.rows("SELECT event_id, type, livemode, account FROM billing.stripe_foreign_events")
        account = None if fields.get("thin") else fields.get("account")
        assert rows == [
            {
                "event_id": sent["id"],
                "type": sent["type"],
                "livemode": fields.get("livemode", False),
                "account": account,
            }
        ]
        stripe_side.api.customers.create({"name": "ours"})
        assert deliveries(stripe_side) == [("delivered", "200", 1)] * 2
        assert len(running.stored()) == 1


def test_the_account_does_not_list_it(stripe_side: Emulated) -> None:
    sent = stripe_side.control("POST", "/events/foreign", {"livemode": True})
    assert stripe_side.api.events.list().data == []
    assert (
        stripe_side.http.get(f"/v1/events/{sent['id']}", headers={"Authorization": "Bearer sk_test_x"}).status_code
        == 404
    )


@pytest.mark.parametrize("fields", [{}, {"livemode": "yes"}, {"account": 5}])
def test_an_event_of_this_account_is_not_made_up(stripe_side: Emulated, fields: dict[str, Any]) -> None:
    assert stripe_side.http.post("/_emulator/events/foreign", json=fields).status_code == 400
