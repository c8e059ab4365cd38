"""sql/functions: applied when their text changes, in whatever order they need; what they say."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from billing_pipeline.postgres import sql_functions
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.roles import as_owner
from billing_pipeline.postgres.sql_files import sql_files
from billing_pipeline.postgres.sql_functions import FunctionError
from billing_pipeline.postgres.warehouse import Warehouse


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Files that are read after the project's own."""
    own = sql_files("functions")
    monkeypatch.setattr(sql_functions, "sql_files", lambda _: own + sorted(tmp_path.glob("*.sql")))
    return tmp_path


def test_a_function_is_replaced_when_its_file_changes_and_not_before(warehouse: Warehouse, folder: Path):
    file = folder / "two.sql"
    file.write_text("CREATE OR REPLACE FUNCTION billing.two() RETURNS integer LANGUAGE sql RETURN 1;")
    migrate(warehouse)
    assert warehouse.scalar("SELECT billing.two()") == 1
    made = warehouse.scalar("SELECT xmin::text FROM pg_proc WHERE proname = 'two'")
    migrate(warehouse)
    assert warehouse.scalar("SELECT xmin::text FROM pg_proc WHERE proname = 'two'") == made
    file.write_text(file.read_text().replace("RETURN 1", "RETURN 2"))
    migrate(warehouse)
    assert warehouse.scalar("SELECT billing.two()") == 2


def test_a_file_may_call_a_function_of_a_later_file(warehouse: Warehouse, folder: Path):
    (folder / "a.sql").write_text(
        "CREATE OR REPLACE FUNCTION billing.a() RETURNS integer LANGUAGE sql RETURN billing.b();"
    )
    (folder / "b.sql").write_text(
        "CREATE OR REPLACE FUNCTION billing.b() RETURNS integer LANGUAGE sql RETURN billing.c();"
    )
    (folder / "c.sql").write_text("CREATE OR REPLACE FUNCTION billing.c() RETURNS integer LANGUAGE sql RETURN 3;")
    migrate(warehouse)
    assert warehouse.scalar("SELECT billing.a()") == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("LANGUAGE sql RETURN billing.nowhere()", "function billing.nowhere() does not exist"),
        ("LANGUAGE sql AS 'SELECT nothing FROM billing.invoices'", 'column "nothing" does not exist'),
        ("LANGUAGE plpgsql AS 'BEGIN RETURN 1; EN'", "unexpected end of function definition"),
        ("LANGUAGE sql RETURN 'one'", "return type mismatch in function declared to return integer"),
    ],
)
def test_a_function_that_cannot_be_made_is_named_and_leaves_all_as_it_was(
    warehouse: Warehouse, folder: Path, body: str, said: str
):
    (folder / "broken.sql").write_text(f"CREATE OR REPLACE FUNCTION billing.broken() RETURNS integer {body};")
    (folder / "fine.sql").write_text("CREATE OR REPLACE FUNCTION billing.fine() RETURNS integer LANGUAGE sql RETURN 1;")
    with pytest.raises(FunctionError, match=r"^sql/functions/broken\.sql: ") as error:
        migrate(warehouse)
    assert said in str(error.value)
    assert warehouse.scalar("SELECT to_regproc('billing.fine')") is None


def test_a_constraint_keeps_the_function_that_is_replaced_under_it(warehouse: Warehouse, folder: Path):
    file = folder / "short.sql"
    file.write_text(
        "CREATE OR REPLACE FUNCTION billing.short(t text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN length(t) < 3;"
    )
    migrate(warehouse)
    with warehouse.transaction() as connection:
        as_owner(connection)
        connection.execute(text("CREATE TABLE billing.notes (note text CHECK (billing.short(note)))"))
        connection.execute(text("INSERT INTO billing.notes VALUES ('ab')"))
    file.write_text(file.read_text().replace("< 3", "< 5"))
    migrate(warehouse)
    with warehouse.transaction() as connection:
        as_owner(connection)
        connection.execute(text("INSERT INTO billing.notes VALUES ('abcd')"))


def test_log_action_writes_what_a_statement_changed(db: Connection):
    logged = db.execute(
        text(
            "WITH changed AS (SELECT * FROM (VALUES ('c1', 'c2')) AS v (one, two))"
            " SELECT billing.log_action(:actor, 'customer.test', 'customer', one, :reason,"
            " state_after => jsonb_build_object('two', two), run_id => :run_id) AS log_id FROM changed"
        ),
        {"actor": "ann", "reason": None, "run_id": "r1"},
    ).scalar_one()
    entry = db.execute(text("SELECT * FROM billing.automation_log WHERE log_id = :id"), {"id": logged}).mappings().one()
    assert {k: v for k, v in entry.items() if k not in ("log_id", "logged_at")} == {
        "actor": "ann",
        "run_id": "r1",
        "action": "customer.test",
        "object_type": "customer",
        "object_id": "c1",
        "reason": None,
        "state_before": None,
        "state_after": {"two": "c2"},
    }


@pytest.mark.parametrize(
    ("status", "final"), [("draft", False), ("void", False), ("open", True), ("paid", True), ("uncollectible", True)]
)
def test_an_invoice_is_final_when_it_was_issued_and_stands(db: Connection, status: str, final: bool):
    assert db.execute(text("SELECT billing.is_final(:status)"), {"status": status}).scalar() is final


def test_is_final_is_seen_through_by_the_planner(db: Connection):
    plan = db.execute(text("EXPLAIN SELECT FROM billing.invoices WHERE billing.is_final(status)")).scalars().all()
    assert "is_final" not in " ".join(plan)
    assert "<> ALL ('{draft,void}'" in " ".join(plan)
