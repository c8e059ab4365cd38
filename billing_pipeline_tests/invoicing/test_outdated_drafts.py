"""Drafts are compared with what is known when they become final: what would be another one today waits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_pipeline.charging.charge_requests import requests_due
from billing_pipeline.corrections.approvals import approve_month
from billing_pipeline.invoicing.finalisation import Finalised, finalise_month
from billing_pipeline.invoicing.finalisation_policy import set_finalisation_policy
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    BOOK,
    OCTOBER,
    add_customer,
    add_usage,
    at,
    bill,
    change_customer,
    event_of_ann,
    load_book,
    pass_gates,
)


@pytest.fixture
def drafted(billed: Warehouse) -> Warehouse:
    """October of ann, whose draft is tried, and of bob, to whom nothing happens."""
    add_customer(billed, "bob")
    add_usage(
        billed,
        [
            event_of_ann("calls", "calls", 100, "2025-10-15"),
            event_of_ann("peak", "peak", 2, "2025-10-16"),
            event_of_ann("bob", "calls", 100, "2025-10-15", customer_id="bob"),
        ],
    )
    bill(billed, OCTOBER)
    pass_gates(billed, OCTOBER)
    return billed


def reasons(warehouse: Warehouse) -> dict[str, str]:
    rows = warehouse.rows(
        "SELECT i.customer_id, o.reason"
        " FROM billing.outdated_drafts(:month) AS o JOIN billing.invoices AS i USING (invoice_id)",
        month=OCTOBER,
    )
    return {row["customer_id"]: row["reason"] for row in rows}


def came_now(warehouse: Warehouse, event_id: str, meter: str, quantity: int, occurred_at: str, **more: Any) -> None:
    received_at = datetime.now(UTC) + timedelta(seconds=1)
    add_usage(warehouse, [event_of_ann(event_id, meter, quantity, occurred_at, received_at=received_at, **more)])


def test_nothing_is_outdated_that_nothing_has_happened_to(drafted: Warehouse) -> None:
    assert reasons(drafted) == {}
    assert finalise_month(drafted, OCTOBER, "run") == Finalised(2)


def test_a_late_event_keeps_its_customers_draft_and_no_other(drafted: Warehouse) -> None:
    came_now(drafted, "late", "calls", 785_000, "2025-10-20")
    assert reasons(drafted) == {"ann": "late_event"}
    assert finalise_month(drafted, OCTOBER, "run") == Finalised(1, {"outdated": ("ann",)})
    [request] = requests_due(drafted)
    assert (request.billing_month, request.redraft) == (OCTOBER, True)


def test_what_was_drafted_again_becomes_final(drafted: Warehouse) -> None:
    add_usage(drafted, [event_of_ann("late", "calls", 785_000, "2025-10-20", received_at=datetime.now(UTC))])
    assert finalise_month(drafted, OCTOBER, "run").skipped == {"outdated": ("ann",)}
    bill(drafted, OCTOBER)
    pass_gates(drafted, OCTOBER)
    [request] = requests_due(drafted)
    assert not request.redraft
    assert finalise_month(drafted, OCTOBER, "again") == Finalised(1)


def test_a_cut_off_that_an_operator_set_outdates_nothing_that_had_come_by_then(drafted: Warehouse) -> None:
    bill(drafted, OCTOBER, as_of=at("2025-10-15T12:00"))
    assert reasons(drafted) == {}, "it was left out on purpose, and the log says so"


@pytest.mark.parametrize(
    ("meter", "occurred_at", "outdated"),
    [
        ("calls", "2025-11-01", False),
        ("calls", "2025-09-30", False),
        ("clusters", "2025-09-30", True),
        ("clusters", "2025-11-01", False),
        ("calls", "2025-10-31T23:59:59", True),
    ],
)
def test_only_usage_that_counts_in_the_period_matters(
    drafted: Warehouse, meter: str, occurred_at: str, outdated: bool
) -> None:
    came_now(drafted, "late", meter, 1, occurred_at)
    assert ("ann" in reasons(drafted)) is outdated


def test_a_correction_outdates_the_draft_of_what_it_corrects(drafted: Warehouse) -> None:
    came_now(drafted, "right", "calls", 10, "2025-10-15", corrects="calls")
    assert reasons(drafted) == {"ann": "corrected_event"}


def test_a_price_that_is_another_one_by_now_outdates_what_it_priced(drafted: Warehouse) -> None:
    load_book(drafted, BOOK.replace('unit_amount: "3"', 'unit_amount: "4"'))
    assert reasons(drafted) == {"ann": "price_change"}, "bob has no peak"


def test_a_version_that_is_in_force_by_now_outdates_all(drafted: Warehouse) -> None:
    later = BOOK[BOOK.index('  - id: "2025"') :].replace("2025", "2025-10", 1).replace("2025-01-01", "2025-10-01")
    load_book(drafted, BOOK + later)
    assert reasons(drafted) == {"ann": "price_change", "bob": "price_change"}


def test_a_change_of_the_customers_zone_outdates_the_draft(drafted: Warehouse) -> None:
    change_customer(drafted, "ann", timezone="Asia/Tokyo")
    assert reasons(drafted) == {"ann": "customer_change"}


def test_a_month_may_be_charged_as_it_was_approved(drafted: Warehouse) -> None:
    came_now(drafted, "late", "calls", 1, "2025-10-20")
    set_finalisation_policy(drafted, charge_as_approved=True, author="ops")
    approve_month(drafted, OCTOBER, author="bob")
    assert finalise_month(drafted, OCTOBER, "run") == Finalised(2)


def test_without_an_approval_a_month_is_not_charged_as_it_was(drafted: Warehouse) -> None:
    came_now(drafted, "late", "calls", 1, "2025-10-20")
    set_finalisation_policy(drafted, charge_as_approved=True, author="ops")
    assert finalise_month(drafted, OCTOBER, "run").skipped == {"outdated": ("ann",)}
