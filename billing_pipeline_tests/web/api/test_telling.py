"""Notices, who is told them, promises, endpoints and the settlement policy over HTTP: what the commands do."""

from sqlalchemy import text

from billing_pipeline_tests.web.api.serving import Serving

CUSTOMER = {
    "customer_id": "c1",
    "name": "Focus",
    "email": "ann@focus.example",
    "currency": "usd",
    "timezone": "Europe/Berlin",
    "reason": "signed",
}
WHY = {"reason": "asked for"}


def test_people_say_over_http_what_is_told_to_whom(api: Serving) -> None:
    operator, analyst = api.as_("operator"), api.as_("analyst")
    operator.post("/customers", CUSTOMER)
    operator.post("/customers/c1/addresses", {"address": "bob@focus.example", "kinds": ["payment_failed"], **WHY})
    operator.post("/customers/c1/notices/off", {"kind": "payment_succeeded", **WHY})
    [address, off] = sorted(operator.get("/customers/c1/notices")["choices"], key=lambda each: str(each["what"]))
    assert (address["email"], address["kinds"]) == ("bob@focus.example", "payment_failed")
    assert off["kinds"] == "payment_succeeded"
    assert {each["email"] for each in analyst.get("/customers/c1/notices")["choices"]} == {None}
    assert "due anyway" in operator.post("/notices/kinds/invoice_issued/off", WHY, status=409)["detail"]
    operator.post("/customers/c1/addresses/end", {"address": "bob@focus.example", **WHY})
    assert operator.post("/customers/c1/notices/on", {"kind": "payment_succeeded", **WHY})["result"]["ended"] == 1
    operator.post("/bounces", {"address": "bob@focus.example", "kind": "bounce", **WHY})
    assert operator.post("/bounces/end", {"address": "bob@focus.example", **WHY})["result"] == {
        "email": "bob@focus.example"
    }
    operator.get("/customers/nobody/notices", status=404)
    of_ann = {"address": "ann@focus.example", **WHY}
    hours = {"begins": "07:00", "ends": "22:00", "weekends": True, **WHY}
    operator.post("/notices/hours", hours)
    assert operator.post("/customers/c1/notices/hours", {**hours, **of_ann})["result"]["begins"] == "07:00"
    for wrong, says in (({"begins": "7"}, "expected a time of day"), ({"ends": "07:30"}, "an hour or more later")):
        assert says in operator.post("/customers/c1/notices/hours", {**hours, **wrong}, status=409)["detail"]
    found = [each for each in operator.get("/customers/c1/notices")["choices"] if each["what"] == "hours"]
    assert [(each["email"], each["kinds"]) for each in found] == [
        ("ann@focus.example", "07:00 to 22:00, on weekends too")
    ]
    operator.post("/customers/c1/notices/hours/end", of_ann)
    assert "found none" in operator.post("/customers/c1/notices/hours/end", of_ann, status=409)["detail"]
    operator.post("/notices/hours/end", WHY)


def test_notices_are_listed_held_released_and_sent_once_more(api: Serving) -> None:
    operator, analyst = api.as_("operator"), api.as_("analyst")
    operator.post("/customers", CUSTOMER)
    with api.warehouse.transaction() as connection:
        connection.execute(text(_NOTICES))
    first = operator.get("/notices?limit=1&customer=c1")
    [newest] = first["notices"]
    [oldest] = operator.get(f"/notices?limit=1&cursor={first['next_cursor']}")["notices"]
    assert oldest["notice_id"] < newest["notice_id"]
    number = newest["notice_id"]
    assert operator.get(f"/notices/{number}")["notice"]["facts"] == {"plan": "team"}
    seen = analyst.get(f"/notices/{number}")["notice"]
    assert (seen["recipient"], seen["facts"], seen["kind"]) == (None, None, "billing_changed")
    assert operator.post("/notices/hold", {"kind": "billing_changed", **WHY})["result"] == {
        "held": "kind billing_changed"
    }
    assert operator.get(f"/notices/{number}")["notice"]["held"] is not None
    assert "held already" in operator.post("/notices/hold", {"kind": "billing_changed", **WHY}, status=409)["detail"]
    assert "expected one of" in operator.post("/notices/hold", {"all": True, "notice": 1, **WHY}, status=409)["detail"]
    operator.post("/notices/release", {"kind": "billing_changed", **WHY})
    assert "still on its way" in operator.post(f"/notices/{number}/resend", WHY, status=409)["detail"]
    operator.post("/notices/999/resend", WHY, status=404)
    operator.get("/notices/none", status=404)


def test_a_promise_is_noted_and_seen(api: Serving) -> None:
    operator = api.as_("operator")
    operator.post("/customers", CUSTOMER)
    assert (
        "expected a day from"
        in operator.post("/customers/c1/promise", {"until": "2020-01-01", **WHY}, status=409)["detail"]
    )
    today = api.warehouse.scalar("SELECT CAST(now() AT TIME ZONE 'Europe/Berlin' AS date)").isoformat()
    assert operator.post("/customers/c1/promise", {"until": today, **WHY})["result"]["customer_id"] == "c1"
    assert len(operator.get("/customers/c1/dunning")["history"]) == 1
    assert (operator.get("/dunning")["cases"], operator.get("/dunning/customers")["customers"]) == ([], [])


def test_an_endpoint_s_secret_is_shown_once_and_a_policy_is_an_admin_s(api: Serving) -> None:
    admin = api.as_("admin")
    admin.post("/customers", CUSTOMER)
    key = {"Idempotency-Key": "w1"}
    made = admin.post("/webhooks", {"url": "https://platform.example/told", **WHY}, headers=key)
    assert (
        "is not kept"
        in admin.post("/webhooks", {"url": "https://platform.example/told", **WHY}, headers=key, status=409)["detail"]
    )
    endpoint = made["endpoint_id"]
    assert admin.post(f"/webhooks/{endpoint}/rotate", WHY)["secret"] != made["secret"]
    assert admin.post(f"/webhooks/{endpoint}/replay", {"since": "2026-01-01T00:00:00Z", **WHY})["result"] == {
        "messages": 0
    }
    admin.post(f"/webhooks/{endpoint}/replay", {"since": "yesterday", **WHY}, status=422)
    admin.post(f"/webhooks/{endpoint}/disable", WHY)
    admin.post(f"/webhooks/{endpoint}/disable", WHY, status=404)
    [listed] = admin.get("/webhooks")["endpoints"]
    assert listed["disabled_at"] is not None
    asked = {"customer": "c1", "method": "next_invoice", "two_people_above_minor": 5000}
    assert admin.post("/settlements/policy", asked)["result"]["two_people_above"]["amount_minor"] == 5000
    assert "either" in admin.post("/settlements/policy", {**asked, "book": "usd"}, status=409)["detail"]
    api.as_("operator").post("/settlements/policy", asked, status=403)


_NOTICES = """
INSERT INTO billing.notices (kind, customer_id, fact, channel, recipient, facts)
SELECT 'billing_changed', 'c1', 'test:' || n, 'mail', 'ann@focus.example', '{"plan": "team"}' FROM generate_series(1, 2) AS n
"""
