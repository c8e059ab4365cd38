"""Plans of the price book: the plan of a period's contract prices it."""

from datetime import date
from typing import Any

import pytest

from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers import contracts
from billing_pipeline.gates.failing_rows import FailingRow, sample_of
from billing_pipeline.gates.rules.gates import GATES
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    BOOK,
    OCTOBER,
    SEPTEMBER,
    add_customer,
    add_usage,
    bill,
    event_of_ann,
    load_book,
    pass_gates,
)

ANN = Signature("ann", "as agreed")
PLANS = """    plans:
      basic:
        - {meter: peak, model: per_unit, unit_amount: "2"}
      pro:
        - {meter: fee, model: flat, amount: "31"}
        - {meter: calls, model: per_unit, unit_amount: "0.01"}
"""
OWN = """    customers:
      ann:
        - {meter: fee, model: flat, amount: "62"}
"""


def lines(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.rows(
        "SELECT p.start_date, l.description, l.amount_minor FROM billing.invoice_line_items AS l"
        " JOIN billing.billing_periods AS p USING (period_id) ORDER BY p.start_date, l.line_no"
    )
    return [(row["start_date"].day, row["description"], row["amount_minor"]) for row in rows]


@pytest.fixture
def on_two_plans(warehouse: Warehouse) -> Warehouse:
    """Ann is on basic until October 15 and on pro from the 16th on; 100 calls in each half."""
    add_customer(warehouse, "ann", starts_on=None)
    contracts.start_contract(warehouse, "ann", date(2025, 10, 1), ANN, plan="basic")
    contracts.change_plan(warehouse, "ann", date(2025, 10, 16), "pro", ANN)
    add_usage(warehouse, [event_of_ann(f"e{day}", "calls", 100, f"2025-10-{day}") for day in (10, 20)])
    return warehouse


def test_the_plan_at_the_start_of_a_period_prices_it_and_what_no_plan_has_holds_for_all(on_two_plans: Warehouse):
    load_book(on_two_plans, BOOK + PLANS)
    bill(on_two_plans, OCTOBER)
    assert lines(on_two_plans) == [
        (1, "Fee (15 of 31 days)", 484),
        (1, "Calls", 135),
        (16, "Fee (16 of 31 days)", 1600),
        (16, "Calls", 100),
    ]


def test_a_customers_own_price_holds_on_every_plan(on_two_plans: Warehouse):
    load_book(on_two_plans, BOOK + PLANS + OWN)
    bill(on_two_plans, OCTOBER)
    assert [amount for _, text, amount in lines(on_two_plans) if "Fee" in text] == [3000, 3200]


def test_a_contract_on_a_plan_that_the_book_does_not_have_is_set_aside_with_that_reason(on_two_plans: Warehouse):
    load_book(on_two_plans, BOOK + PLANS.replace("pro:", "gold:"))
    bill(on_two_plans, OCTOBER)
    assert {day for day, _, _ in lines(on_two_plans)} == {1}
    aside = on_two_plans.rows("SELECT meter, reason FROM billing.usage_quarantine ORDER BY meter")
    assert [(row["meter"], row["reason"]) for row in aside] == [
        ("calls", "no plan pro in the price book"),
        ("fee", "no plan pro in the price book"),
    ]


def test_a_book_without_plans_prices_every_contract_alike(on_two_plans: Warehouse):
    load_book(on_two_plans)
    bill(on_two_plans, OCTOBER)
    assert [amount for _, _, amount in lines(on_two_plans)] == [484, 135, 516, 135]


def test_gates_explain_and_drift_know_plans(on_two_plans: Warehouse):
    load_book(on_two_plans, BOOK + PLANS)
    bill(on_two_plans, OCTOBER)
    for gate in ("amount_is_quantity_times_price", "every_snapshot_priced_or_quarantined", "no_price_lost"):
        assert failing(on_two_plans, gate) == [], gate
    pass_gates(on_two_plans, OCTOBER)
    finalise_month(on_two_plans, OCTOBER, "charged")
    assert [explained.problems for explained in explain_all(on_two_plans)] == [[], []]
    load_book(on_two_plans, BOOK + PLANS.replace('"31"', '"62"').replace('"0.01"}', '"0.01", included: 50}'))
    billing_drift.build(on_two_plans, OCTOBER, "again")
    drift = on_two_plans.rows("SELECT meter, billed_minor, current_minor, reason FROM billing.billing_drift ORDER BY 1")
    assert [tuple(row.values()) for row in drift] == [
        ("calls", 100, 50, "term_change"),
        ("fee", 1600, 3200, "price_change"),
    ]


def test_a_draft_is_outdated_once_its_plan_has_a_price_of_its_own(on_two_plans: Warehouse):
    load_book(on_two_plans, BOOK + PLANS)
    bill(on_two_plans, OCTOBER)
    outdated = "SELECT reason FROM billing.outdated_drafts('2025-10-01')"
    assert on_two_plans.rows(outdated) == []
    load_book(on_two_plans, BOOK + PLANS.replace('"2"}', '"2"}\n        - {meter: calls, model: flat, amount: "1"}'))
    assert on_two_plans.rows(outdated) == [{"reason": "price_change"}]


def failing(warehouse: Warehouse, name: str) -> list[FailingRow]:
    """What the gate of this name finds wrong in October."""
    gate = next(gate for gate in GATES if gate.name == name)
    batch = f"SELECT * FROM billing.{gate.asset} WHERE billing_month = '{OCTOBER}'"
    return sample_of(warehouse, gate, batch, {"month": OCTOBER, "last_month": SEPTEMBER})
