"""The console shows what is there, and every change goes through its operation, signed."""

import re

import httpx
import pytest

from billing_pipeline.books.measures import MEASURES
from billing_pipeline.books.stored_measures import work_out
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.actions import ACTIONS
from billing_pipeline.web.pages.changing import page_of
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.month_rows import BOOK
from billing_pipeline_tests.web.pages.conftest import Site, csrf_of

PAGES = (
    "/console/", "/console/months/2026-10", "/console/months/2026-09", "/console/invoices",
    "/console/invoices?month=2026-10&status=paid&customer=ann", "/console/customers", "/console/customers?q=ANN",
    "/console/customers/ann", "/console/running/ann", "/console/charges", "/console/charges?state=paid", "/console/corrections",
    "/console/events", "/console/books", "/console/prices", "/console/prices/shadow", "/console/log", "/console/log?actor=stripe-charger",
    "/console/health", "/console/search?q=bob", *(f"/console/analytics/{report}{part}" for report in MEASURES for part in ("", "/rows")),
)  # fmt: skip


def act(client: httpx.Client, path: str, **fields: str) -> str:
    """What the page says after the form was filled in and sent."""
    form = client.get(path)
    assert form.status_code == 200, form.text
    sent = client.post(path, data={"csrf": csrf_of(form.text), "reason": "as asked", **fields})
    assert sent.status_code == 200, sent.text
    return sent.text


def test_every_page_answers(site: Site) -> None:
    client = site.console()
    assert {path: client.get(path).status_code for path in PAGES} == dict.fromkeys(PAGES, 200)


def test_what_is_not_there_is_a_page_that_says_so(site: Site) -> None:
    client = site.console()
    for path in ("/console/invoices/INV-99999999", "/console/customers/nobody", "/console/months/2026-13",
                 "/console/analytics/secrets", "/console/do/invoices/explode/INV-00000001"):  # fmt: skip
        shown = client.get(path)
        assert shown.status_code == 404
        assert "expected" in shown.text or "there is no" in shown.text


def test_an_invoice_is_shown_with_its_lines_and_its_story(site: Site, month: CorrectingWorld) -> None:
    number = month.number_of("ann")
    shown = site.console().get(f"/console/invoices/{number}").text
    for text in (number, "Customer ann", "line 1", "$40.00", "$10.00", "$50.00", "stripe.invoice.pay"):
        assert text in shown


def test_the_largest_changes_of_a_month_name_the_meter_that_moved_most(site: Site) -> None:
    shown = site.console().get("/console/months/2026-10/comparison").text
    assert re.search(r"Customer ann.*users <span class=\"small\">\+\$40\.00", shown)


def test_the_month_says_what_waits(site: Site) -> None:
    shown = site.console().get("/console/months/2026-10").text
    assert "! look" in shown
    assert "refused" in shown


def test_a_customer_s_page_says_what_follows_from_an_unpaid_invoice(site: Site, warehouse: Warehouse) -> None:
    [case] = warehouse.rows("SELECT customer_id FROM billing.dunning_cases WHERE closed_at IS NULL LIMIT 1")
    shown = site.console().get(f"/console/customers/{case['customer_id']}").text
    assert re.search(r"counted from .* on the course “(standard|another method)”; next: past due on", shown)


def test_a_hold_is_placed_and_released_with_name_and_reason(site: Site, warehouse: Warehouse) -> None:
    client = site.console(owner="olga")
    assert "kept back" in act(client, "/console/do/customers/hold/ann", reason="asks for a new contract")
    [hold] = warehouse.rows("SELECT subject, author, reason, released_at FROM billing.holds")
    assert hold == {"subject": "ann", "author": "olga", "reason": "asks for a new contract", "released_at": None}
    assert "released" in act(client, "/console/do/customers/release/ann", reason="signed")
    assert warehouse.scalar("SELECT released_by FROM billing.holds") == "olga"


def test_a_void_is_made_here_and_at_stripe(site: Site, month: CorrectingWorld, warehouse: Warehouse) -> None:
    act(site.console(), f"/console/do/invoices/void-only/{month.number_of('bob')}")
    assert month.stripe_invoice("bob").status == "void"
    assert warehouse.scalar("SELECT status FROM billing.invoices WHERE customer_id = 'bob'") == "void"


