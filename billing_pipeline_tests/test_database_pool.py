"""A database that was used comes back as its template is, or not at all."""

import pytest
from sqlalchemy import text

from billing_pipeline.postgres.roles import as_login
from billing_pipeline_tests.databases import copied_database, digests, filled_database
from billing_pipeline_tests.month_rows import add_customer, load_book


def _fill(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")


@pytest.fixture
def filled(postgres_server, template_database):
    with filled_database(postgres_server, template_database, _fill) as name:
        yield name


def _oid(warehouse):
    return warehouse.scalar("SELECT oid FROM pg_database WHERE datname = current_database()")


def test_rows_that_a_test_wrote_changed_or_deleted_and_its_sequences_are_those_of_the_template(postgres_server, filled):
    with copied_database(postgres_server, filled) as used:
        fresh, first = digests(used), _oid(used)
        add_customer(used, "bob")
        with used.transaction() as connection:
            as_login(connection)
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text("DELETE FROM billing.prices"))
            connection.execute(text("UPDATE billing.customers SET name = 'x'"))
            connection.execute(text("SELECT nextval('billing.automation_log_log_id_seq')"))
        assert digests(used) != fresh
        old_name = used.engine.url.database
    with copied_database(postgres_server, filled) as again:
        assert digests(again) == fresh
        assert _oid(again) == first
        assert again.engine.url.database != old_name  # who was left behind finds nothing


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE billing.invoices DISABLE TRIGGER USER",
        "ALTER TABLE billing.invoices ADD COLUMN more integer",
        "CREATE TABLE billing.more (n integer)",
        "DROP VIEW billing.monthly_revenue CASCADE",
        "CREATE OR REPLACE FUNCTION billing.is_final(status text) RETURNS boolean LANGUAGE sql RETURN true",
    ],
)
def test_a_database_of_another_shape_is_not_used_again(postgres_server, template_database, change):
    with copied_database(postgres_server, template_database) as used:
        first = _oid(used)
        with used.transaction() as connection:
            as_login(connection)
            connection.execute(text(change))
    with copied_database(postgres_server, template_database) as other:
        assert _oid(other) != first


def test_who_is_still_connected_is_cut_off(postgres_server, template_database):
    with copied_database(postgres_server, template_database) as used:
        left = used.engine.raw_connection()
        left.cursor().execute("CREATE TEMPORARY TABLE mine (n integer)")
        used.engine.dispose()
    with copied_database(postgres_server, template_database) as again:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert again.scalar(others + " AND backend_type = 'client backend'") == 0
    left.invalidate()


def test_a_server_that_was_started_anew_is_asked_again(postgres_server, template_database):
    with copied_database(postgres_server, template_database) as used:
        first = digests(used)
        with used.engine.connect() as connection:
            as_login(connection)
            ended = connection.execute(
                text("SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = 'postgres'")
            ).scalar()
        assert ended
    with copied_database(postgres_server, template_database) as again:
        assert digests(again) == first
