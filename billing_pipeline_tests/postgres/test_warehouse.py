"""Bulk COPY without loss, and replacing rows without touching those that stay."""

import os
import subprocess
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DataError, DBAPIError

from billing_pipeline.postgres.arrow_copy import copy_arrow_in, copy_arrow_out
from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.engine import open_warehouse
from billing_pipeline.postgres.psql import psql_command
from billing_pipeline.postgres.replace_rows import replace_rows
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.sql_files import load_sql, sql_files
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import SettingsError, load_settings
from billing_pipeline_tests.month_rows import execute

FIELDS: list[tuple[str, pa.DataType]] = [
    ("name", pa.string()),
    ("quantity", pa.decimal256(30, 12)),
    ("day", pa.date32()),
    ("instant", pa.timestamp("us", "UTC")),
    ("number", pa.int64()),
]
SCHEMA = pa.schema(FIELDS)
TABLE = "CREATE TABLE public.things (name text, quantity numeric, day date, instant timestamptz, number bigint)"
NAMES = [
    "plain",
    "",
    "NULL",
    "null",
    'quote " comma, semicolon;',
    "two\nlines",
    "cr\r\nlf",
    "\\N",
    "\\.",
    "ünï ☃ 漢",
    " pad ",
]
ROWS = [
    {
        "name": name,
        "quantity": quantity,
        "day": date(2025, 10, 1),
        "instant": datetime(2025, 10, 1, 12, 30, 0, 1, tzinfo=UTC),
        "number": 2**63 - 1,
    }
    for name in NAMES
    for quantity in (Decimal("999999999999999999.999999999999"), Decimal("-0.000000000001"), Decimal(0))
]
NULLS: list[dict[str, object]] = [dict.fromkeys(SCHEMA.names)]


@pytest.fixture
def things(warehouse: Warehouse) -> Warehouse:
    execute(warehouse, f"{TABLE}; GRANT ALL ON public.things TO PUBLIC")
    return warehouse


def _copied(warehouse: Warehouse, block_bytes: int = 1 << 24) -> list[pa.Table]:
    with warehouse.engine.connect() as connection:
        query = "SELECT * FROM public.things WHERE number IS NULL OR number > :least"
        return list(copy_arrow_out(connection, query, {"least": 0}, SCHEMA, block_bytes))


@pytest.mark.parametrize("block_bytes", [1, 500, 1 << 24])
def test_what_goes_in_comes_out_in_every_digit_and_character(things, block_bytes):
    tables = [pa.Table.from_pylist(part, schema=SCHEMA) for part in (ROWS[:5], [], ROWS[5:], NULLS)]
    with things.transaction() as connection:
        assert copy_arrow_in(connection, "public.things", SCHEMA.names, tables) == len(ROWS) + 1
    blocks = _copied(things, block_bytes)
    assert [row for block in blocks for row in block.to_pylist()] == [*ROWS, *NULLS]
    assert all(block.schema == SCHEMA for block in blocks)
    assert (len(blocks) == 1) == (block_bytes == 1 << 24)


def test_no_rows_are_no_blocks(things):
    with things.transaction() as connection:
        assert copy_arrow_in(connection, "public.things", SCHEMA.names, []) == 0
    assert _copied(things) == []


def test_parameters_of_a_copied_query_are_values_whatever_they_hold(things):
    with things.engine.connect() as connection:
        query = "SELECT :name AS name"
        for name in ("it's", "%s", ":other", "\\", "'; DROP TABLE public.things; --"):
            [block] = copy_arrow_out(connection, query, {"name": name}, pa.schema([SCHEMA.field("name")]))
            assert block.to_pylist() == [{"name": name}]


def test_a_copy_that_is_closed_before_its_end_gives_its_connection_back(things):
    query = "SELECT n AS number FROM generate_series(1, 100000) AS n"
    with things.engine.connect() as connection:
        blocks = copy_arrow_out(connection, query, {}, pa.schema([SCHEMA.field("number")]), 1)
        next(blocks)
        blocks.close()
    assert things.scalar("SELECT 1") == 1
    assert things.engine.pool.checkedout() == 0