def test_a_credit_note_takes_the_amount_that_was_typed(site: Site, month: CorrectingWorld) -> None:
    act(site.console(), f"/console/do/invoices/credit/{month.number_of('ann')}", amount="12.50", to="refund")
    assert [note["amount_minor"] for note in month.notes("ann")] == [1250]
    assert month.refunded_minor("ann") == 1250


def test_what_may_not_be_is_refused_in_the_operation_s_words_and_keeps_what_was_typed(
    site: Site, month: CorrectingWorld
) -> None:
    client = site.console()
    path = f"/console/do/invoices/credit/{month.number_of('ann')}"
    token = csrf_of(client.get(path).text)
    refused = client.post(path, data={"csrf": token, "reason": "a gift", "amount": "999", "to": "refund"})
    assert refused.status_code == 409
    assert "a gift" in refused.text
    assert month.notes("ann") == []
    void = f"/console/do/invoices/void/{month.number_of('ann')}"
    paid = client.post(void, data={"csrf": csrf_of(client.get(void).text), "reason": "x"})
    assert paid.status_code == 409
    assert month.stripe_invoice("ann").status == "paid"


def test_nothing_is_changed_without_a_reason(site: Site, warehouse: Warehouse) -> None:
    client = site.console()
    path = "/console/do/charging/pause/all"
    refused = client.post(path, data={"csrf": csrf_of(client.get(path).text), "reason": "  "})
    assert refused.status_code == 409
    assert "reason" in refused.text
    assert warehouse.scalar("SELECT charges_enabled FROM billing.charge_brakes")


@pytest.mark.parametrize("how", ["no token", "another's token", "another origin"])
def test_a_form_of_another_site_changes_nothing(site: Site, warehouse: Warehouse, how: str) -> None:
    client, other = site.console(), site.console(owner="eve")
    path = "/console/do/charging/pause/all"
    token = {"no token": "", "another's token": csrf_of(other.get(path).text)}.get(how) or csrf_of(
        client.get(path).text
    )
    headers = {"Origin": "https://evil.example"} if how == "another origin" else {}
    data = {"reason": "x"} if how == "no token" else {"csrf": token, "reason": "x"}
    assert client.post(path, data=data, headers=headers).status_code == 403
    assert warehouse.scalar("SELECT charges_enabled FROM billing.charge_brakes")


def test_charging_is_paused_and_resumed(site: Site, warehouse: Warehouse) -> None:
    client = site.console()
    act(client, "/console/do/charging/pause/all", reason="something is wrong")
    assert "something is wrong" in client.get("/console/charges").text
    act(client, "/console/do/charging/resume/all", reason="it was not")
    assert warehouse.scalar("SELECT charges_enabled FROM billing.charge_brakes")


def test_customers_are_found_as_somebody_types(site: Site) -> None:
    found = site.console().get("/console/customers?q=BO", headers={"HX-Request": "true"}).text
    assert "Customer bob" in found
    assert "Customer ann" not in found
    assert "<html" not in found


def test_text_of_customers_is_never_markup(site: Site, warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "UPDATE billing.customers SET name = '<script>alert(1)</script>' WHERE customer_id = 'ann'"
        )
    client = site.console()
    for path in ("/console/customers", "/console/customers/ann", "/console/invoices", "/console/do/customers/hold/ann"):
        assert "<script>alert" not in client.get(path).text


def test_only_the_drafts_that_somebody_looked_at_are_approved(
    site: Site, month: CorrectingWorld, warehouse: Warehouse
) -> None:
    month.drafts(Bill("eve"))
    client, path = site.console(), "/console/do/months/approve/2026-10"
    form = client.get(path).text
    refused = client.post(path, data={"csrf": csrf_of(form), "rows": "of another day"})
    assert refused.status_code == 409
    assert warehouse.scalar("SELECT count(*) FROM billing.month_approvals") == 0
    act(client, path, rows=seen_in(form))
    assert warehouse.scalar("SELECT author FROM billing.month_approvals") == "otto"


