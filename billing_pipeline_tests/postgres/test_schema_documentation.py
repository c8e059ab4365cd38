"""Everything in the schemas says what it is: a reader of the catalogue needs no other page."""

import pytest
from sqlalchemy import Connection, text

_UNDOCUMENTED = """
SELECT 'schema ' || nspname AS object, obj_description(oid, 'pg_namespace') AS comment
FROM pg_namespace WHERE nspname = ANY(:schemas)
UNION ALL
SELECT CASE relkind WHEN 'r' THEN 'table ' ELSE 'view ' END || oid::regclass, obj_description(oid, 'pg_class')
FROM pg_class WHERE relnamespace::regnamespace::text = ANY(:schemas) AND relkind IN ('r', 'v', 'm', 'p', 'f')
UNION ALL
SELECT 'column ' || attrelid::regclass || '.' || attname, col_description(attrelid, attnum)
FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
WHERE c.relnamespace::regnamespace::text = ANY(:schemas) AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
    AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'function ' || oid::regprocedure, obj_description(oid, 'pg_proc')
FROM pg_proc WHERE pronamespace::regnamespace::text = ANY(:schemas)
UNION ALL
SELECT 'type ' || oid::regtype, obj_description(oid, 'pg_type')
FROM pg_type WHERE typnamespace::regnamespace::text = ANY(:schemas) AND typtype IN ('d', 'e', 'r')
ORDER BY 1
"""
SCHEMAS = ["billing", "billing_migrations"]


def undocumented(db: Connection) -> list[str]:
    found = db.execute(text(_UNDOCUMENTED), {"schemas": SCHEMAS})
    return [str(row.object) for row in found if not (row.comment or "").strip()]


def test_every_schema_table_view_column_function_and_domain_has_a_comment(db: Connection):
    assert undocumented(db) == []


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE billing.extra ()", "table billing.extra"),
        ("CREATE VIEW billing.extra AS SELECT", "view billing.extra"),
        ("ALTER TABLE billing.invoices ADD COLUMN extra text", "column billing.invoices.extra"),
        ("CREATE FUNCTION billing.extra() RETURNS integer LANGUAGE sql RETURN 1", "function billing.extra()"),
        ("CREATE DOMAIN billing.extra AS text", "type billing.extra"),
        ("COMMENT ON SCHEMA billing IS ' '", "schema billing"),
    ],
)
def test_what_lacks_its_comment_is_named(db: Connection, statement: str, named: str):
    db.execute(text(statement))
    assert undocumented(db) == [named]