def test_a_row_that_does_not_fit_leaves_nothing_behind(things):
    rows = [{"number": 1}, {"number": 2}]
    table = pa.Table.from_pylist(rows, schema=pa.schema([SCHEMA.field("number")]))

    def write() -> None:
        with things.transaction() as connection:
            copy_arrow_in(connection, "public.things", ["number"], [table])
            copy_arrow_in(connection, "public.things", ["day"], [table.rename_columns(["day"])])

    with pytest.raises(psycopg.DataError, match="invalid input syntax for type date"):
        write()
    assert things.scalar("SELECT count(*) FROM public.things") == 0


def _replace(warehouse: Warehouse, built: str, scope: str = "t.kind = 'a'") -> tuple[int, int]:
    with warehouse.transaction() as connection:
        change = replace_rows(
            connection,
            "public.kept",
            f"SELECT * FROM ({built}) AS b (kind, key, value, run_id)",
            scope,
            {},
            key=("kind", "key"),
        )
    return change.inserted, change.deleted


@pytest.fixture
def kept(warehouse: Warehouse) -> Warehouse:
    """A table of which a part is replaced; `key` may be null."""
    with warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text("CREATE TABLE public.kept (kind text NOT NULL, key int, value numeric, run_id text)"))
        connection.execute(text("GRANT ALL ON public.kept TO PUBLIC"))
        connection.execute(text("CREATE UNIQUE INDEX ON public.kept (kind, key) NULLS NOT DISTINCT"))
        connection.execute(text("INSERT INTO public.kept VALUES ('b', 1, 1, 'other')"))
    return warehouse


FIRST = "VALUES ('a', 1, 10.0, 'first'), ('a', NULL, 20, 'first'), ('a', 3, NULL, 'first')"


def test_rows_that_are_as_wanted_are_not_written_again(kept):
    assert _replace(kept, FIRST) == (3, 0)
    where = kept.rows("SELECT ctid::text, xmin::text FROM public.kept ORDER BY 1")
    assert _replace(kept, FIRST.replace("first", "second").replace("10.0", "10.00")) == (0, 0)
    assert kept.rows("SELECT ctid::text, xmin::text FROM public.kept ORDER BY 1") == where


def test_changed_missing_and_new_rows_are_replaced_also_where_the_key_is_null(kept):
    _replace(kept, FIRST)
    wanted = "VALUES ('a', 1, 10, 'second'), ('a', NULL, 21, 'second'), ('a', 4, 40, 'second')"
    assert _replace(kept, wanted) == (2, 2)
    rows = kept.rows("SELECT key, value, run_id FROM public.kept WHERE kind = 'a' ORDER BY key")
    assert [tuple(row.values()) for row in rows] == [(1, 10, "first"), (4, 40, "second"), (None, 21, "second")]


def test_rows_out_of_scope_stay_also_when_nothing_is_wanted(kept):
    _replace(kept, FIRST)
    assert _replace(kept, "SELECT 'a', 1, 1, '' WHERE false") == (0, 3)
    assert kept.rows("SELECT kind, run_id FROM public.kept") == [{"kind": "b", "run_id": "other"}]


def test_a_transaction_is_all_or_nothing(kept):
    def fail() -> None:
        with kept.transaction() as connection:
            connection.execute(text("DELETE FROM public.kept"))
            connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(DataError, match="division by zero"):
        fail()
    assert kept.scalar("SELECT count(*) FROM public.kept") == 1


def test_numerics_arrive_as_decimals_and_instants_in_utc(kept):
    [row] = kept.rows("SELECT numeric '0.10' AS value, timestamptz '2025-10-01T02:00+02' AS at")
    assert (str(row["value"]), row["at"].isoformat()) == ("0.10", "2025-10-01T00:00:00+00:00")
    assert kept.scalar("SELECT 1 WHERE false") is None


