"""Usage over HTTP: each event by itself, as JSON or NDJSON, gzip or not, within limits that no body gets around."""

import gzip
import json
from collections.abc import Sequence
from typing import Any

import pytest

from billing_pipeline.web.api import event_bodies
from billing_pipeline_tests.postgres.invariants.rows import customer
from billing_pipeline_tests.web.api.serving import Client, Serving, told

PATH = "/usage/events"
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def platform(api: Serving) -> Client:
    with api.warehouse.transaction() as connection:
        customer(connection, "a")
    return api.as_("platform")


def event(event_id: str, **other: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "customer_id": "a",
        "meter": "calls",
        "quantity": "1.50",
        "occurred_at": "2026-10-20T12:00:00Z",
        **other,
    }


def statuses(document: Any) -> Sequence[tuple[str | None, str]]:
    return [(each["event_id"], each["status"]) for each in document["events"]]


def test_each_event_is_stored_known_or_refused_by_itself(api: Serving, platform: Client) -> None:
    events = [event("e1"), event("e2", quantity="x"), event("e3"), {"event_id": "e4"}]
    first = platform.post(PATH, {"events": events})
    assert statuses(first) == [("e1", "stored"), (None, "refused"), ("e3", "stored"), (None, "refused")]
    assert (first["stored"], first["known"], first["refused"]) == (2, 0, 2)
    wrong = first["events"][1]
    assert (wrong["field"], wrong["value"]) == ("quantity", "x")
    assert statuses(platform.post(PATH, {"events": events[:1]})) == [("e1", "known")]
    assert api.warehouse.scalar("SELECT count(*) FROM billing.usage_events") == 2
    assert api.warehouse.scalar("SELECT source FROM billing.usage_imports LIMIT 1").startswith("api:")


@pytest.mark.parametrize("zipped", [False, True])
def test_lines_and_zipped_bodies_say_the_same(platform: Client, *, zipped: bool) -> None:
    lines = "\n".join(json.dumps(event(f"e{number}")) for number in range(3)) + "\n\n"
    for body, kind in ((lines, NDJSON), (json.dumps({"events": [event("e3")]}), JSON), ('{"events": []}', JSON)):
        content = gzip.compress(body.encode()) if zipped else body.encode()
        headers = {**kind, **({"Content-Encoding": "gzip"} if zipped else {})}
        answer = platform.send("POST", PATH, content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["stored"] == body.count("event_id")


def test_a_number_loses_no_digit(api: Serving, platform: Client) -> None:
    text = json.dumps({"events": [event("e1")]}).replace('"1.50"', "12345678901234567.123456789012")
    assert platform.send("POST", PATH, content=text, headers=JSON).json()["stored"] == 1
    stored = api.warehouse.scalar("SELECT quantity::text FROM billing.usage_events")
    assert stored == "12345678901234567.123456789012"


@pytest.mark.parametrize(
    "body",
    ["", "{}", "[]", '{"events": 1}', '{"events": [1', '{"events": []} x', '{"events": [], "a": 1}', '{"events": [,]}',
     '{"events": [{}],}', '{"events": [{} {}]}', '{"other": []}', "[" * 100_000, '{"events": [' + "[" * 100_000, "\xff"],
)  # fmt: skip
def test_what_is_no_list_of_events_is_refused(platform: Client, body: str) -> None:
    told(platform.send("POST", PATH, content=body.encode("latin-1"), headers=JSON), 422, "invalid")


def test_no_body_becomes_larger_than_the_limit(platform: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_bodies, "BODY_MAX_BYTES", 2 * 1024 * 1024)
    zipped = {**NDJSON, "Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * (event_bodies.BODY_MAX_BYTES + 1))
    told(platform.send("POST", PATH, content=bomb, headers=zipped), 413, "too-large")
    plain = b" " * (event_bodies.BODY_MAX_BYTES + 1)
    told(platform.send("POST", PATH, content=plain, headers=NDJSON), 413, "too-large")
    above_others = b" " * (1024 * 1024 + 1)
    assert platform.send("POST", PATH, content=above_others, headers=NDJSON).status_code == 200
    for headers in (JSON, {**JSON, "Idempotency-Key": "k"}):
        for content in (above_others, iter([above_others])):  # its length is said, or is not
            told(platform.send("POST", "/usage/corrections", content=content, headers=headers), 413, "too-large")
    for content in (b"no gzip", gzip.compress(b"{}")[:-4], gzip.compress(b"{}") * 2):
        told(platform.send("POST", PATH, content=content, headers=zipped), 422, "invalid")
    told(
        platform.send("POST", PATH, content=b"x", headers={**JSON, "Content-Encoding": "br"}),
        415,
        "unsupported-media-type",
    )
    too_many = b"{}\n" * 10_001
    assert (
        "at most 10,000"
        in told(platform.send("POST", PATH, content=too_many, headers=NDJSON), 413, "too-large")["detail"]
    )


def test_the_reach_of_the_feed_is_declared(api: Serving, platform: Client) -> None:
    platform.post(f"{PATH}?complete_through=2026-10-20T00:00:00Z", {"events": [event("e1")]})
    assert f"{api.warehouse.scalar('SELECT max(complete_through) FROM billing.usage_imports'):%d}" == "20"
    told(platform.send("POST", f"{PATH}?complete_through=soon", json={"events": []}), 422, "invalid")
    ahead = platform.post(f"{PATH}?complete_through=2999-01-01T00:00:00Z", {"events": []}, status=409)
    assert "expected" in ahead["detail"]


def test_an_event_is_replaced_taken_away_or_added(api: Serving, platform: Client) -> None:
    platform.post(PATH, {"events": [event("e1"), event("e2")]})
    path = "/usage/corrections"
    platform.post(path, {"event_id": "e1", "quantity": "2", "reason": "late"})
    again = platform.post(path, {"event_id": "e1", "quantity": "3", "reason": "late"}, status=409)
    assert "already corrected by" in again["detail"]
    assert platform.post(path, {"event_id": "e2", "remove": True, "reason": "test"})["event_id"].startswith("removal:")
    missing = {"customer": "a", "meter": "calls", "quantity": "1", "occurred_at": "2026-10-01T00:00:00Z", "reason": "r"}
    platform.post(path, missing)
    for wrong in ({"remove": True}, {"event_id": "e1"}, {**missing, "occurred_at": "2026-10-01T00:00:00"}):
        platform.post(path, {"reason": "r", **wrong}, status=422)
    author = api.warehouse.scalar("SELECT actor FROM billing.automation_log WHERE action = 'usage.remove'")
    assert author == "platform-owner"
