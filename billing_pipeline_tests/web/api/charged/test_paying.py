"""Paying, subscribing and how the whole is, over HTTP; and Stripe's webhooks at this port too."""

import base64

import pytest

from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.web.api.serving import Serving, serving
from billing_pipeline_tests.web.receiver.receiving import SECRET, event_body, signature


def test_an_invoice_is_paid_again_or_at_stripe(api: Serving, month: CorrectingWorld) -> None:
    bob, number = api.as_("customer", "bob"), month.number_of("bob")
    assert bob.post("/process-payment", {"invoice": number})["state"] == "refused"
    at_stripe = bob.post("/process-payment", {"invoice": number, "how": "page"})
    assert (at_stripe["number"], at_stripe["url"][:4]) == (number, "http")
    assert api.as_("operator").post("/process-payment", {"invoice": number})["state"] == "refused"
    ann = api.as_("customer", "ann")
    assert "not refused" in ann.post("/process-payment", {"invoice": month.number_of("ann")}, status=409)["detail"]
    ann.post("/process-payment", {"invoice": number}, status=404)
    actors = api.warehouse.rows(
        "SELECT actor FROM billing.automation_log WHERE action = 'charge.retry' ORDER BY log_id"
    )
    assert [row["actor"] for row in actors] == ["customer bob", "operator-owner"]


def test_where_a_customer_stands(api: Serving, month: CorrectingWorld) -> None:
    bob = api.as_("customer", "bob").get("/process-monthly")
    assert (bob["due"][0]["remaining"]["display"], bob["open_invoices"][0]["number"]) == (
        "40.00 USD",
        month.number_of("bob"),
    )
    ann = api.as_("operator").get("/process-monthly?customer=ann")
    assert [row["number"] for row in ann["paid_invoices"]] == [month.number_of("ann")]
    api.as_("operator").get("/process-monthly", status=422)
    api.as_("operator").get("/process-monthly?customer=nobody", status=404)
    api.as_("operator").get("/usage?month=2026-10&include_estimate=true", status=422)
    assert api.as_("customer", "ann").get("/usage?month=2026-10&include_estimate=true")["estimates"] == []


def test_a_contract_begins_on_a_plan_of_the_book_and_ends(api: Serving) -> None:
    ann, path = api.as_("customer", "ann"), "/setup-subscription"
    assert "expected one of the price book" in ann.post(path, {"plan": "gold"}, status=409)["detail"]
    page = ann.post(path, {"return_url": "http://127.0.0.1/back"})
    assert page["payment_methods_url"].startswith("http")
    assert "or later" in ann.post(f"{path}?on=2020-01-01", method="DELETE", status=409)["detail"]
    ended = ann.post(f"{path}?on=2099-12-31", method="DELETE")
    assert ended["contracts"][-1]["ends_on"] == "2099-12-31"
    ann.post(path, {"customer": "bob", "plan": "gold"}, status=404)
    api.as_("operator").post(path, {"plan": "gold"}, status=422)


def test_how_the_whole_is_and_that_it_is_set_up(api: Serving) -> None:
    admin = api.as_("admin")
    health = admin.get("/setup")
    assert (health["brakes"], health["facts"]["refused"], health["migrations"] > 20) == ([], 1, True)
    assert admin.post("/setup")["applied"] == []


def test_stripe_s_webhooks_come_to_this_port_too(month: CorrectingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("BILLING_EVENT_KEYS", f"tests:{base64.b64encode(b'k' * 32).decode()}")
    monkeypatch.setenv("BILLING_DATABASE_URL", month.warehouse.engine.url.render_as_string(hide_password=False))
    with serving(month.warehouse) as api:
        body = event_body("evt_here").replace(b": ", b":  ")  # a byte that is changed breaks the signature
        answer = api.stranger.send(
            "POST", "/stripe-webhook", content=body, headers={"Stripe-Signature": signature(body)}
        )
        assert (answer.status_code, answer.text) == (200, "stored\n")
        wrong = {"Stripe-Signature": signature(body, "whsec_" + "x" * 32)}
        assert api.stranger.send("POST", "/stripe-webhook", content=body, headers=wrong).status_code == 400
    assert month.warehouse.scalar("SELECT count(*) FROM billing.stripe_events WHERE event_id = 'evt_here'") == 1