ROOMS = ("usage", "invoicing", "charging", "events", "corrections", "comparison", "gates")


@pytest.mark.parametrize("path", [p for folder in ROOMS for p in sql_files(folder)], ids=lambda p: p.stem)
def test_every_sql_file_can_be_loaded_by_its_path(path):
    assert load_sql(f"{path.parent.name}/{path.name}").strip()


def test_a_database_that_does_not_answer_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("BILLING_DATABASE_URL", "postgresql://ann:secret@127.0.0.1:1/billing")
    with pytest.raises(SettingsError, match="the billing database does not answer") as caught:
        open_warehouse(load_settings())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_any_spelling_of_a_postgresql_url_is_taken(warehouse, monkeypatch, scheme):
    plain = warehouse.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("BILLING_DATABASE_URL", plain.replace("postgresql", scheme, 1))
    opened = open_warehouse(load_settings())
    assert opened.scalar("SELECT current_database()") == warehouse.engine.url.database
    assert opened.dagster_url.drivername == "postgresql+psycopg2"
    assert opened.dagster_url.database == "dagster"
    opened.engine.dispose()


@pytest.mark.parametrize(
    "spelled",
    [
        "ann:secret@db.example.com:5433/billing",
        "ann@db.example.com:5433/billing?password=secret",
        "ann:secret@db.example.com:5433/billing?password=secret",
    ],
)
def test_psql_gets_the_password_through_the_environment(warehouse, spelled):
    url = make_url(f"postgresql+psycopg://{spelled}")
    engine = warehouse.engine.execution_options()
    engine.url = url
    command, environment = psql_command(Warehouse(engine, url, warehouse.keep_alive))
    assert command[-1] == "postgresql://ann@db.example.com:5433/billing"
    assert "secret" not in " ".join(command)
    assert environment["PGPASSWORD"] == "secret"
    assert command[0].endswith("psql")


def test_a_password_that_psql_takes_on_its_command_line_only_is_refused(warehouse):
    url = make_url("postgresql+psycopg://ann@db.example.com/billing?sslpassword=secret")
    engine = warehouse.engine.execution_options()
    engine.url = url
    with pytest.raises(SettingsError, match="sslpassword") as caught:
        psql_command(Warehouse(engine, url, warehouse.keep_alive))
    assert "secret" not in str(caught.value)


def test_psql_finds_the_billing_tables_in_utc_and_keeps_the_options_of_the_url(warehouse):
    engine = warehouse.engine.execution_options()
    engine.url = warehouse.engine.url.update_query_dict({"options": "-c work_mem=7MB -c timezone=Asia/Tokyo"})
    command, environment = psql_command(Warehouse(engine, engine.url, warehouse.keep_alive))
    query = "SELECT current_setting('search_path'), current_setting('TimeZone'), current_setting('work_mem')"
    done = subprocess.run(
        [*command, "--csv", "--tuples-only", "--command", query],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == '"billing, public",UTC,7MB\n'
    assert done.stderr == ""


def test_a_look_up_is_one_row_or_none_and_outlives_its_connection(warehouse: Warehouse) -> None:
    statement = "SELECT CAST(%(number)s AS numeric) AS number, pg_backend_pid() AS pid WHERE %(number)s > 0"
    found = warehouse.look_up(statement, number=Decimal("1.50"))
    assert found is not None
    number, pid = found
    assert number == Decimal("1.50")
    assert warehouse.look_up(statement, number=Decimal(0)) is None
    with warehouse.transaction() as connection:  # which the look-up had, and left as it was
        assert not connection.connection.driver_connection.autocommit  # type: ignore[union-attr]
    url = libpq_url(warehouse.engine.url)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    again = warehouse.look_up(statement, number=Decimal(2))
    assert again is not None
    assert again[1] != pid
    with pytest.raises(DBAPIError, match="nowhere"):
        warehouse.look_up("SELECT * FROM nowhere")
