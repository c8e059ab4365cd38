"""Prepaid credits: what invoices draw and give back, in which order, and that the ledger never goes below zero."""

import json
import threading
from datetime import date

import pytest
from sqlalchemy.exc import DBAPIError

from billing_pipeline.comparison.explain import explain_all, explain_invoice
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing import finalisation
from billing_pipeline.invoicing.credits import (
    CreditsRefused,
    credit_balances,
    credit_entries,
    expire_credits,
    grant_credits,
    list_grants,
    return_credits,
    void_credits,
)
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.invoicing.recurring import recurring, recurring_by_lines
from billing_pipeline_tests.month_rows import (
    NOVEMBER,
    OCTOBER,
    add_customer,
    at,
    bill,
    checksums,
    complete_feed,
    execute,
    move_charges,
    pass_gates,
)


def by(reason: str) -> Signature:
    return Signature("ann", reason)


@pytest.fixture
def prepaid(billed: Warehouse) -> Warehouse:
    """ann, whose fee is 10.00 a month, has 4.00 that expire first, 3.00 as a gift, and 15.00; bob has none."""
    add_customer(billed, "bob")
    complete_feed(billed, at("2026-01-01"))
    grant_credits(billed, "ann", 1_500, by("order 1"))
    grant_credits(billed, "ann", 300, by("gift"), kind="promotional", priority=200)
    grant_credits(billed, "ann", 400, by("order 2"), expires_on=date(2999, 1, 1))
    return billed


def finalised(warehouse: Warehouse, month: date) -> None:
    bill(warehouse, month)
    pass_gates(warehouse, month)
    finalise_month(warehouse, month, "run")


def charges(warehouse: Warehouse) -> dict[tuple[str, date], tuple[int, int]]:
    rows = warehouse.rows(
        "SELECT i.customer_id, i.billing_month, i.total_minor, c.amount_minor"
        " FROM billing.invoices AS i JOIN billing.stripe_charges AS c USING (invoice_id)"
    )
    return {(r["customer_id"], r["billing_month"]): (r["total_minor"], r["amount_minor"]) for r in rows}


def moves(warehouse: Warehouse) -> list[tuple[str, int, int]]:
    return [(row["kind"], row["amount_minor"], row["balance_minor"]) for row in credit_entries(warehouse, "ann")]


def test_a_final_invoice_draws_by_priority_expiry_and_age_and_stripe_gets_the_rest(prepaid: Warehouse) -> None:
    bill(prepaid, OCTOBER)
    before = checksums(prepaid)
    expected = prepaid.rows("SELECT customer_id, draws_minor, due_minor FROM billing.expected_draws")
    assert expected == [{"customer_id": "ann", "draws_minor": 1_000, "due_minor": 0}]
    bill(prepaid, OCTOBER)
    assert checksums(prepaid) == before, "a draft knows nothing of credits"
    finalised(prepaid, OCTOBER)
    finalised(prepaid, NOVEMBER)
    granted = [("grant", 1_500, 1_500), ("grant", 300, 1_800), ("grant", 400, 2_200)]
    october = [("draw", -400, 1_800), ("draw", -600, 1_200)]
    assert moves(prepaid) == [*granted, *october, ("draw", -900, 300), ("draw", -100, 200)]
    assert charges(prepaid) == {
        ("ann", OCTOBER): (1_000, 0),
        ("ann", NOVEMBER): (1_000, 0),
        ("bob", OCTOBER): (1_000, 1_000),
        ("bob", NOVEMBER): (1_000, 1_000),
    }
    [balance] = credit_balances(prepaid, "ann")
    assert (balance["granted_minor"], balance["drawn_minor"], balance["balance_minor"]) == (2_200, 2_000, 200)
    assert balance["paid_balance_minor"] == 0


def test_each_draw_is_a_line_at_stripe_and_the_rest_is_what_is_asked_for(billed: Warehouse) -> None:
    complete_feed(billed, at("2026-01-01"))
    grant_credits(billed, "ann", 250, by("order"), description="Prepaid, order 7")
    finalised(billed, OCTOBER)
    assert charges(billed) == {("ann", OCTOBER): (1_000, 750)}
    body = billed.scalar("SELECT convert_from(request_body, 'UTF8') FROM billing.stripe_charges")
    lines = [(line["description"], line["amount"]) for line in json.loads(str(body))["lines"]]
    assert lines == [("Fee", 1_000), ("Prepaid, order 7", -250)]
    [explained] = explain_all(billed)
    assert (explained.problems, [(d.line_no, d.amount_minor) for d in explained.draws]) == ([], [(2, -250)])


def test_a_void_invoice_gives_back_what_it_drew_and_its_rebill_draws_again(prepaid: Warehouse) -> None:
    finalised(prepaid, OCTOBER)
    move_charges(prepaid, "state = 'void'", "customer_id = 'ann'")
    assert moves(prepaid)[-2:] == [("return", 600, 1_800), ("return", 400, 2_200)]
    finalised(prepaid, OCTOBER)
    assert moves(prepaid)[-2:] == [("draw", -400, 1_800), ("draw", -600, 1_200)]
    assert [explained.problems for explained in explain_all(prepaid)] == [[]] * 3


def test_a_draw_that_was_tampered_with_is_named(prepaid: Warehouse) -> None:
    finalised(prepaid, OCTOBER)
    [number] = [e.invoice.number for e in explain_all(prepaid) if e.invoice.customer_id == "ann"]
    execute(prepaid, "ALTER TABLE billing.credit_entries DISABLE TRIGGER USER")
    execute(prepaid, "UPDATE billing.credit_entries SET amount_minor = -500 WHERE amount_minor = -600")
    problems = explain_invoice(prepaid, number).problems
    assert "its draws add up to 900, the invoice says 1000" in problems
    assert "seal broken: lines" in problems


