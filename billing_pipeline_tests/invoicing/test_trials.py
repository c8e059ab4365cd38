"""Trials: fees cost nothing and are shown, usage is billed, the period is cut where the trial ends."""

from datetime import date
from typing import Any

import pytest

from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers import contracts
from billing_pipeline.gates.failing_rows import sample_of
from billing_pipeline.gates.rules.gates import GATES
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    BOOK,
    NOVEMBER,
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
      pro:
        - {meter: fee, model: flat, amount: "31"}
    trials: {pro: 14}
    commitments:
      - {name: base, amount: "37", plan: pro}
"""


def lines(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.rows(
        "SELECT p.start_date, l.description, l.amount_minor FROM billing.invoice_line_items AS l"
        " JOIN billing.billing_periods AS p USING (period_id) ORDER BY p.start_date, l.line_no"
    )
    return [(str(row["start_date"]), row["description"], row["amount_minor"]) for row in rows]


def stretches(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["starts_on"], row["ends_on"], row["in_trial"]) for row in rows]


@pytest.fixture
def ann(warehouse: Warehouse) -> Warehouse:
    load_book(warehouse, BOOK + PLANS)
    add_customer(warehouse, "ann", starts_on=None)
    return warehouse


def test_a_plans_trial_cuts_the_period_and_bills_usage_but_no_fee_and_no_commitment(ann: Warehouse):
    contracts.start_contract(ann, "ann", date(2025, 10, 10), ANN, plan="pro")
    add_usage(ann, [event_of_ann(f"e{day}", "calls", 110, f"2025-10-{day}") for day in (15, 28)])
    bill(ann, OCTOBER)
    assert lines(ann) == [
        ("2025-10-10", "Fee (trial, 14 of 31 days)", 0),
        ("2025-10-10", "Calls", 150),
        ("2025-10-24", "Fee (8 of 31 days)", 800),
        ("2025-10-24", "Calls", 150),
        ("2025-10-24", "Commitment base: up to 9.55 USD (8 of 31 days) for all of this invoice", 5),
    ]
    for name in ("amount_is_quantity_times_price", "every_snapshot_priced_or_quarantined", "terms_are_kept"):
        gate = next(gate for gate in GATES if gate.name == name)
        batch = f"SELECT * FROM billing.{gate.asset} WHERE billing_month = '{OCTOBER}'"
        assert sample_of(ann, gate, batch, {"month": OCTOBER, "last_month": SEPTEMBER}) == [], name
    pass_gates(ann, OCTOBER)
    finalise_month(ann, OCTOBER, "charged")
    assert [explained.problems for explained in explain_all(ann)] == [[], []]
    billing_drift.build(ann, OCTOBER, "again")
    assert ann.rows("SELECT * FROM billing.billing_drift") == []


def test_a_trial_that_was_agreed_holds_instead_of_the_plans_and_across_a_change_of_plan(ann: Warehouse):
    contracts.start_contract(ann, "ann", date(2025, 10, 10), ANN, plan="pro", trial_until=date(2025, 11, 5))
    rows = contracts.change_plan(ann, "ann", date(2025, 10, 20), None, ANN)
    assert stretches(rows) == [
        (date(2025, 10, 10), date(2025, 10, 19), True),
        (date(2025, 10, 20), date(2025, 11, 5), True),
        (date(2025, 11, 6), None, False),
    ]
    bill(ann, NOVEMBER)
    assert lines(ann) == [
        ("2025-11-01", "Fee (trial, 5 of 30 days)", 0),
        ("2025-11-06", "Fee (25 of 30 days)", 833),
    ]


def test_a_trial_of_whole_periods_says_so_without_days(ann: Warehouse):
    contracts.start_contract(ann, "ann", date(2025, 10, 1), ANN, trial_until=date(2025, 12, 31))
    bill(ann, OCTOBER)
    assert lines(ann) == [("2025-10-01", "Fee (trial)", 0)]


def test_a_trial_is_changed_and_taken_away(ann: Warehouse):
    contracts.start_contract(ann, "ann", date(2025, 10, 1), ANN, plan="pro")
    rows = contracts.set_trial(ann, "ann", date(2025, 10, 5), date(2025, 10, 20), ANN)
    assert stretches(rows) == [(date(2025, 10, 1), date(2025, 10, 20), True), (date(2025, 10, 21), None, False)]
    rows = contracts.set_trial(ann, "ann", date(2025, 10, 5), None, ANN)
    assert stretches(rows) == [(date(2025, 10, 1), None, False)]
    with pytest.raises(UserError, match="expected a trial that ends on 2025-10-01 or later, found 2025-09-30"):
        contracts.set_trial(ann, "ann", date(2025, 10, 5), date(2025, 9, 30), ANN)


def test_who_comes_back_from_a_pause_begins_no_other_trial_and_who_comes_back_after_the_end_does(ann: Warehouse):
    contracts.start_contract(ann, "ann", date(2025, 1, 1), ANN, plan="pro")
    contracts.pause_contract(ann, "ann", date(2025, 3, 1), ANN)
    rows = contracts.resume_contract(ann, "ann", date(2025, 4, 1), ANN)
    assert stretches(rows)[2:] == [(date(2025, 4, 1), None, False)]
    contracts.end_contract(ann, "ann", date(2025, 4, 30), ANN)
    rows = contracts.start_contract(ann, "ann", date(2025, 6, 1), ANN, plan="pro")
    assert stretches(rows)[3:] == [(date(2025, 6, 1), date(2025, 6, 14), True), (date(2025, 6, 15), None, False)]


def test_a_contract_whose_start_nobody_said_has_no_trial(ann: Warehouse):
    add_usage(ann, [event_of_ann("e", "calls", 1, "2025-10-10")])
    bill(ann, OCTOBER)
    assert lines(ann)[0] == ("2025-10-01", "Fee", 1000)
    with pytest.raises(UserError, match="nobody said when its contract starts"):
        contracts.set_trial(ann, "ann", date(2025, 10, 5), date(2025, 10, 20), ANN)


def test_a_longer_trial_lays_open_periods_out_anew_and_is_drift_of_billed_ones(ann: Warehouse):
    contracts.start_contract(ann, "ann", date(2025, 10, 1), ANN, plan="pro")
    bill(ann, OCTOBER)
    assert [amount for _, text, amount in lines(ann) if "Fee" in text] == [0, 1700]
    contracts.set_trial(ann, "ann", date(2025, 10, 5), date(2025, 10, 21), ANN)
    bill(ann, OCTOBER)
    assert [(day, amount) for day, text, amount in lines(ann) if "Fee" in text] == [
        ("2025-10-01", 0),
        ("2025-10-22", 1000),
    ]
    pass_gates(ann, OCTOBER)
    finalise_month(ann, OCTOBER, "charged")
    contracts.set_trial(ann, "ann", date(2025, 10, 5), date(2025, 10, 31), ANN)
    billing_drift.build(ann, OCTOBER, "again")
    drift = ann.rows("SELECT meter, current_minor, reason FROM billing.billing_drift ORDER BY meter")
    assert {row["meter"]: (row["current_minor"], row["reason"]) for row in drift}["fee"] == (0, "contract_change")


def test_another_version_with_other_days_holds_for_contracts_that_start_in_it(ann: Warehouse):
    second = PLANS.replace("14", "30")
    later = (BOOK + PLANS).split("versions:\n")[1].replace('"2025"', '"2026"').replace("2025-01-01", "2026-01-01")
    load_book(ann, BOOK + PLANS + later.replace(PLANS, second))
    assert stretches(contracts.start_contract(ann, "ann", date(2025, 12, 31), ANN, plan="pro"))[0][1] == date(
        2026, 1, 13
    )
    assert stretches(contracts.start_contract(ann, "ann", date(2026, 1, 1), ANN))[0][1] == date(2026, 1, 30)
