"""What is made over HTTP: customers, tokens, coupons, and a look at a price book."""

from billing_pipeline.access.rules.permissions import RIGHTS, Role
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.web.api.serving import Client, Serving

BOOK_FILE = next((ROOT / "billing_pipeline" / "pricing" / "price_books").glob("*.yaml"))
NEW = {
    "customer_id": "c1",
    "name": "Focus",
    "email": "a@focus.example",
    "currency": "usd",
    "timezone": "Europe/Berlin",
    "starts_on": "2026-10-01",
    "payment_terms_days": 14,
    "reason": "signed",
}


def test_a_customer_is_added_and_changed_by_the_rules_of_the_file(api: Serving) -> None:
    platform = api.as_("platform")
    made = platform.post("/customers", NEW)
    assert (made["name"], made["contracts"][0]["starts_on"]) == ("Focus", "2026-10-01")
    assert "is there already" in platform.post("/customers", NEW, status=409)["detail"]
    tag = {"If-Match": platform.send("GET", "/customers/c1").headers["etag"]}
    changed = platform.post(
        "/customers/c1", {"city": "Berlin", "name": "Fokus", "reason": "asked"}, method="PATCH", headers=tag
    )
    assert changed["name"] == "Fokus"
    platform.post("/customers/c1", {"name": "X", "reason": "r"}, method="PATCH", headers=tag, status=412)
    [row] = api.warehouse.rows("SELECT city, payment_terms_days, timezone FROM billing.customers")
    assert row == {"city": "Berlin", "payment_terms_days": 14, "timezone": "Europe/Berlin"}
    actors = api.warehouse.rows(
        "SELECT actor, reason FROM billing.automation_log WHERE object_id = 'c1' ORDER BY log_id"
    )
    assert actors[-1] == {"actor": "platform-owner", "reason": "asked"}


def test_a_wrong_field_of_a_customer_is_named(api: Serving) -> None:
    platform = api.as_("platform")
    wrong = platform.post("/customers", {**NEW, "timezone": "Mars", "email": "x"}, status=422)["detail"]
    assert 'timezone "Mars": expected a time zone' in wrong
    assert 'email "x": expected an e-mail address' in wrong
    platform.post("/customers", {**NEW, "colour": "red"}, status=422)
    platform.post("/customers/nobody", {"name": "X", "reason": "r"}, method="PATCH", status=404)
    assert api.warehouse.scalar("SELECT count(*) FROM billing.customers") == 0


def test_a_token_is_made_rotated_and_revoked_and_shown_once(api: Serving) -> None:
    admin = api.as_("admin")
    asked = {"role": "analyst", "owner": "lena", "reason": "reports"}
    key = {"Idempotency-Key": "t1"}
    made = admin.post("/tokens", asked, headers=key)
    assert "is not kept" in admin.post("/tokens", asked, headers=key, status=409)["detail"]
    assert api.warehouse.scalar("SELECT count(*) FROM billing.api_answers WHERE content IS NOT NULL") == 0
    lena = Client(api.base_url, made["token"])
    lena.get("/invoices")
    rotated = admin.post(f"/tokens/{made['token_id']}/rotate", {"reason": "yearly"})
    lena.get("/invoices", status=401)
    Client(api.base_url, rotated["token"]).get("/invoices")
    assert admin.post(f"/tokens/{rotated['token_id']}/revoke", {"reason": "left"})["result"]["now"] is True
    Client(api.base_url, rotated["token"]).get("/invoices", status=401)
    admin.post("/tokens", {**asked, "scopes": ["prices:write"]}, status=409)
    admin.post("/tokens/none/revoke", {"reason": "x"}, status=404)
    api.as_("operator").post("/tokens", asked, status=403)


def test_a_coupon_is_made_once(api: Serving) -> None:
    admin = api.as_("admin")
    coupon = {"coupon": "WELCOME", "currency": "usd", "percent": "10", "reason": "launch"}
    admin.post("/coupons", coupon)
    assert [row["coupon"] for row in admin.get("/coupons")["coupons"]] == ["WELCOME"]
    assert "already" in admin.post("/coupons", coupon, status=409)["detail"]
    assert "either" in admin.post("/coupons", {**coupon, "coupon": "B", "amount": "1"}, status=409)["detail"]


def test_a_price_book_is_looked_at_and_not_loaded(api: Serving) -> None:
    analyst = api.as_("analyst")
    book = BOOK_FILE.read_text(encoding="utf-8")
    good = analyst.post("/prices/check", {"book": book})
    assert good["valid"]
    assert good["words"]
    bad = analyst.post("/prices/check", {"book": "x: ["})
    assert (bad["valid"], bad["words"]) == (False, [])
    assert bad["problems"]
    assert api.warehouse.scalar("SELECT count(*) FROM billing.price_books") == 0


