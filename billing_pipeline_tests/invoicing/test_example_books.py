"""The price lists in docs/examples, each by a month that a bookkeeper can follow."""

from datetime import date
from pathlib import Path

import pytest

from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers import contracts
from billing_pipeline.invoicing.credits import grant_credits
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    DECEMBER,
    OCTOBER,
    add_customer,
    add_usage,
    bill,
    event_of_ann,
    load_book,
    pass_gates,
)

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ANN = Signature("ann", "as agreed")
Used = tuple[str, int | str, str, dict[str, str]]


def billed(warehouse: Warehouse, month: date, *used: Used) -> list[tuple[str, int]]:
    """The lines of the only invoice, once it is final and explained."""
    add_usage(
        warehouse,
        [
            event_of_ann(f"e{n}", meter, quantity, at, dimensions=dimensions)
            for n, (meter, quantity, at, dimensions) in enumerate(used)
        ],
    )
    bill(warehouse, month)
    pass_gates(warehouse, month)
    finalise_month(warehouse, month, "charged")
    [explained] = explain_all(warehouse)
    assert explained.problems == []
    return [(line.description, line.amount_minor) for line in explained.lines]


@pytest.fixture
def ann(warehouse: Warehouse, request: pytest.FixtureRequest) -> Warehouse:
    """Customer ann, priced by the book that the test's mark names."""
    load_book(warehouse, (EXAMPLES / f"{request.param}.yaml").read_text())
    return warehouse


def of(book: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("ann", [book], indirect=True)


@of("ai-vendor")
def test_tokens_by_model_and_direction_with_prepaid_credits(ann: Warehouse) -> None:
    add_customer(ann, "ann")
    grant_credits(ann, "ann", 300, ANN)
    assert billed(
        ann,
        OCTOBER,
        ("input_tokens", 12_000_000, "2025-10-05", {"model": "small"}),
        ("output_tokens", 3_000_000, "2025-10-05", {"model": "small"}),
    ) == [("small, input tokens", 150), ("small, input tokens", 24), ("small, output tokens", 180)]
    assert ann.rows("SELECT total_minor, credits_minor, due_minor FROM billing.invoices") == [
        {"total_minor": 354, "credits_minor": 300, "due_minor": 54}
    ]


@of("cloud-host")
def test_hours_storage_traffic_a_commitment_and_a_discount(ann: Warehouse) -> None:
    add_customer(ann, "ann", starts_on=None)
    contracts.start_contract(ann, "ann", date(2025, 1, 1), ANN, plan="committed")
    lines = billed(
        ann,
        OCTOBER,
        ("server_hours", 744, "2025-10-31", {"size": "large"}),
        ("server_hours", 100, "2025-10-31", {"size": "small"}),
        ("storage_gb", 200, "2025-10-01", {}),
        ("storage_gb", 400, "2025-10-16T12:00", {}),
        ("traffic_gb", 1_500, "2025-10-31", {}),
    )
    assert [amount for _, amount in lines] == [7142, 120, 2100, 500, 2138, -726]
    assert lines[-1][0] == "Discount hours: 10 % off 72.62 USD for server hours"
    assert sum(amount for _, amount in lines) == 11274


@of("seats")
def test_seats_that_are_joined_and_left_within_the_month(ann: Warehouse) -> None:
    add_customer(ann, "ann", currency="eur")
    assert billed(
        ann,
        OCTOBER,
        ("seats", 10, "2025-10-01", {}),
        ("seats", 12, "2025-10-11", {}),
        ("seats", 11, "2025-10-21T12:00", {}),
    ) == [("Seats", 13219)]


@of("telephone")
def test_minutes_by_destination_and_packages_of_messages(ann: Warehouse) -> None:
    add_customer(ann, "ann", currency="eur")
    assert billed(
        ann,
        OCTOBER,
        ("minutes", "310.5", "2025-10-03", {"destination": "landline"}),
        ("minutes", 120, "2025-10-03", {"destination": "mobile"}),
        ("minutes", "7.25", "2025-10-03", {"destination": "abroad"}),
        ("messages", 250, "2025-10-03", {}),
    ) == [
        ("Line", 990),
        ("Minutes, abroad", 254),
        ("Minutes, landline", 621),
        ("Minutes, mobile", 1080),
        ("Messages in packages of 100", 1200),
    ]


@of("yearly-contract")
def test_a_contract_of_a_year_is_billed_by_quarters(ann: Warehouse) -> None:
    add_customer(ann, "ann", starts_on=None, billing_cycle="3_months", cycle_anchor=date(2025, 1, 1))
    contracts.start_contract(ann, "ann", date(2025, 10, 1), ANN, plan="yearly")
    contracts.end_contract(ann, "ann", date(2026, 9, 30), ANN)
    lines = billed(ann, DECEMBER, ("calls", 120_000, "2025-11-15", {}))
    assert [amount for _, amount in lines] == [150000, 20000, 30000]
    assert lines[0][0] == "Platform"
