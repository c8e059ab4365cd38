"""Changes over HTTP: the operation that the command calls, signed by the token's owner, refused in its words."""

from sqlalchemy import text

from billing_pipeline.web.actions import ACTIONS
from billing_pipeline.web.actions.budgets import BUDGETS
from billing_pipeline.web.actions.contracts import CONTRACTS
from billing_pipeline.web.api.routes import changing
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.web.api.serving import Serving


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


def test_a_one_off_invoice_is_drafted_and_what_is_owed_is_given_up(api: Serving, month: CorrectingWorld) -> None:
    operator = api.as_("operator")
    body = {"customer": "ann", "amount_minor": 2500, "reason": "set-up"}
    made = operator.post("/invoices", body)["result"]
    assert (made["month"], made["amount"]["display"]) == ("2026-10", "25.00 USD")
    assert operator.get(f"/invoices/{made['invoice_id']}")["status"] == "draft"
    first = operator.get("/invoices?customer=ann&limit=1")
    second = operator.get(f"/invoices?customer=ann&limit=1&cursor={first['next_cursor']}")
    listed = [row["invoice_id"] for row in (*first["invoices"], *second["invoices"])]
    assert (len(listed), listed[1], second["next_cursor"]) == (2, made["invoice_id"], None)
    assert "was made already" in operator.post("/invoices", body, status=409)["detail"]
    operator.post("/invoices", {**body, "amount_minor": -1}, status=409)
    path, given_up = f"/invoices/{month.number_of('bob')}", {"action": "mark_uncollectible", "reason": "insolvent"}
    assert operator.post(path, given_up, method="PATCH")["result"]["remaining"]["display"] == "40.00 USD"
    assert month.stripe_invoice("bob").status == "uncollectible"
    paid = operator.post(f"/invoices/{month.number_of('ann')}", given_up, method="PATCH", status=409)
    assert "`billing credit issue" in paid["detail"]


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
    body = {"customer": "ann", "amount_minor": -500, "method": "next_invoice", "reason": "sorry"}
    made = operator.post("/invoices", body)["result"]
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
    by_body = {f"customers_{name}" for name in (*CONTRACTS, *BUDGETS, *changing.OF_METHODS.values())}
    by_body |= {f"invoices_{name}" for name in ("hold", "release", *changing.OF_INVOICES.values())}
    by_body |= {"invoices_draft"}  # POST /process-monthly with the customer
    by_body = {name.replace("-", "_") for name in by_body}
    expected = {f"{kind}_{name}".replace("-", "_") for kind, names in ACTIONS.items() for name in names}
    assert expected - routed - by_body == set()


def test_what_was_corrected_is_listed_in_pages(api: Serving, month: CorrectingWorld) -> None:
    operator = api.as_("operator")
    for number in range(3):
        reason = f"reason {number}"
        month.credit("ann", 100, reason=reason)
        operator.post("/customers/ann/credits", {"amount_minor": 1000, "reason": reason})
        operator.post("/customers/bob/adjustments", {"amount_minor": 500, "reason": reason})
    for path, name, key in (
        ("/credit-notes", "credit_notes", "number"),
        ("/credits", "credits", "grant_id"),
        ("/adjustments", "adjustments", "adjustment_id"),
    ):
        whole = operator.get(path)
        assert whole["next_cursor"] is None
        first = operator.get(f"{path}?limit=2")
        rest = operator.get(f"{path}?limit=2&cursor={first['next_cursor']}")
        assert [row[key] for row in (*first[name], *rest[name])] == [row[key] for row in whole[name]], path
        assert len(whole[name]) == 3
        assert operator.get(f"{path}?customer=nobody")[name] == []
    assert operator.get("/customers/ann/credits")["balances"][0]["currency"] == "usd"
    api.as_("customer", "ann").get("/customers/bob/credits", status=404)
    operator.post("/customers/ann/hold", {"reason": "asks"})
    assert [hold["kind"] for hold in operator.get("/holds")["holds"]] == ["customer"]


def test_what_waits_for_a_person_is_decided_and_what_is_not_there_is_refused(api: Serving) -> None:
    operator, why = api.as_("operator"), {"reason": "x"}
    assert (operator.get("/settlements")["settlements"], operator.get("/refunds")["refunds"]) == ([], [])
    operator.get("/settlements/7", status=404)
    assert operator.post("/settlements/run", {})["result"]["settled"] == []
    assert operator.get("/disputes?all=true") == {"disputes": []}
    for path in ("/disputes/du_1/accept", "/disputes/du_1/write-off", "/disputes/du_1/collect-again"):
        operator.post(path, why, status=409)
    operator.post("/refunds/re_1/repay", {**why, "to": "balance"}, status=409)
    not_parked = operator.post("/charges/INV-00000001/adopt", {**why, "stripe_invoice_id": "in_1"}, status=409)
    assert "not parked" in not_parked["detail"]
    operator.post("/charges/INV-00000001/adopt-revision", why, status=409)
    with api.warehouse.transaction() as connection:
        connection.execute(text(_ALERT))
    [alert] = operator.get("/alerts")["alerts"]
    path = f"/alerts/{alert['alert_id']}"
    assert operator.get(path)["alert"]["commands"]
    operator.post(f"{path}/acknowledge", {"reason": "mine"})
    assert "has it already" in operator.post(f"{path}/acknowledge", why, status=409)["detail"]
    operator.get("/alerts/99", status=404)


_ALERT = """
INSERT INTO billing.alerts (rule, subject, severity, summary, row_count, opened_at, seen_at, told_at, told_count)
VALUES ('run_late', 'bill_month', 'warning', 'The feed is late', 1, now(), now(), now(), 1)
"""
