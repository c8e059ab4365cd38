"""What the bench of pages fills in past the triggers is whole: indexed, counted, noted, and every foreign key fits."""

from collections.abc import Iterator

import pytest

from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.bench.pages import seed
from billing_pipeline.sandbox.bench.steps import connect
from billing_pipeline.sandbox.own_server import own_server

CUSTOMERS = 200


@pytest.fixture(scope="module")
def filled() -> Iterator[Warehouse]:
    """On a server of its own, whose settings the filling changes."""
    with own_server() as server:
        warehouse = connect(embedded_postgres.database_url(server, "pages").render_as_string(hide_password=False))
        migrate(warehouse, roles=True)
        seed(warehouse, CUSTOMERS)
        yield warehouse
        warehouse.engine.dispose()


def test_every_index_is_whole_and_the_server_is_as_careful_as_before(filled: Warehouse) -> None:
    assert filled.rows("SELECT indexrelid::regclass FROM pg_index WHERE NOT (indisready AND indisvalid)") == []
    assert filled.scalar("SELECT current_setting('fsync')") == "on"
    assert filled.scalar("SELECT current_setting('autovacuum')") == "on"


def test_every_foreign_key_fits(filled: Warehouse) -> None:
    """Each is made again, which looks at all rows."""
    keys = filled.rows(
        "SELECT conrelid::regclass::text AS of, conname AS name, pg_get_constraintdef(oid) AS says FROM pg_constraint"
        " WHERE contype = 'f' AND connamespace = 'billing'::regnamespace"
    )
    assert len(keys) > 50
    with filled.transaction() as connection:
        as_login(connection)
        for key in keys:
            connection.exec_driver_sql(f'ALTER TABLE {key["of"]} ADD CONSTRAINT "again_{key["name"]}" {key["says"]}')
        connection.rollback()


def test_what_months_come_to_is_counted_and_customers_and_contracts_are_in_the_audit_chain(filled: Warehouse) -> None:
    assert filled.rows(
        "SELECT billing_month, subject, state, reason_code, currency, row_count, total FROM billing.month_figures"
        " EXCEPT SELECT * FROM billing.counted_months()"
    ) == []  # fmt: skip
    assert (
        filled.scalar("SELECT sum(row_count) FROM billing.month_figures WHERE subject = 'customers'") == 2 * CUSTOMERS
    )
    found = filled.rows(
        "SELECT table_name, count(*) AS rows FROM billing.rows_without_entry()"
        " WHERE table_name IN ('customers', 'contract_terms') GROUP BY table_name"
    )
    assert found == []
