"""Budgets: made, changed, ended, and what Postgres holds of them."""

from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.budgets import budget_amount, budget_quantity, end_budget, list_budgets
from billing_pipeline_tests.month_rows import add_customer, execute

WHO = Signature("ann", "as they asked")
TWICE = """
INSERT INTO billing.budgets (customer_id, limit_minor, currency, thresholds_percent, author, reason)
VALUES ('ann', 1, 'usd', '{50}', 'a', 'b')
"""


@pytest.fixture
def books(warehouse):
    add_customer(warehouse, "ann")
    execute(warehouse, "INSERT INTO billing.price_books (currency, name, content_sha256) VALUES ('usd', 'b', 'x')")
    execute(
        warehouse,
        "INSERT INTO billing.meters (currency, meter, aggregation, dimensions, unit)"
        " VALUES ('usd', 'calls', 'sum', '{}', 'call')",
    )
    return warehouse


def test_a_budget_is_made_changed_and_ended_and_each_of_it_is_in_the_audit_log(books):
    assert budget_amount(books, "ann", 10000, WHO)
    assert not budget_amount(books, "ann", 10000, Signature("bob", "again"))  # so already: no entry, no other author
    assert budget_amount(books, "ann", 20000, WHO, percents=[120, 80, 80])
    assert budget_quantity(books, "ann", "calls", "1e3", WHO)
    amount, calls = list_budgets(books, customer_id="ann")
    assert (amount["limit_minor"], amount["currency"], amount["thresholds_percent"]) == (20000, "usd", [80, 120])
    assert (calls["meter"], calls["unit"], calls["limit_quantity"]) == ("calls", "call", Decimal(1000))
    assert list_budgets(books, after=amount["budget_id"], limit=1) == [calls]
    end_budget(books, "ann", None, WHO)
    with pytest.raises(UserError, match="expected a budget of the amount, found none"):
        end_budget(books, "ann", None, WHO)
    budget_amount(books, "ann", 30000, WHO)
    assert [row["limit_minor"] for row in list_budgets(books)] == [None, 30000]
    log = books.rows(
        "SELECT action, state_before ->> 'limit_minor' AS before, state_after ->> 'limit_minor' AS after"
        " FROM billing.automation_log WHERE action LIKE 'budget.%' ORDER BY log_id"
    )
    assert [tuple(row.values()) for row in log] == [
        ("budget.set", None, "10000"), ("budget.set", "10000", "20000"), ("budget.set", None, None),
        ("budget.end", "20000", None), ("budget.set", None, "30000"),
    ]  # fmt: skip


def test_what_is_no_budget_is_named(books):
    for make, words in (
        (lambda: budget_amount(books, "nobody", 1, WHO), 'customer "nobody"'),
        (lambda: budget_amount(books, "ann", 0, WHO), "limit 0: expected an amount above 0"),
        (lambda: budget_amount(books, "ann", 1, WHO, percents=[0]), "threshold 0: expected a whole number of percent"),
        (lambda: budget_amount(books, "ann", 1, WHO, percents=[]), "expected 1 to 10 of them, found 0"),
        (lambda: budget_quantity(books, "ann", "cals", "1", WHO), 'meter "cals": expected one of calls'),
        (lambda: budget_quantity(books, "ann", "calls", "many", WHO), 'limit "many": expected'),
        (lambda: budget_quantity(books, "ann", "calls", "-1", WHO), "expected a quantity above 0"),
    ):
        with pytest.raises(UserError, match=words):
            make()
    assert not list_budgets(books)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing.budgets SET meter = 'calls', limit_minor = NULL, currency = NULL, limit_quantity = 1",
        "UPDATE billing.budgets SET limit_quantity = 1",
        "UPDATE billing.budgets SET thresholds_percent = '{}'",
        "UPDATE billing.budgets SET thresholds_percent = '{50,0}'",
        TWICE,
        "UPDATE billing.budgets SET ended_at = clock_timestamp(); UPDATE billing.budgets SET ended_at = NULL",
        "UPDATE billing.budgets SET customer_id = 'bob'",
    ],
)
def test_postgres_keeps_one_live_budget_of_each_and_what_it_watches(books, change):
    add_customer(books, "bob")
    budget_amount(books, "ann", 10000, WHO)
    with pytest.raises(IntegrityError):
        execute(books, change)
