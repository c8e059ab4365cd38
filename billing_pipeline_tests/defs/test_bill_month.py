"""The job `bill_month`, run for real: a Dagster instance in Postgres, every asset and gate in process."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pytest

from billing_pipeline.defs.run_records import runs_of_month
from billing_pipeline.defs.running import RunOutcome, run_month
from billing_pipeline.gates.rules.gates import GATES
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import (
    BOOK,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    change_book,
    checksums,
    complete_feed,
    execute,
)

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@pytest.fixture
def platform(warehouse: Warehouse) -> Warehouse:
    """Two months of two customers; one event is of no known meter."""
    add_customer(warehouse, "ann", name="Ann | Sons")
    add_customer(warehouse, "bob", timezone="Asia/Tokyo")
    for month, calls in ((9, 100), (10, 150)):
        for customer in ("ann", "bob"):
            add_usage(warehouse, [Event(f"{customer}{month}", customer, "calls", calls, at(f"2025-{month:02}-15"))])
    add_usage(warehouse, [Event("odd", "ann", "minutes", 7, at("2025-10-15"))])
    return warehouse


def _bill(instance: dg.DagsterInstance, month: date, through: str = "invoices", **options: Any) -> RunOutcome:
    [outcome] = run_month(instance, month, through, **options)
    return outcome


def _check(instance: dg.DagsterInstance, asset: str, name: str) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey(asset), name)
    [record] = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    assert record.event.dagster_event is not None
    return record.event.dagster_event.asset_check_evaluation_data


def test_a_month_is_billed_with_what_operators_want_to_see(instance, platform):
    complete_feed(platform, at("2025-12-01"))
    assert _bill(instance, SEPTEMBER).success
    outcome = _bill(instance, OCTOBER)
    assert (outcome.success, outcome.failed_checks, outcome.errors) == (True, [], [])
    counts = {asset: metadata["dagster/row_count"] for asset, metadata in outcome.metadata.items()}
    assert counts == {
        "prices": 6,
        "billing_periods": 2,
        "usage_snapshots": 4,
        "invoice_line_items": 4,
        "invoices": 2,
        "billing_drift": 0,
    }

    snapshots, lines, invoices = (outcome.metadata[a] for a in ("usage_snapshots", "invoice_line_items", "invoices"))
    assert (snapshots["quarantined_events"], snapshots["carried_forward_rows"]) == (1, 0)
    assert "| unknown meter | 1 | 1 | ann |" in snapshots["quarantine"]
    # 10.00 and 140 calls at 0.015
    assert lines["total_usd"] == invoices["total_usd"] == "24.20 USD"
    assert "| ann | Ann \\| Sons | 12.10 USD | 2 | draft |" in invoices["largest_invoices"]
    assert "| ann | 11.35 USD | 12.10 USD | 0.75 USD |" in invoices["biggest_changes"]

    imported = platform.scalar("SELECT sum(new_event_count) FROM billing.usage_imports")
    for table, rows in (("customers", 2), ("usage_events", imported)):
        [observation] = instance.fetch_observations(dg.AssetKey(table), limit=1).records
        seen = observation.asset_observation.metadata
        assert seen["dagster/row_count"].value == rows
        assert all(column.description for column in seen["dagster/column_schema"].value.columns)

    for asset, metadata in outcome.metadata.items():
        columns = {column.name: column for column in metadata["dagster/column_schema"].columns}
        assert all(column.description for column in columns.values()), asset
        assert metadata["dagster/table_name"] == f"billing.{asset}"
    schema = {column.name: column for column in lines["dagster/column_schema"].columns}
    assert schema["amount_minor"].description.startswith("exact_amount rounded once")
    assert not schema["amount_minor"].constraints.nullable
    lineage = invoices["dagster/column_lineage"].deps_by_column["total_minor"]
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage] == [
        ("invoice_line_items", "amount_minor")
    ]

    assert platform.rows("SELECT * FROM billing.unmet_gates('2025-10-01')") == []
    for gate in GATES:
        assert _check(instance, gate.asset, gate.name).passed, gate.name
        assert _check(instance, gate.asset, gate.name).partition == "2025-10-01"
    runs = platform.rows("SELECT DISTINCT run_id FROM billing.gate_results WHERE billing_month = '2025-10-01'")
    assert runs == [{"run_id": outcome.run_id}]

    before = checksums(platform)
    again = _bill(instance, OCTOBER)
    assert again.success
    assert checksums(platform) == before
    assert again.metadata["invoice_line_items"]["inserted"] == 0


def test_a_failing_gate_stops_the_run_shows_its_rows_and_leaves_the_drafts(instance, platform):
    complete_feed(platform, at("2025-12-01"))
    assert _bill(instance, OCTOBER).success
    drafts = checksums(platform, ["invoices", "invoice_line_items"])
    execute(platform, "ALTER TABLE billing.usage_imports DISABLE TRIGGER USER; DELETE FROM billing.usage_imports")
    add_usage(platform, [Event("late", "ann", "calls", 1, at("2025-10-20"))])
    complete_feed(platform, at("2025-10-31T15:00"))

    outcome = _bill(instance, OCTOBER)
    assert not outcome.success
    [line] = outcome.failed_checks
    assert line.startswith(
        "usage_snapshots.feed_reaches_period_end: 1 row(s) fail. Expected: The usage feed is complete"
    )
    assert "customer_id=ann" in line
    [failed, _] = runs_of_month(platform.dagster_url.render_as_string(hide_password=False), OCTOBER)
    assert (failed.state, failed.reasons) == ("failed", [line])
    assert set(outcome.metadata) == {"prices", "billing_periods", "usage_snapshots"}, "nothing downstream ran"
    after = checksums(platform, ["invoices", "invoice_line_items"])
    assert {**after, "versions": drafts["versions"]} == drafts
    assert platform.scalar("SELECT count(*) FROM billing.invoices WHERE status = 'draft'") == 2

    evaluation = _check(instance, "usage_snapshots", "feed_reaches_period_end")
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    metadata = evaluation.metadata
    assert metadata["failing_rows"].value == 1
    sample_table = metadata["sample"]
    assert isinstance(sample_table, dg.TableMetadataValue)
    [sample] = sample_table.records
    assert sample.data["customer_id"] == "ann"
    assert str(metadata["expected"].value).startswith("The usage feed is complete to the end of every period")
    what_to_do = str(metadata["what_to_do"].value)
    assert "billing run --month 2025-10 --through invoices --carry-forward" in what_to_do
    assert metadata["page"].value == "docs/gates.md#feed_reaches_period_end"

    released = _bill(instance, OCTOBER, carry_forward=True)
    assert (released.success, released.failed_checks) == (True, [])


def test_a_price_book_with_a_mistake_fails_with_its_path_and_loads_nothing(instance, platform, environment):
    environment.write_text(BOOK.replace('"160"', '"a lot"'), encoding="utf-8")
    outcome = _bill(instance, OCTOBER)
    assert not outcome.success
    [error] = outcome.errors
    assert error.startswith("price book: book.yaml: versions[0].prices[2].rates.large.production")
    assert platform.scalar("SELECT count(*) FROM billing.prices") == 0


def test_the_first_run_loads_the_variables_book_and_says_so_and_the_next_uses_what_is_loaded(
    instance, platform, environment, monkeypatch
):
    complete_feed(platform, at("2025-12-01"))
    note = _bill(instance, SEPTEMBER, "usage_snapshots").metadata["prices"]["note"]
    assert note == "no price book was loaded yet: loaded book.yaml, BILLING_PRICE_BOOK: test (usd)"
    [load] = platform.rows("SELECT file_name, author, content FROM billing.price_loads")
    assert load == {"file_name": "book.yaml", "author": "billing-pipeline", "content": BOOK}
    monkeypatch.delenv("BILLING_PRICE_BOOK")
    environment.unlink()
    loaded = ("prices", "price_books", "meters")
    before = checksums(platform, loaded)
    again = _bill(instance, OCTOBER)
    assert again.success
    assert "note" not in again.metadata["prices"]
    after = checksums(platform, loaded)
    assert [after[table] for table in loaded] == [before[table] for table in loaded]


def test_a_variable_that_names_another_book_than_the_loaded_one_fails_before_anything_is_written(
    instance, platform, environment
):
    complete_feed(platform, at("2025-12-01"))
    assert _bill(instance, SEPTEMBER).success
    before = checksums(platform)
    environment.write_text(BOOK.replace('amount: "10"', 'amount: "11"'), encoding="utf-8")
    outcome = _bill(instance, OCTOBER)
    assert not outcome.success
    [error] = outcome.errors
    assert error.startswith("BILLING_PRICE_BOOK names book.yaml, which is another book than the one that is loaded")
    assert "changed usd 2025 price of fee" in error
    assert checksums(platform) == before
    environment.write_text("# the same prices\n" + BOOK, encoding="utf-8")
    assert _bill(instance, OCTOBER).success, "a comment is no other price"


def test_a_missing_price_book_is_named(instance, environment):
    environment.unlink()
    [error] = _bill(instance, OCTOBER).errors
    assert "book.yaml" in error
    assert "No such file" in error


def test_a_run_of_the_running_month_leaves_out_what_has_not_ended_and_says_so(instance, platform):
    month = datetime.now(UTC).date().replace(day=1)
    outcome = _bill(instance, month, "usage_snapshots")
    assert outcome.success
    assert outcome.metadata["billing_periods"]["still_running"] == 2
    assert any("2 period(s) have not ended" in line for line in outcome.warnings)
    assert platform.scalar("SELECT count(*) FROM billing.billing_periods") == 0


def test_a_hundredfold_price_in_the_same_version_fails_and_names_the_price(instance, platform, environment):
    complete_feed(platform, at("2025-12-01"))
    assert _bill(instance, SEPTEMBER).success
    change_book(platform, environment, BOOK.replace('amount: "10"', 'amount: "1000"'))
    outcome = _bill(instance, OCTOBER)
    assert not outcome.success
    [line] = outcome.failed_checks
    assert line.startswith("invoice_line_items.price_within_bounds: 1 row(s) fail")
    assert "meter=fee" in line
    assert "unit_amount_before=10" in line
    change_book(platform, environment, BOOK)
    assert _bill(instance, OCTOBER).success, "and the mistake is mended by mending the file"


def test_a_hundredfold_price_that_is_wanted_fails_at_the_cap_and_warns_of_the_revenue(
    instance, platform, environment, monkeypatch
):
    monkeypatch.setenv("BILLING_PRICE_FACTOR_MAX", "100")
    monkeypatch.setenv("BILLING_INVOICE_CAP_MINOR", "50000")
    complete_feed(platform, at("2025-12-01"))
    assert _bill(instance, SEPTEMBER).success
    change_book(platform, environment, BOOK.replace('amount: "10"', 'amount: "1000"'))
    outcome = _bill(instance, OCTOBER)
    assert not outcome.success
    [line] = outcome.failed_checks
    assert "invoices.no_invoice_over_cap: 2 row(s) fail" in line
    assert any("revenue_within_bounds" in warning for warning in outcome.warnings)
