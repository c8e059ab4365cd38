"""Customers hear of shares of budgets and allowances, each once a period: the running period's own figures decide."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_pipeline.comparison.estimate import estimate
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices import thresholds
from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alert_signals import signals_now
from billing_pipeline.notices.budgets import budget_amount, budget_quantity, end_budget
from billing_pipeline.notices.choices import switch_off
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.thresholds import tell_of_thresholds
from billing_pipeline.notices.trying import preview
from billing_pipeline.notices.wording import Wording
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.month_rows import Event, add_customer, add_usage, at, load_book

WHO = Signature("ann", "as they asked")


def use(warehouse, customer, calls, day):
    add_usage(warehouse, [Event(f"{customer}-{calls}-{day}", customer, "calls", calls, at(f"2025-{day}"))])


def look(warehouse, day, **more):
    return tell_of_thresholds(warehouse, lambda: at(f"2025-{day}"), **{"log": print, **more})


def told(warehouse, kind, customer="ann"):
    rows = list_notices(warehouse, customer_id=customer, kind=kind)
    return [row["facts"]["percent"] for row in reversed(rows)]


@pytest.fixture
def books(warehouse):
    """10 a month for everybody, 10 calls included, 0.015 a call after that."""
    load_book(warehouse)
    for customer in ("ann", "bob", "cyd"):
        add_customer(warehouse, customer)
    return warehouse


def test_each_share_of_the_amount_is_told_once_a_period_and_never_a_lower_one_after_it(books):
    use(books, "ann", 1, "11-01")  # the fee by days: 9 of 30 are 3.00
    budget_amount(books, "ann", 1000, WHO)
    assert (look(books, "11-09").told, told(books, "budget_reached")) == (0, [])
    use(books, "ann", 410, "11-09")  # and 401 calls at 0.015, which are 6.02: 9.02
    assert (look(books, "11-09T20:00").told, look(books, "11-09T21:00").told) == (2, 0)  # and what is included
    assert told(books, "budget_reached") == [80]  # not 50 beside it
    use(books, "ann", 100, "11-10")
    look(books, "11-10T01:00")
    add_usage(books, [Event("less", "ann", "calls", 0, at("2025-11-10"), corrects="ann-410-11-09")])
    look(books, "11-10T12:00")
    assert told(books, "budget_reached") == [80, 100]
    budget_amount(books, "ann", 500, WHO)  # another limit is another fact
    look(books, "11-10T13:00")
    use(books, "ann", 600, "12-01")  # and so is another period
    look(books, "12-01T12:00")
    assert told(books, "budget_reached") == [80, 100, 80, 100]
    newest = list_notices(books, customer_id="ann", kind="budget_reached")[0]["facts"]
    assert newest == {
        "meter": None, "limit_minor": 500, "so_far_minor": 917, "currency": "usd", "percent": 100,
        "first_day": "2025-12-01", "last_day": "2025-12-31",
    }  # fmt: skip


def test_a_meter_s_budget_is_of_all_that_was_used_and_ends_when_it_is_ended(books):
    budget_quantity(books, "ann", "calls", "8", WHO, percents=[100, 150])
    use(books, "ann", 8, "11-02")
    look(books, "11-03")
    assert told(books, "budget_reached") == [100]
    end_budget(books, "ann", "calls", WHO)
    use(books, "ann", 100, "11-03")
    look(books, "11-04")
    assert told(books, "budget_reached") == [100]
    said = preview(books, Wording(None, "en", "Lyceum", None), "budget_reached", "ann")
    assert "calls: 8 so far in this period. Your budget is 8." in said.text


def test_what_is_included_is_told_of_without_a_budget_unless_it_is_switched_off(books, monkeypatch):
    monkeypatch.setattr(thresholds, "BATCH", 2)
    switch_off(books, "allowance_reached", "bob", WHO)
    for customer in ("ann", "bob", "cyd"):
        use(books, customer, 8 if customer == "ann" else 25, "11-02")
    found = look(books, "11-03", longest=timedelta(0))
    assert (found.customers, found.told, found.after) == (2, 1, "bob")  # no time for more: it goes on there
    assert str(look(books, "11-03", after=found.after)) == "1 looked at, 1 told"
    assert [told(books, "allowance_reached", customer) for customer in ("ann", "bob", "cyd")] == [[80], [], [100]]
    assert list_notices(books, customer_id="cyd")[0]["facts"] == {
        "meter": "calls", "unit": "call", "included_quantity": "10", "used_quantity": "10", "percent": 100,
        "first_day": "2025-11-01", "last_day": "2025-11-30",
    }  # fmt: skip


def test_a_customer_that_cannot_be_estimated_is_noted_and_stops_nobody_else_s(books, monkeypatch, tmp_path):
    for customer in ("ann", "bob", "cyd"):
        use(books, customer, 10, "11-02")

    def broken(warehouse, customers, **more):
        if "bob" in customers:
            raise ArithmeticError("bob's contract has no end before its beginning")
        return estimate(warehouse, customers, **more)

    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(thresholds, "estimate", broken)
    lines: list[str] = []
    found = look(books, "11-03", log=lines.append)
    assert (str(found), found.failed) == ("3 looked at, 2 told, 1 could not be", ("bob",))
    assert [told(books, "allowance_reached", customer) for customer in ("ann", "bob", "cyd")] == [[100], [], [100]]
    [line] = lines
    assert line.startswith("customer bob: the running period could not be looked at: ArithmeticError: bob's")
    [signal] = [
        each
        for each in signals_now(books, load_settings(), load_alert_policy(None), datetime.now(UTC))
        if each.rule == "look_failed"
    ]
    assert (signal.count, signal.example) == (1, "bob: ArithmeticError")
    monkeypatch.undo()
    assert str(look(books, "11-03")) == "3 looked at, 1 told"  # and nobody twice
    assert told(books, "allowance_reached", "bob") == [100]
