"""Links work once, sessions end, and nobody sees what is not theirs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from billing_pipeline.access.links import console_link, portal_link
from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.identity_provider import Provider, running_provider
from billing_pipeline_tests.web.pages.conftest import MAKER, Site, serving


@pytest.mark.parametrize("door", ["console", "portal"])
def test_a_link_works_once_and_no_look_uses_it_up(site: Site, warehouse: Warehouse, door: str) -> None:
    secret = (
        console_link(warehouse, MAKER, "otto", "operator")
        if door == "console"
        else portal_link(warehouse, MAKER, "ann")
    )
    link = f"/{door}/enter/{secret}"
    browser = site.browser()
    for _ in range(2):
        assert browser.head(link).status_code == 200
        looked = browser.get(link)
        assert (looked.status_code, dict(browser.cookies)) == (200, {})
        assert ("otto" if door == "console" else "Customer ann") in looked.text
    entered = browser.post(link)
    assert (entered.status_code, list(browser.cookies)) == (200, [f"billing_{door}"])
    for again in (site.browser().get(link), site.browser().post(link)):
        assert again.status_code == 401
        assert "once" in again.text


def test_no_other_site_can_use_a_link_up(site: Site, warehouse: Warehouse) -> None:
    link = f"/console/enter/{console_link(warehouse, MAKER, 'otto', 'operator')}"
    assert site.browser().post(link, headers={"Origin": "https://evil.example"}).status_code == 403
    assert site.browser().post(link).status_code == 200


def test_a_link_that_expired_opens_nothing(site: Site, warehouse: Warehouse) -> None:
    link = console_link(warehouse, MAKER, "otto", "operator", timedelta(microseconds=1))
    assert site.browser().get(f"/console/enter/{link}").status_code == 401
    assert site.browser().post(f"/console/enter/{link}").status_code == 401


def test_a_link_opens_its_own_door_alone(site: Site, warehouse: Warehouse) -> None:
    assert site.browser().post(f"/console/enter/{portal_link(warehouse, MAKER, 'ann')}").status_code == 401
    assert site.browser().post(f"/portal/enter/{console_link(warehouse, MAKER, 'otto', 'admin')}").status_code == 401


def test_secrets_of_links_and_sessions_are_stored_nowhere(site: Site, warehouse: Warehouse) -> None:
    link = console_link(warehouse, MAKER, "otto", "operator")
    client = site.browser()
    client.post(f"/console/enter/{link}")
    stored = str(warehouse.rows("SELECT * FROM billing.access_links, billing.access_sessions, billing.automation_log"))
    assert link not in stored
    assert client.cookies["billing_console"] not in stored


def test_nobody_who_is_not_signed_in_sees_a_page(site: Site) -> None:
    for path in ("/console/", "/console/invoices", "/console/do/charging/pause/all", "/portal/", "/portal/invoices"):
        assert site.browser().get(path).status_code == 401


def test_signing_out_ends_the_session_also_for_a_copy_of_the_cookie(site: Site) -> None:
    client = site.console()
    copy = site.browser(dict(client.cookies))
    assert client.post("/console/leave").status_code == 200
    assert copy.get("/console/invoices").status_code == 401


def test_the_portal_shows_the_invoices_of_its_customer_alone(site: Site, month: CorrectingWorld) -> None:
    client = site.portal("ann")
    own, other = month.number_of("ann"), month.number_of("bob")
    assert other not in client.get("/portal/invoices").text
    assert client.get(f"/portal/invoices/{own}").status_code == 200
    assert client.get(f"/portal/invoices/{other}").status_code == 404
    assert client.get("/console/invoices").status_code == 401


def test_an_analyst_sees_no_names_and_changes_nothing(site: Site) -> None:
    client = site.console(role="analyst")
    for path in ("/console/customers", "/console/customers/ann", "/console/invoices", "/console/months/2026-10"):
        shown = client.get(path)
        assert shown.status_code == 200
        assert "Customer ann" not in shown.text
        assert "@example.com" not in shown.text
    assert client.get("/console/do/charging/pause/all").status_code == 403
    assert client.post("/console/do/charging/pause/all", data={"reason": "x"}).status_code == 403


def test_a_role_that_the_console_has_not_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match="expected one of admin, operator, analyst"):
        console_link(warehouse, MAKER, "otto", "customer")


def test_every_page_is_sent_with_a_policy_that_lets_nothing_in_from_elsewhere(site: Site) -> None:
    policy = site.console().get("/console/invoices").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_who_is_not_signed_in_is_told_so_in_their_language(site: Site) -> None:
    browser = site.browser()
    shown = browser.get("/portal/", headers={"Accept-Language": "ar"})
    assert (shown.status_code, '<html lang="ar" dir="rtl">' in shown.text) == (401, True)
    assert '<html lang="en"' in browser.get("/console/", headers={"Accept-Language": "ar"}).text


@pytest.fixture
def provided(month: CorrectingWorld) -> Iterator[tuple[Site, Provider]]:
    """Pages that an identity provider lets people into."""
    with running_provider() as provider:
        provider.rotate("k1")
        settings = provider.settings(client_id="console", client_secret="s3cret")
        with serving(month, oidc=settings) as site:
            yield site, provider


def test_somebody_signs_in_at_the_identity_provider_in_the_role_of_a_claim(provided: tuple[Site, Provider]) -> None:
    site, provider = provided
    browser = site.browser()
    assert 'href="/console/oidc"' in browser.get("/console/").text
    entered = browser.get("/console/oidc")
    assert "u-1, operator" in entered.text
    assert list(browser.cookies) == ["billing_console"]
    [entry] = site.warehouse.rows("SELECT actor, action FROM billing.automation_log WHERE action = 'sign_in'")
    assert entry["actor"] == "u-1"
    assert provider.codes == {}


@pytest.mark.parametrize(
    "person", [{"billing_role": "customer"}, {"billing_role": None}, {"nonce": "other"}, {"aud": "x"}]
)
def test_whom_the_provider_does_not_vouch_for_is_not_let_in(provided: tuple[Site, Provider], person: Any) -> None:
    site, provider = provided
    provider.person = person
    browser = site.browser()
    refused = browser.get("/console/oidc")
    assert (refused.status_code, dict(browser.cookies)) == (403, {})


def test_nobody_comes_back_with_what_another_browser_began(provided: tuple[Site, Provider]) -> None:
    site, _ = provided
    theirs, ours = site.browser(), site.browser()
    began = theirs.get("/console/oidc", follow_redirects=False).headers["location"]
    came_back = httpx.get(began).headers["location"]
    ours.get("/console/oidc", follow_redirects=False)
    assert ours.get(came_back).status_code == 403
    assert site.browser().get(came_back).status_code == 403
    assert theirs.get(f"{came_back}&state=other").status_code == 403
    assert site.warehouse.rows("SELECT * FROM billing.access_sessions") == []
