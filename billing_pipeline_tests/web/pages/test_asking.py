"""A link that is asked for by mail: for those who are known, with the same answer for everybody."""

import email
import email.policy
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_pipeline.access.mailed_links import make_links
from billing_pipeline.access.operators import add_operator, list_operators, remove_operator
from billing_pipeline.core.errors import UserError
from billing_pipeline.notices.addresses import note_bounce
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.web.pages.conftest import MAKER, Site, serving


@pytest.fixture
def asked(month: CorrectingWorld, tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    """Pages that mail links into a folder; olga is known as an operator."""
    add_operator(month.warehouse, "olga@example.com", "Olga", "operator", MAKER)
    with serving(month, tmp_path) as site:
        yield site, tmp_path / "mail"


def mailed(folder: Path) -> list[str]:
    """Links in mails, with whom they went to: they are written after the answer."""
    for _ in range(200):
        if list(folder.glob("*.eml")):
            break
        time.sleep(0.05)
    found = []
    for path in folder.glob("*.eml"):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        found += [f"{message['To']} {link}" for link in re.findall(r"http://\S+", body.get_content())]
    return sorted(found)


def test_an_operator_is_mailed_a_link_that_works_once_and_a_stranger_nothing(asked: tuple[Site, Path]) -> None:
    site, folder = asked
    browser = site.browser()
    assert 'href="/console/sign-in"' in browser.get("/console/").text
    answers = {
        who: browser.post("/console/sign-in", data={"email": who})
        for who in ("eve@example.com", "OLGA@example.com", "olga@example.com")
    }
    assert {answer.status_code for answer in answers.values()} == {200}
    assert len({answer.text for answer in answers.values()}) == 1
    [one] = mailed(folder)
    assert one.startswith(f"olga@example.com {site.address}/console/enter/")
    link = one.split()[1]
    assert "Olga" in browser.get(link).text
    entered = browser.post(link)
    assert "Olga, operator" in entered.text
    remove_operator(site.warehouse, "Olga@example.com", MAKER)
    assert browser.get("/console/invoices").status_code == 401
    assert list_operators(site.warehouse) == []
    assert site.warehouse.scalar("SELECT count(*) FROM billing.access_links WHERE owner <> 'otto'") == 1


def test_a_customer_is_mailed_a_link_in_their_language(asked: tuple[Site, Path]) -> None:
    site, folder = asked
    with site.warehouse.transaction() as connection:
        connection.exec_driver_sql("UPDATE billing.customers SET language = 'de' WHERE customer_id = 'ann'")
    browser = site.browser()
    for who in ("ann@example.com", "olga@example.com"):
        assert browser.post("/portal/sign-in", data={"email": who}).status_code == 200
    [one] = mailed(folder)
    assert one.startswith(f"ann@example.com {site.address}/portal/enter/")
    assert "Customer ann" in browser.post(one.split()[1]).text
    [mail] = folder.glob("*.eml")
    assert "Content-Language: de" in mail.read_text()


def test_nobody_is_mailed_where_mails_come_back_nor_by_a_form_of_another_site(asked: tuple[Site, Path]) -> None:
    site, folder = asked
    note_bounce(site.warehouse, "bob@example.com", MAKER)
    browser = site.browser()
    assert browser.post("/portal/sign-in", data={"email": "bob@example.com"}).status_code == 200
    evil = {"Origin": "https://evil.example"}
    assert browser.post("/portal/sign-in", data={"email": "ann@example.com"}, headers=evil).status_code == 403
    answers = [browser.post("/portal/sign-in", data={"email": "x@example.com"}).status_code for _ in range(8)]
    assert answers[-1] == 429
    assert site.warehouse.rows("SELECT * FROM billing.access_links") == []
    assert list(folder.glob("*")) == []


def test_who_may_ask_is_named_once_with_a_role_of_the_console(warehouse: Warehouse) -> None:
    add_operator(warehouse, "olga@example.com", "Olga", "analyst", MAKER)
    assert [one.owner for one in make_links(warehouse, "console", " olga@EXAMPLE.com ")] == ["Olga"]
    for wrong, email_, role in (
        ("already", "OLGA@example.com", "admin"), ("role", "b@example.com", "customer"), ("address", "b@", "admin")
    ):  # fmt: skip
        with pytest.raises(UserError, match=wrong):
            add_operator(warehouse, email_, "Olga", role, MAKER)
    with pytest.raises(UserError, match="expected an address"):
        remove_operator(warehouse, "eve@example.com", MAKER)
    remove_operator(warehouse, "olga@example.com", MAKER)
    assert make_links(warehouse, "console", "olga@example.com") == []
    assert warehouse.rows("SELECT * FROM billing.access_links WHERE used_at IS NULL") == []
