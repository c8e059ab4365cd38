"""What every request passes: a token, a rate, a body that is read; and every refusal is a problem document."""

import json
import re

import httpx
import pytest

from billing_pipeline.access.rules.permissions import Role
from billing_pipeline.access.tokens import create_token, revoke_token
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.web.api.serving import PREFIX, Client, Serving, serving, told

WHO = Signature("ann", "test")


def test_without_a_token_that_holds_nothing_is_told_not_even_what_there_is(api: Serving) -> None:
    good = create_token(api.warehouse, Role.ADMIN, "ann", WHO)
    revoked = create_token(api.warehouse, Role.ADMIN, "ann", WHO)
    revoke_token(api.warehouse, revoked.token_id, WHO)
    changed = good.text[:-1] + ("A" if good.text[-1] != "A" else "B")
    for header in (
        None,
        "",
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        f"Bearer {changed}",
        f"Bearer {revoked.text}",
        good.text,
    ):
        for path in ("/invoices", "/nothing"):
            answer = api.stranger.send("GET", path, headers={"Authorization": header} if header is not None else {})
            told(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert Client(api.base_url, good.text).get("/invoices") == {"invoices": [], "next_cursor": None}


def test_what_is_not_there_or_not_meant_so_is_a_problem(api: Serving) -> None:
    admin = api.as_("admin")
    told(admin.send("GET", "/nothing"), 404, "not-found")
    told(api.stranger.send("GET", "//nothing"), 404, "not-found")
    answer = admin.send("DELETE", "/invoices")
    told(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST"
    one = admin.send("OPTIONS", "/invoices/INV-00000001")
    assert (told(one, 405, "method-not-allowed")["status"], one.headers["allow"]) == (405, "GET, PATCH")
    invalid = told(admin.send("GET", "/invoices?limit=201&month=2026-13"), 422, "invalid")
    assert [each["field"] for each in invalid["errors"]] == ["query.month", "query.limit"]
    assert invalid["detail"].endswith("; query.limit: expected at most 200")
    body = {"reasn": "typo", "amount_minor": "x", "customer": ""}
    worded = told(admin.send("POST", "/invoices", json=body, headers={"Idempotency-Key": "worded"}), 422, "invalid")
    assert {each["field"]: each["expected"] for each in worded["errors"]} == {
        "body.reason": "a value",
        "body.reasn": "no field of this name",
        "body.amount_minor": "a whole number",
        "body.customer": "characters: 1 at least",
    }
    for cursor in ("x", "e30", "WzFd", "W10", "%00"):
        told(admin.send("GET", f"/invoices?cursor={cursor}"), 422, "invalid")
    told(admin.send("GET", "/invoices?customer=a%00b"), 422, "invalid")


def test_a_body_of_another_kind_or_too_large_is_refused_unread(api: Serving) -> None:
    admin = api.as_("admin")
    told(
        admin.send("POST", "/invoices", content=b"a=b", headers={"Content-Type": "text/plain"}),
        415,
        "unsupported-media-type",
    )
    for encoding in ("gzip", "identity"):
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        told(admin.send("POST", "/invoices", content=b"{}", headers=headers), 415, "unsupported-media-type")


def test_a_fault_of_ours_tells_nothing_internal(api: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr("billing_pipeline.web.api.routes.invoices.page_of_invoices", broken)
    answer = api.as_("admin").send("GET", "/invoices")
    told(answer, 500, "internal")
    assert "secret" not in answer.text


def test_a_token_may_send_so_many_requests_and_is_told_how_many_are_left(warehouse: Warehouse) -> None:
    with serving(warehouse, requests_per_minute=12) as api:
        client, other = api.as_("admin"), api.as_("analyst")
        left = [client.send("GET", "/invoices").headers["ratelimit-remaining"] for _ in range(2)]
        assert left == ["1", "0"]
        answer = client.send("GET", "/invoices")
        told(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert other.send("GET", "/invoices").status_code == 200


def test_a_request_has_the_id_that_it_came_with_or_one_of_ours(api: Serving) -> None:
    sent = api.stranger.send("GET", "/invoices", headers={"X-Request-Id": "support-4711"})
    assert told(sent, 401, "unauthenticated")["request_id"] == "support-4711"
    odd = api.stranger.send("GET", "/invoices", headers={"X-Request-Id": "a b"})
    assert len(odd.headers["x-request-id"]) == 32


def test_an_answer_that_the_caller_has_is_not_sent_again(api: Serving) -> None:
    admin = api.as_("admin")
    tag = admin.send("GET", "/invoices").headers["etag"]
    again = admin.send("GET", "/invoices", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_who_operates_the_process_needs_no_token(api: Serving) -> None:
    assert api.stranger.send("GET", "//healthz").text == "ok\n"
    assert api.stranger.send("GET", "//readyz").text == "ready\n"
    api.as_("admin", scopes=["usage:read"]).get("/invoices", status=403)
    metrics = api.stranger.send("GET", "//metrics").text
    assert f'billing_api_requests_total{{method="GET",route="{PREFIX}/invoices",status="403"}} 1' in metrics


def test_the_documentation_is_made_of_our_own_files(api: Serving) -> None:
    page = api.stranger.send("GET", "/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    # an example of an address is text; what a browser fetches stands in a tag
    tags = re.findall(r"<[a-z!][^>]*>", page.text)
    assert any("docs.css" in tag for tag in tags)
    assert [tag for tag in tags if "//" in tag] == []
    assert "style=" not in page.text
    assert api.stranger.send("GET", "/docs.css").headers["content-type"].startswith("text/css")
    assert json.loads(api.stranger.send("GET", "/openapi.json").text)["openapi"].startswith("3.1")


def test_pages_keep_their_own_headers_and_all_other_answers_get_strict_ones(api: Serving) -> None:
    origin = api.base_url.removesuffix(PREFIX)
    with httpx.Client(base_url=origin) as browser:
        page = browser.get("/console/")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        # with none, a browser says "Origin: null" of the page's forms, and they are refused
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["x-request-id"]
        answer = browser.get(f"{PREFIX}/invoices")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