def test_a_price_book_is_loaded_once_its_difference_was_looked_at(api: Serving) -> None:
    admin = api.as_("admin")
    book = BOOK_FILE.read_text(encoding="utf-8")
    seen = admin.post("/prices/check", {"book": book})
    assert (seen["after"], seen["losses"], {change["what"] for change in seen["changes"]}) == (0, [], {"new"})
    load = {"book": book, "name": "prices.yaml", "after": seen["after"], "reason": "first"}
    assert admin.post("/prices", load)["added"] > 0
    assert "in between" in admin.post("/prices", {**load, "book": f"{book}\n# again"}, status=409)["detail"]
    now = admin.post("/prices/check", {"book": book})
    assert (now["changes"], now["after"] > 0) == ([], True)
    wrong = admin.post("/prices", {**load, "book": "x: ["}, status=422)
    assert wrong["errors"][0]["field"] == "body.book"
    api.as_("operator").post("/prices", load, status=403)
    assert api.warehouse.rows("SELECT author, file_name FROM billing.price_loads") == [
        {"author": "admin-owner", "file_name": "prices.yaml"}
    ]


def test_a_mail_provider_notes_an_address_and_may_repeat_itself(api: Serving) -> None:
    platform = api.as_("platform")
    bounce = {"address": "Old@example.com", "kind": "bounce", "reason": "550 no such user"}
    for said in (bounce, bounce, {**bounce, "address": "old@example.com", "kind": "complaint"}):
        assert "any more" in platform.post("/bounces", said)["done"]
    platform.post("/bounces", {"address": "loud@example.com", "kind": "complaint", "reason": "abuse"})
    kept = api.warehouse.rows("SELECT email, author, reason FROM billing.bounced_addresses ORDER BY bounce_id")
    assert [tuple(row.values()) for row in kept] == [
        ("Old@example.com", "platform-owner", "550 no such user"),
        ("loud@example.com", "platform-owner", "complaint: abuse"),
    ]
    assert api.warehouse.scalar("SELECT count(*) FROM billing.automation_log WHERE action = 'notice.bounce'") == 2
    platform.post("/bounces", {**bounce, "kind": "late"}, status=422)
    assert "expected a mail address" in platform.post("/bounces", {**bounce, "address": "a b@c"}, status=409)["detail"]
    api.as_("analyst").post("/bounces", bounce, status=403)


def test_a_customer_sets_its_own_budgets(api: Serving) -> None:
    api.as_("platform").post("/customers", NEW)
    customer = api.as_("customer", "c1")
    made = customer.post("/customers/c1/budgets", {"amount_minor": 10000})
    assert made["done"] == "The amount is watched."
    customer.post("/customers/c1/budgets", {"amount_minor": 5000, "thresholds_percent": [90, 75]})
    [budget] = customer.get("/customers/c1/budgets")["budgets"]
    assert (budget["limit"]["display"], budget["thresholds_percent"]) == ("50.00 USD", [75, 90])
    assert budget["author"] == "customer-owner"
    for body, words in (
        ({}, "amount: expected"), ({"meter": "x"}, "quantity: expected one of x"),
        ({"amount_minor": 1, "thresholds_percent": [-5]}, 'thresholds_percent "-5": expected whole numbers'),
        ({"meter": "x", "quantity": "1"}, 'meter "x": expected one of a price book'),
    ):  # fmt: skip
        assert words in customer.post("/customers/c1/budgets", body, status=409)["detail"]
    customer.send("DELETE", "/customers/c1/budgets")
    assert customer.get("/customers/c1/budgets") == {"budgets": []}


def test_a_platform_that_may_opens_a_customer_s_portal_once(api: Serving) -> None:
    api.as_("platform").post("/customers", NEW)
    platform = api.as_("platform", scopes=[*RIGHTS[Role.CUSTOMER].default, "customers:read"])
    opened = platform.post("/customers/c1/portal-link", {"minutes": 5}, headers={"Idempotency-Key": "k-1"})
    again = platform.send("POST", "/customers/c1/portal-link", json={"minutes": 5}, headers={"Idempotency-Key": "k-1"})
    assert (again.status_code, "secret" in again.json()["detail"]) == (409, True)
    where = "/" + opened["url"].partition("/portal/")[1] + opened["url"].partition("/portal/")[2]
    assert "Focus" in platform.send("GET", where).text
    entered = platform.send("POST", where)
    assert (entered.status_code, entered.headers["location"]) == (303, "/portal/")
    assert platform.send("POST", where).status_code == 401
    platform.post("/customers/nobody/portal-link", {}, status=404)
    platform.post("/customers/c1/portal-link", {"minutes": 0}, status=422)
    for scopes in (["payments:write"], ["payments:write", "invoices:read"]):
        api.as_("platform", scopes=scopes).post("/customers/c1/portal-link", {}, status=403)