def test_what_an_invoice_drew_comes_back_last_drawn_first_and_not_twice(prepaid: Warehouse) -> None:
    finalised(prepaid, OCTOBER)
    assert return_credits(prepaid, "1", by("goodwill"), amount_minor=700) == 700
    assert moves(prepaid)[-2:] == [("return", 600, 1_800), ("return", 100, 1_900)]
    with pytest.raises(CreditsRefused, match=r"INV-00000001: 3.01 USD is not above 0 and up to the 3.00 USD"):
        return_credits(prepaid, "1", by("goodwill"), amount_minor=301)
    assert return_credits(prepaid, "1", by("goodwill")) == 300
    revenue = prepaid.rows("SELECT billed_minor, credited_minor FROM billing.monthly_revenue WHERE meter <> 'fee'")
    assert revenue == [{"billed_minor": 0, "credited_minor": 1_000}]
    assert recurring(prepaid) == recurring_by_lines(prepaid) != {}
    with pytest.raises(CreditsRefused, match=r"the 0.00 USD that it keeps"):
        return_credits(prepaid, "2", by("goodwill"))


def test_credits_expire_after_their_last_day_and_are_never_drawn_then(billed: Warehouse) -> None:
    complete_feed(billed, at("2026-01-01"))
    grant_credits(billed, "ann", 250, by("order"), expires_on=date(2025, 10, 31))
    grant_credits(billed, "ann", 100, by("other"))
    finalised(billed, OCTOBER)
    assert moves(billed)[2:] == [("expire", -250, 100), ("draw", -100, 0)]
    assert expire_credits(billed, by("again")) == 0
    assert list_grants(billed) == []
    assert len(list_grants(billed, every=True)) == 2


def test_what_is_left_of_a_grant_is_taken_back_once(prepaid: Warehouse) -> None:
    first = list_grants(prepaid)[0]["grant_id"]
    assert void_credits(prepaid, first, by("mistake")) == 400
    for grant_id, words in ((first, "with something left"), ("x", "expected an id")):
        with pytest.raises(CreditsRefused, match=words):
            void_credits(prepaid, grant_id, by("again"))
    assert moves(prepaid)[-1] == ("void", -400, 1_800)


def test_a_grant_is_made_once_and_mistakes_leave_nothing(prepaid: Warehouse) -> None:
    for customer_id, amount, words in [
        ("ann", 1_500, "this was granted already"),
        ("zoe", 1, "expected the id of a customer"),
        ("ann", 0, "expected more than 0"),
    ]:
        with pytest.raises(CreditsRefused, match=words):
            grant_credits(prepaid, customer_id, amount, by("order 1"))
    assert prepaid.scalar("SELECT count(*) FROM billing.credit_grants") == 3


def test_two_months_at_once_never_draw_more_than_there_is(billed: Warehouse) -> None:
    complete_feed(billed, at("2026-01-01"))
    grant_credits(billed, "ann", 1_200, by("order"))
    for month in (OCTOBER, NOVEMBER):
        bill(billed, month)
        pass_gates(billed, month)
    threads = [threading.Thread(target=finalise_month, args=(billed, month, "run")) for month in (OCTOBER, NOVEMBER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(due for _, due in charges(billed).values()) == [0, 800]
    assert moves(billed)[-1][2] == 0


BEYOND = """
INSERT INTO billing.credit_entries (grant_id, customer_id, currency, kind, amount_minor, author, invoice_id, line_no)
SELECT g.grant_id, g.customer_id, g.currency, {entry} FROM billing.credit_grants AS g
JOIN billing.invoices AS i USING (customer_id) WHERE g.{which}
"""


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing.credit_grants SET balance_minor = 1500",
        "UPDATE billing.credit_grants SET priority = 1",
        "DELETE FROM billing.credit_grants",
        "UPDATE billing.credit_entries SET amount_minor = -1",
        "DELETE FROM billing.credit_entries",
        "TRUNCATE billing.credit_entries",
        "UPDATE billing.invoices SET credits_minor = 1",
        BEYOND.format(entry="'void', -901, 'ann', NULL, NULL", which="amount_minor = 1500"),
        BEYOND.format(entry="'void', -1, 'ann', NULL, NULL", which="amount_minor = 1500"),
        BEYOND.format(entry="'grant', 600, 'ann', NULL, NULL", which="amount_minor = 1500"),
        BEYOND.format(entry="'return', 601, 'ann', i.invoice_id, NULL", which="amount_minor = 1500"),
        BEYOND.format(entry="'draw', -1, 'ann', i.invoice_id, 9", which="priority = 200"),
    ],
)
def test_postgres_keeps_the_ledger(prepaid: Warehouse, change: str) -> None:
    finalised(prepaid, OCTOBER)
    with pytest.raises(DBAPIError):
        execute(prepaid, change)


def test_what_dies_before_the_commit_drew_nothing(prepaid: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    bill(prepaid, OCTOBER)
    pass_gates(prepaid, OCTOBER)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    # the first call looks for intents that a restore lost, the second comes after the draws
    calls = iter([lambda *_: None, dies])
    with monkeypatch.context() as patched:
        patched.setattr(finalisation, "_write_intents", lambda *given: next(calls)(*given))
        with pytest.raises(KeyboardInterrupt):
            finalise_month(prepaid, OCTOBER, "run")
    assert [kind for kind, _, _ in moves(prepaid)] == ["grant"] * 3
    assert prepaid.scalar("SELECT count(*) FROM billing.invoices WHERE status <> 'draft'") == 0
    assert finalise_month(prepaid, OCTOBER, "run").count == 2
    assert [kind for kind, _, _ in moves(prepaid)][3:] == ["draw", "draw"]
