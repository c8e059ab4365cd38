"""Usage comes in once, whole or not at all, whatever the format, and never behind a cut-off."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.imports.problems import ImportRefused
from billing_pipeline.postgres.locks import USAGE_LOCK
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.importing import UsageImport, import_usage
from billing_pipeline_tests.month_rows import execute

NAMES = ("event_id", "customer_id", "meter", "dimensions", "quantity", "occurred_at")
MIDNIGHT = "2026-10-01T00:00:00Z"


def event(
    event_id: str, quantity: str = "1", occurred_at: str = MIDNIGHT, dimensions: str = "", **over: str
) -> dict[str, str]:
    row = {"event_id": event_id, "customer_id": "0042", "meter": "users", "dimensions": dimensions}
    return row | {"quantity": quantity, "occurred_at": occurred_at} | over


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, NAMES)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "usage.csv"


def events(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.rows(
        "SELECT event_id, customer_id, meter, dimensions, quantity::text, occurred_at, series_id"
        " FROM billing.usage_events ORDER BY event_id"
    )


def imports(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.rows("SELECT * FROM billing.usage_imports ORDER BY import_id")


def refusal(warehouse: Warehouse, path: Path, **options: Any) -> str:
    with pytest.raises(ImportRefused) as caught:
        import_usage(warehouse, path, **options)
    return str(caught.value)


def at(text_: str) -> datetime:
    return datetime.fromisoformat(text_)


def test_an_import_adds_the_events_and_is_recorded(warehouse: Warehouse, file: Path) -> None:
    write(file, [event("a", "1.50", dimensions='{"tier": "basic"}'), event("b", "-2e-3", "2026-09-30T22:00:00-05:00")])
    done = import_usage(warehouse, file)
    assert (done.rows, done.new_events, done.known_events) == (2, 2, 0)
    assert [(e["event_id"], e["quantity"], e["dimensions"]) for e in events(warehouse)] == [
        ("a", "1.5", {"tier": "basic"}),
        ("b", "-0.002", {}),
    ]
    (row,) = imports(warehouse)
    assert row == {
        "import_id": row["import_id"],
        "source": "usage.csv",
        "content_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "received_at": done.received_at,
        "row_count": 2,
        "new_event_count": 2,
        "oldest_new_at": at(MIDNIGHT),
        "newest_at": at("2026-10-01T03:00:00Z"),
        "complete_through": at("2026-10-01T03:00:00Z"),
    }
    received = warehouse.rows("SELECT DISTINCT received_at FROM billing.usage_events")
    assert received == [{"received_at": done.received_at}]


def test_the_same_file_again_adds_nothing_but_is_recorded(warehouse: Warehouse, file: Path) -> None:
    write(file, [event(f"e{n}") for n in range(10)])
    import_usage(warehouse, file)
    before = warehouse.rows("SELECT * FROM billing.usage_events ORDER BY event_id")
    again = import_usage(warehouse, file, at("2026-11-01T00:00:00Z"))
    assert (again.new_events, again.known_events, again.oldest_new_at) == (0, 10, None)
    assert again.repeated_rows == 0, "stored before is not twice in the file"
    assert warehouse.rows("SELECT * FROM billing.usage_events ORDER BY event_id") == before
    assert [row["complete_through"] for row in imports(warehouse)] == [at(MIDNIGHT), at("2026-11-01T00:00:00Z")]


def test_a_longer_file_adds_only_what_is_new_and_says_how_far_back_it_reaches(warehouse: Warehouse, file: Path) -> None:
    import_usage(warehouse, write(file, [event("old", occurred_at="2026-01-01T00:00:00Z")]))
    rows = [
        event("old", occurred_at="2026-01-01T00:00:00Z"),
        event("x", occurred_at="2026-05-01T00:00:00Z"),
        event("y"),
    ]
    done = import_usage(warehouse, write(file, rows))
    assert (done.rows, done.new_events, done.known_events, done.repeated_rows) == (3, 2, 1, 0)
    assert (done.oldest_new_at, done.newest_at) == (at("2026-05-01T00:00:00Z"), at(MIDNIGHT))


def test_an_event_is_the_same_by_its_values_not_by_their_spelling(warehouse: Warehouse, file: Path) -> None:
    same = [
        event("a", "1", MIDNIGHT, '{"x": "1", "y": "2"}'),
        event("a", "1.0", "2026-10-01T02:00:00+02:00", '{"y":"2","x":"1"}'),
        event(
            "a",
            "1e0",
            "2026-09-30T19:00:00-05:00",
            '{"y":"2","x":"\\u0031"}',
        ),
    ]
    done = import_usage(warehouse, write(file, same))
    assert (done.rows, done.new_events, done.known_events, done.repeated_rows) == (3, 1, 2, 2)
    assert import_usage(warehouse, write(file, [same[2]])).new_events == 0


def test_an_id_with_a_second_content_in_the_file_names_the_line_and_what_differs(
    warehouse: Warehouse, file: Path
) -> None:
    rows = [
        event("z"),
        event("a"),
        event("b"),
        event("a", "2", "2026-10-02T00:00:00Z"),
        event("b", dimensions='{"t": "x"}'),
    ]
    assert refusal(warehouse, write(file, rows)).splitlines() == [
        (
            'usage.csv:5: event_id "a": expected the content of line 3: quantity 1, found 2;'
            " occurred_at 2026-10-01 00:00:00+00, found 2026-10-02 00:00:00+00"
        ),
        'usage.csv:6: event_id "b": expected the content of line 4: dimensions {}, found {"t": "x"}',
    ]
    assert events(warehouse) == imports(warehouse) == []


def test_an_id_with_a_second_content_in_the_database_is_refused_and_nothing_added(
    warehouse: Warehouse, file: Path
) -> None:
    import_usage(warehouse, write(file, [event("a")]))
    rows = [event("new"), event("a", customer_id="0043"), event("new", meter="seats")]
    assert refusal(warehouse, write(file, rows)).splitlines() == [
        'usage.csv:3: event_id "a": expected the content of the stored event: customer_id 0042, found 0043',
        'usage.csv:4: event_id "new": expected the content of line 2: meter users, found seats',
    ]
    assert [e["event_id"] for e in events(warehouse)] == ["a"]
    assert len(imports(warehouse)) == 1


def test_bad_rows_and_second_contents_are_told_together(warehouse: Warehouse, file: Path) -> None:
    import_usage(warehouse, write(file, [event("a")]))
    rows = [event("b"), event("a", "7"), event("c", "x"), event("b", "9"), *(event("a", "8") for _ in range(40))]
    said = refusal(warehouse, write(file, rows), batch_rows=2).splitlines()
    assert said[:3] == [
        'usage.csv:3: event_id "a": expected the content of the stored event: quantity 1, found 7',
        'usage.csv:4: quantity "x": expected a decimal number with at most 12 places',
        'usage.csv:5: event_id "b": expected the content of line 2: quantity 1, found 9',
    ]
    assert (len(said), said[-1]) == (21, "… and 23 more")
    assert len(events(warehouse)) == 1


def test_one_bad_row_at_the_end_keeps_the_whole_file_out(warehouse: Warehouse, file: Path) -> None:
    write(file, [*(event(f"e{n}") for n in range(200)), event("bad", "one")])
    assert refusal(warehouse, file, batch_rows=10).startswith('usage.csv:202: quantity "one"')
    assert events(warehouse) == imports(warehouse) == warehouse.rows("SELECT * FROM billing.usage_series") == []


def test_csv_json_lines_and_parquet_give_identical_tables(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = [
        event("00", "123456789012345678.123456789012", "2026-10-01T00:00:00.000001Z", '{"größe": "L, \\"x\\""}'),
        event("01", "-0.5", "2026-10-31T23:59:59.999999Z"),
        event("02", "10.500", "2026-10-15T12:00:00Z", '{"a": "1", "b": ""}'),
    ]
    write(tmp_path / "u.csv", rows)
    with (tmp_path / "u.jsonl").open("w") as out:
        for row in rows:
            dimensions = json.loads(row["dimensions"]) if row["dimensions"] else None
            line = json.dumps(row | {"dimensions": dimensions, "quantity": "@"}).replace('"@"', row["quantity"])
            out.write(line + "\n")
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in NAMES}
    columns["quantity"] = pa.array([Decimal(row["quantity"]) for row in rows], pa.decimal128(38, 12))
    columns["occurred_at"] = pa.array([at(row["occurred_at"]) for row in rows], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table(columns), tmp_path / "u.parquet")

    import_usage(warehouse, tmp_path / "u.csv")
    stored = events(warehouse)
    assert [row["quantity"] for row in stored] == ["123456789012345678.123456789012", "-0.5", "10.5"]
    with warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM billing.usage_events"))
    import_usage(warehouse, tmp_path / "u.jsonl")
    assert events(warehouse) == stored
    with warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM billing.usage_events"))
    import_usage(warehouse, tmp_path / "u.parquet")
    assert events(warehouse) == stored


def test_a_file_without_rows_may_declare_that_nothing_was_used(warehouse: Warehouse, file: Path) -> None:
    assert import_usage(warehouse, write(file, [])).complete_through is None
    assert import_usage(warehouse, file, at(MIDNIGHT)).complete_through == at(MIDNIGHT)
    assert [(r["row_count"], r["newest_at"]) for r in imports(warehouse)] == [(0, None)] * 2


def test_a_declared_instant_must_have_an_offset_and_have_passed(warehouse: Warehouse, file: Path) -> None:
    write(file, [event("a")])
    ahead = datetime.now(UTC) + timedelta(hours=1)
    said = refusal(warehouse, file, complete_through=ahead)
    assert said.startswith(f'usage.csv: complete_through "{ahead.isoformat()}": expected an instant that has passed')
    naive = ahead.replace(tzinfo=None)
    assert refusal(warehouse, file, complete_through=naive).endswith(": expected an instant with an offset")
    assert events(warehouse) == imports(warehouse) == []


def test_an_event_dated_ahead_does_not_vouch_for_usage_still_to_come(warehouse: Warehouse, file: Path) -> None:
    done = import_usage(warehouse, write(file, [event("a", occurred_at="2999-01-01T00:00:00Z")]))
    assert done.newest_at == at("2999-01-01T00:00:00Z")
    assert done.complete_through == done.received_at


@contextmanager
def in_thread(warehouse: Warehouse, file: Path) -> Iterator[dict[str, Any]]:
    """The import in another thread; leaving waits for its end, which is then in the dictionary."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["done"] = import_usage(warehouse, file)
        except Exception as error:  # noqa: BLE001 - handed to the test
            outcome["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield outcome
    finally:
        thread.join(timeout=20)
        assert not thread.is_alive()


def waiting_backend(warehouse: Warehouse) -> int:
    """The process that waits for the usage lock, once there is one."""
    query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = :key AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    pause = threading.Event()
    for _ in range(2000):
        pid = warehouse.scalar(query, key=USAGE_LOCK)
        if pid is not None:
            return int(pid)
        pause.wait(0.01)
    raise AssertionError("nobody waits for the usage lock")


def test_no_event_is_received_before_the_cut_off_of_a_snapshot_that_is_reading(
    warehouse: Warehouse, file: Path
) -> None:
    write(file, [event("a")])
    with warehouse.engine.connect() as snapshot, in_thread(warehouse, file) as outcome:
        snapshot.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": USAGE_LOCK})
        waiting_backend(warehouse)
        cut_off = snapshot.execute(text("SELECT clock_timestamp()")).scalar_one()
        assert snapshot.execute(text("SELECT count(*) FROM billing.usage_events")).scalar_one() == 0
        snapshot.rollback()
    assert outcome["done"].received_at > cut_off


def test_two_imports_of_one_file_at_the_same_time_add_each_event_once(warehouse: Warehouse, file: Path) -> None:
    write(file, [event(f"e{n}") for n in range(500)])
    with warehouse.engine.connect() as gate:
        gate.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": USAGE_LOCK})
        with in_thread(warehouse, file) as first, in_thread(warehouse, file) as second:
            waiting_backend(warehouse)
            gate.rollback()
    done: list[UsageImport] = [first["done"], second["done"]]
    assert sorted(d.new_events for d in done) == [0, 500]
    assert len(events(warehouse)) == 500
    assert sorted(row["new_event_count"] for row in imports(warehouse)) == [0, 500]


def test_two_files_that_contradict_each_other_at_the_same_time_are_not_both_loaded(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    one, other = write(tmp_path / "one.csv", [event("a", "1")]), write(tmp_path / "other.csv", [event("a", "2")])
    with warehouse.engine.connect() as gate:
        gate.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": USAGE_LOCK})
        with in_thread(warehouse, one) as first, in_thread(warehouse, other) as second:
            waiting_backend(warehouse)
            gate.rollback()
    (error,) = [outcome["error"] for outcome in (first, second) if "error" in outcome]
    assert "expected the content of the stored event: quantity" in str(error)
    assert len(events(warehouse)) == len(imports(warehouse)) == 1


def test_a_connection_that_breaks_leaves_nothing(warehouse: Warehouse, file: Path) -> None:
    write(file, [event(f"e{n}") for n in range(100)])
    with warehouse.engine.connect() as gate:
        gate.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": USAGE_LOCK})
        with in_thread(warehouse, file) as outcome:
            execute(warehouse, "SELECT pg_terminate_backend(:pid)", pid=waiting_backend(warehouse))
    assert isinstance(outcome["error"], DBAPIError)
    assert events(warehouse) == imports(warehouse) == []
    assert import_usage(warehouse, file).new_events == 100


_CHILD = """
import sys
from pathlib import Path
from sqlalchemy import make_url
from billing_pipeline.usage.importing import import_usage
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
engine = open_engine(make_url(sys.argv[1]))
import_usage(Warehouse(engine, engine.url), Path(sys.argv[2]))
"""


def test_a_process_killed_before_its_commit_leaves_nothing(warehouse: Warehouse, file: Path) -> None:
    write(file, [event(f"e{n}") for n in range(100)])
    url = warehouse.engine.url.render_as_string(hide_password=False)
    with warehouse.engine.connect() as gate:
        gate.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": USAGE_LOCK})
        with subprocess.Popen([sys.executable, "-c", _CHILD, url, str(file)]) as child:
            waiting_backend(warehouse)
            os.kill(child.pid, signal.SIGKILL)
            assert child.wait(timeout=20) == -signal.SIGKILL
    # the lock is free for this one only when the killed import has been rolled back
    assert import_usage(warehouse, file).new_events == 100
    assert len(imports(warehouse)) == 1


def test_a_pooled_connection_carries_nothing_over_from_a_refused_import(warehouse: Warehouse, file: Path) -> None:
    for attempt in range(3):
        write(file, [event("a"), event("b", "x" if attempt < 2 else "1")])
        if attempt < 2:
            refusal(warehouse, file)
    assert import_usage(warehouse, file).new_events == 2


def test_properties_are_kept_and_are_part_of_what_an_event_says(warehouse: Warehouse, tmp_path: Path) -> None:
    header = "event_id,customer_id,meter,quantity,occurred_at,properties\n"
    row = 'a,0042,active,1,{at},"{{""user"": ""{user}""}}"\n'
    path = tmp_path / "usage.csv"
    path.write_text(header + row.format(at=MIDNIGHT, user="u1") + f"b,0042,active,1,{MIDNIGHT},\n")
    assert import_usage(warehouse, path).new_events == 2
    assert import_usage(warehouse, path).known_events == 2
    kept = warehouse.rows("SELECT event_id, properties FROM billing.usage_events ORDER BY event_id")
    assert [tuple(row.values()) for row in kept] == [("a", {"user": "u1"}), ("b", None)]
    path.write_text(header + row.format(at=MIDNIGHT, user="u2"))
    with pytest.raises(ImportRefused) as refused:
        import_usage(warehouse, path)
    assert 'the stored event: properties {"user": "u1"}, found {"user": "u2"}' in str(refused.value)
    path.write_text(header + f'c,0042,active,1,{MIDNIGHT},"[1]"\n')
    with pytest.raises(ImportRefused, match=r"properties .*: expected a JSON object of texts"):
        import_usage(warehouse, path)
