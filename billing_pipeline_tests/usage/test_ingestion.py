"""Events that come one call after another: what is acknowledged is there, once, whatever happens to the process."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.importing import import_usage
from billing_pipeline.usage.ingestion import EVENTS_MAX, ingest_usage


def event(event_id: str, **more: object) -> bytes:
    row = {
        "event_id": event_id,
        "customer_id": "ann",
        "meter": "calls",
        "quantity": 1,
        "occurred_at": "2025-10-01T00:00Z",
    }
    return json.dumps({**row, **more}).encode()


def count(warehouse: Warehouse) -> int:
    return int(warehouse.scalar("SELECT count(*) FROM billing.usage_events"))


def test_a_bad_event_refuses_itself_alone_and_says_why(warehouse: Warehouse):
    ingest_usage(warehouse, [event("old")])
    done = ingest_usage(
        warehouse,
        [
            event("a"),
            event("old"),
            event("old", quantity=2),
            event("b", quantity="many"),
            b"{no json",
            event("a"),
            event("a", meter="peak"),
            event("c", colour="red"),
            event("d", occurred_at="yesterday"),
            b"[]",
            event("e", quantity=1.50, dimensions={"tier": "basic"}),
        ],
    )
    assert [each.place for each in done.events] == list(range(11))
    assert [each.status for each in done.events] == [
        "stored", "known", "refused", "refused", "refused", "known", "refused", "refused", "refused", "refused", "stored",
    ]  # fmt: skip
    fields = [each.field for each in done.events if each.status == "refused"]
    assert fields == ["event_id", "quantity", None, "event_id", "name", "occurred_at", None]
    assert done.events[2].expected == "the content of the stored event: quantity 1, found 2"
    assert done.events[6].expected == "the content of line 1: meter calls, found peak"
    assert count(warehouse) == 3
    [new] = warehouse.rows("SELECT * FROM billing.usage_imports ORDER BY import_id DESC LIMIT 1")
    assert (new["new_event_count"], new["complete_through"], new["source"]) == (2, None, "api")


def test_every_rule_is_that_of_a_file(warehouse: Warehouse, tmp_path: Path):
    rows = [
        event("a", quantity="1e400"),
        event("b", customer_id=" "),
        event("c", dimensions={"a": 1}),
        event("d", occurred_at="2025-10-01T00:00:00"),
        event("e", meter=7),
        b'{"event_id": "f", "event_id": "g"}',
        b"\xff",
        event("h", customer_id=None),
    ]
    answers = ingest_usage(warehouse, rows).events
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"\n".join(rows))
    with pytest.raises(UserError) as refused:
        import_usage(warehouse, path)
    lines = str(refused.value).splitlines()
    assert len(lines) == len(answers) == len(rows)
    for line, answer in zip(lines, answers, strict=True):
        assert answer.status == "refused"
        assert line.endswith(f"expected {answer.expected}")


def test_the_reach_of_the_feed_moves_only_as_declared(warehouse: Warehouse):
    through = datetime.now(UTC) - timedelta(hours=1)
    ingest_usage(warehouse, [event("a")])
    ingest_usage(warehouse, [], through)
    rows = warehouse.rows("SELECT complete_through FROM billing.usage_imports ORDER BY import_id")
    assert [row["complete_through"] for row in rows] == [None, through]
    with pytest.raises(UserError, match="an instant that has passed"):
        ingest_usage(warehouse, [event("b")], datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(UserError, match="at most 10,000"):
        ingest_usage(warehouse, [event("b")] * (EVENTS_MAX + 1))
    assert count(warehouse) == 1


def test_of_callers_that_send_the_same_events_at_once_one_stores_each(warehouse: Warehouse):
    rows = [event(f"e{n}") for n in range(500)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: ingest_usage(warehouse, rows), range(8)))
    stored = [each.event_id for one in done for each in one.events if each.status == "stored"]
    assert len(stored) == len(set(stored)) == count(warehouse) == 500
    assert len({row["received_at"] for row in warehouse.rows("SELECT received_at FROM billing.usage_events")}) == 1


_SENDER = """
import itertools, json, sys
from sqlalchemy import make_url
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.ingestion import ingest_usage
url = make_url(sys.argv[1])
warehouse = Warehouse(open_engine(url), url)
for number in itertools.count():
    ids = [f"{number}-{n}" for n in range(50)]
    row = {"customer_id": "ann", "meter": "calls", "quantity": 1, "occurred_at": "2025-10-01T00:00Z"}
    ingest_usage(warehouse, [json.dumps({**row, "event_id": each}).encode() for each in ids])
    print(number, flush=True)
"""


def test_after_kill_9_every_acknowledged_event_is_there_and_none_twice(warehouse: Warehouse):
    url = warehouse.engine.url.render_as_string(hide_password=False)
    sender = subprocess.Popen([sys.executable, "-c", _SENDER, url], stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    acknowledged = [int(sender.stdout.readline()) for _ in range(20)]
    os.kill(sender.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in sender.stdout.read().split()]
    sender.wait()
    sender.stdout.close()
    ids = {row["event_id"] for row in warehouse.rows("SELECT event_id FROM billing.usage_events")}
    sent = {f"{number}-{n}" for number in acknowledged for n in range(50)}
    assert sent <= ids
    assert len(ids) % 50 == 0, "a call is stored whole or not at all"
    again = ingest_usage(warehouse, [event(each) for each in sorted(sent)])
    assert {each.status for each in again.events} == {"known"}
    assert count(warehouse) == len(ids)