def seen_in(form: str) -> str:
    """The version of the rows that a form carries."""
    [rows] = re.findall(r'name="rows" value="([^"]+)"', form)
    return str(rows)


def test_measures_are_shown_and_downloaded_for_a_range_of_months(site: Site, warehouse: Warehouse) -> None:
    client = site.console()
    assert (
        "/rows?from=2026-10&amp;to=2026-10" in client.get("/console/analytics/net_revenue?from=2026-10&to=2026-10").text
    )
    shown = client.get("/console/analytics/net_revenue/rows?from=2026-10&to=2026-10").text
    assert "$90.00" in shown
    assert "<svg" in shown
    assert "there are none" in client.get("/console/analytics/net_revenue/rows?from=2026-11&to=").text
    assert client.get("/console/analytics/net_revenue?from=2026-11&to=2026-10").status_code == 404
    with warehouse.transaction() as connection:
        connection.exec_driver_sql("UPDATE billing.customers SET name = '=1+1' WHERE customer_id = 'ann'")
    file = client.get("/console/analytics/revenue_by_customer.csv?from=2026-10&to=")
    assert (file.status_code, file.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    lines = file.text.splitlines()
    assert lines[0].startswith("billing_month,currency,customer_id,customer_name,country,plan,billed_minor")
    assert "2026-10-01,usd,ann,'=1+1,,,5000,0,5000" in lines
    assert "1+1" not in site.console("analyst").get("/console/analytics/revenue_by_customer.csv").text
    assert client.get("/console/analytics/secrets.csv").status_code == 404


def test_a_measure_that_is_kept_says_as_of_when_and_is_worked_out_again_by_a_button(
    site: Site, warehouse: Warehouse
) -> None:
    client, path = site.console("analyst"), "/console/analytics/net_revenue"
    assert "As of" not in client.get(f"{path}/rows").text
    kept_at = work_out(warehouse, "net_revenue")
    shown = client.get(f"{path}/rows").text
    assert f"As of {kept_at:%b} {kept_at.day}, {kept_at:%Y}" in shown
    assert "$90.00" in shown
    file = client.get(f"{path}.csv")
    assert f"net_revenue_as_of_{kept_at:%Y-%m-%dT%H%M}Z.csv" in file.headers["content-disposition"]
    again = client.post(f"{path}/work-out", data={"csrf": csrf_of(shown)})
    assert (again.status_code, again.url.path) == (200, path)
    assert warehouse.scalar("SELECT as_of FROM billing.stored_measures") > kept_at
    assert client.post(f"{path}/work-out", data={"csrf": "another"}).status_code == 403
    for name in ("secrets", "unusual_usage"):
        assert client.post(f"/console/analytics/{name}/work-out", data={"csrf": csrf_of(shown)}).status_code == 404, (
            name
        )


def test_a_customer_s_contract_credits_and_budgets_are_changed_from_their_page(
    site: Site, warehouse: Warehouse
) -> None:
    client = site.console()
    shown = client.get("/console/customers/ann").text
    for name in (
        "pause",
        "resume",
        "end",
        "plan",
        "trial",
        "start",
        "withdraw",
        "relink",
        "grant-credits",
        "set-budget",
    ):
        assert f"/console/do/customers/{name}/ann" in shown
    act(client, "/console/do/customers/grant-credits/ann", amount="25", kind="paid", description="Prepaid")
    act(client, "/console/do/customers/set-budget/ann", amount="60")
    act(client, "/console/do/customers/end/ann", on="2027-01-31")
    [grant] = re.findall(r"/console/do/credits/void/[^\"]+", client.get("/console/customers/ann").text)
    assert (
        "31 Jan 2027" in client.get("/console/customers/ann").text
        or "Jan 31, 2027" in client.get("/console/customers/ann").text
    )
    act(client, grant)
    assert warehouse.scalar("SELECT sum(balance_minor) FROM billing.credit_grants") == 0
    assert "/console/do/" not in site.console("analyst").get("/console/customers/ann").text


def test_a_refused_charge_is_tried_again_and_an_adjustment_revoked_where_they_are_listed(
    site: Site, month: CorrectingWorld
) -> None:
    client = site.console()
    assert f"/console/do/invoices/retry/{month.number_of('bob')}" in client.get("/console/charges").text
    act(client, "/console/do/customers/adjust/ann", amount="-3", description="Sorry")
    act(client, "/console/do/customers/hold/ann")
    shown = client.get("/console/corrections").text
    [revoke] = re.findall(r"/console/do/adjustments/revoke/[^\"]+", shown)
    assert "No invoice takes it" in act(client, revoke)
    assert "released" in act(client, re.findall(r"/console/do/customers/release/[^\"]+", shown)[0])


def test_the_log_and_a_time_line_are_downloaded_by_those_who_may_see_names(site: Site) -> None:
    client, analyst = site.console(), site.console("analyst")
    act(client, "/console/do/customers/hold/ann", reason="=1+1")
    log = client.get("/console/log.csv?actor=otto")
    assert log.headers["content-disposition"] == 'attachment; filename="log.csv"'
    assert log.text.count("'=1+1") == 1
    assert log.text.splitlines()[0].startswith("log_id,logged_at,actor")
    line = client.get("/console/timelines/ann").text
    assert line.splitlines()[0] == "occurred_at,kind,what,invoice,amount_minor,currency,actor,reason"
    assert ",invoice," in line
    for path in ("/console/log.csv", "/console/timelines/ann"):
        assert analyst.get(path).status_code == 404
        assert path not in analyst.get("/console/customers/ann").text


def test_alerts_are_taken_on_where_health_shows_them(site: Site, warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO billing.alerts (severity, rule, subject, summary, row_count, opened_at, seen_at, told_at, told_count)"
            " VALUES ('critical', 'disk_full', 'disk', 'The disk is nearly full', 1, now(), now(), now(), 1)"
        )
    client = site.console()
    shown = client.get("/console/health").text
    assert "The disk is nearly full" in shown
    [take_on] = re.findall(r"/console/do/alerts/acknowledge/[^\"]+", shown)
    act(client, take_on, reason="I make room")
    assert "otto" in client.get("/console/health").text


def test_each_change_leads_back_to_a_page_and_asks_for_what_its_route_asks_for(site: Site) -> None:
    operator, admin = site.console(), site.console("admin", "ada")
    for kind in ACTIONS:
        if kind not in ("customers", "invoices", "charges"):  # theirs is the page of one that exists
            assert operator.get(page_of(kind, "2026-10")).status_code == 200, kind
    policy = "/console/do/settlements/policy/all"
    assert (operator.get(policy).status_code, admin.get(policy).status_code) == (403, 200)
    assert operator.post(policy, data={"csrf": "x"}).status_code == 403


def test_a_new_book_is_tried_on_a_month_before_anybody_loads_it(site: Site) -> None:
    analyst = site.console("analyst")
    form = analyst.get("/console/prices/shadow")
    csrf = csrf_of(form.text)
    assert 'value="2026-10"' in form.text

    def tried(**fields: str) -> httpx.Response:
        return analyst.post("/console/prices/shadow", data={"csrf": csrf, "month": "2026-10", "book": BOOK, **fields})

    shown = tried()
    assert shown.status_code == 200
    assert "<td>new</td><td>USD</td>" in shown.text
    assert re.search(
        r'customers/ann">ann</a></td><td class="number">\$50.00</td><td class="number">\$10.00', shown.text
    )
    assert site.warehouse.scalar("SELECT count(*) FROM billing.price_loads") == 0
    wrong = tried(book=BOOK.replace('unit_amount: "3"', "unit_amount: three"))
    assert (wrong.status_code, "unit_amount" in wrong.text, "unit_amount: three" in wrong.text) == (422, True, True)
    assert "2026-09 has no invoices" in tried(month="2026-09").text
    assert tried(csrf="another").status_code == 403


def test_the_month_tells_of_a_hold_at_once(site: Site) -> None:
    client = site.console()
    assert "a doubt" not in client.get("/console/months/2026-10").text
    form = "/console/do/months/hold/2026-10"
    client.post(form, data={"csrf": csrf_of(client.get(form).text), "reason": "a doubt"})
    assert "a doubt" in client.get("/console/months/2026-10").text
