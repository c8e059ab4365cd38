"""The unsubscribe link of a mail: a page that asks, and a POST that ends it, without signing in."""

from billing_pipeline.notices.choices import list_choices
from billing_pipeline.notices.letters import Notice
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.web.pages.conftest import Site


def key_of(warehouse: Warehouse, kind: str) -> str:
    notice_id = warehouse.scalar("SELECT min(notice_id) FROM billing.notices WHERE kind = :kind", kind=kind)
    [row] = warehouse.rows(load_sql("notices/notice_of_key.sql"), notice_id=notice_id)
    return Notice(**row).key


def test_looking_changes_nothing_and_a_post_ends_it(site: Site, month: CorrectingWorld) -> None:
    key = key_of(month.warehouse, "payment_succeeded")
    browser = site.browser()
    shown = browser.get(f"/unsubscribe/{key}")
    assert shown.status_code == 200
    assert "payment succeeded" in shown.text
    assert list_choices(month.warehouse) == []
    for _ in range(2):
        done = browser.post(f"/unsubscribe/{key}", data={"List-Unsubscribe": "One-Click"})
        assert done.status_code == 200
        assert "no longer sent to" in done.text
    assert [row["what"] for row in list_choices(month.warehouse)] == ["off"]
    assert "Abbestellen" in browser.get(f"/unsubscribe/{key}", headers={"accept-language": "de"}).text


def test_a_wrong_link_and_one_of_what_is_due_end_nothing(site: Site, month: CorrectingWorld) -> None:
    browser = site.browser()
    for key in (key_of(month.warehouse, "invoice_issued"), "notice-1-0000000000000000", "x"):
        assert browser.get(f"/unsubscribe/{key}").status_code == 404
        assert browser.post(f"/unsubscribe/{key}").status_code == 404
    assert list_choices(month.warehouse) == []
