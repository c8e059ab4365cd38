"""The receiver over real HTTP: stored and committed before 200, refused without a trace, never 5xx on bad input."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.writer import EventWriter
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.web.receiver import app as module
from billing_pipeline.web.receiver import bodies, server
from billing_pipeline_tests.web.receiver.receiving import (
    KEYS,
    SECRET,
    Receiving,
    database_url,
    event_body,
    receiving,
    signature,
)

LIMIT = 1024 * 1024


@pytest.mark.parametrize("path", ["/stripe/webhook", "/api/billing/stripe-webhook"])
def test_a_signed_event_is_stored_as_received_before_the_200(receiver: Receiving, path: str):
    body = b"  " + event_body()
    assert receiver.send(body, path=path) == (200, "stored")
    assert receiver.stored() == ["evt_1"]
    assert receiver.body_of("evt_1") == body


def test_the_same_event_again_is_200_and_one_row(receiver: Receiving):
    assert receiver.send(event_body()) == (200, "stored")
    assert receiver.send(event_body()) == (200, "known")
    assert receiver.stored() == ["evt_1"]


def test_the_same_id_with_other_content_is_200_and_an_alarm(receiver: Receiving, caplog: pytest.LogCaptureFixture):
    receiver.send(event_body())
    assert receiver.send(event_body(type="invoice.voided")) == (200, "conflict")
    assert receiver.warehouse.scalar("SELECT count(*) FROM billing.stripe_event_conflicts") == 1
    alarms = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert alarms == ["event evt_1 came again with other content: kept aside in stripe_event_conflicts"]


def test_duplicates_at_once_are_one_row(receiver: Receiving):
    answers: list[tuple[int, str]] = []
    threads = [threading.Thread(target=lambda: answers.append(receiver.send(event_body()))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [(200, "known")] * 15 + [(200, "stored")]
    assert receiver.stored() == ["evt_1"]


def test_during_a_rotation_all_three_secrets_work_and_others_do_not(warehouse):
    secrets = tuple(f"whsec_{letter * 32}" for letter in "abc")
    with receiving(warehouse, secrets=secrets) as running:
        for number, secret in enumerate(secrets):
            body = event_body(f"evt_{number}")
            assert running.send(body, signature(body, secret))[0] == 200
        assert running.send(event_body("evt_9"))[0] == 400
        assert running.stored() == ["evt_0", "evt_1", "evt_2"]


BODY = event_body()
BAD: dict[str, tuple[bytes, Callable[[], str | bytes], str]] = {
    "another secret": (BODY, lambda: signature(BODY, "whsec_" + "x" * 32), "no signature matches"),
    "another body": (BODY + b" ", lambda: signature(BODY), "no signature matches"),
    "too old": (BODY, lambda: signature(BODY, at=time.time() - 400), "timestamp too far from now"),
    "from the future": (BODY, lambda: signature(BODY, at=time.time() + 400), "timestamp too far from now"),
    "malformed": (BODY, lambda: "v1=1", "malformed Stripe-Signature header"),
    "empty": (BODY, lambda: "", "malformed Stripe-Signature header"),
    "no ASCII": (BODY, lambda: signature(BODY).encode() + b",\xff\xe9=1", "malformed Stripe-Signature header"),
    "signed, but no UTF-8": (b'{"id": "\xff"}', lambda: signature(b'{"id": "\xff"}'), "body is not UTF-8"),
    "signed, but UTF-16": ("{}ä".encode("utf-16"), lambda: signature("{}ä".encode("utf-16")), "body is not UTF-8"),
}  # fmt: skip
"""Body, how it is signed (when it is sent: a signature is too old after minutes), and what the answer says."""


@pytest.mark.parametrize(("body", "signed", "because"), BAD.values(), ids=BAD.keys())
def test_what_is_refused_is_400_leaves_no_row_and_nothing_of_it_in_the_log(
    receiver: Receiving, caplog: pytest.LogCaptureFixture, body: bytes, signed: Callable[[], str | bytes], because: str
):
    header = signed()
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    assert receiver.send(body, header) == (400, because)
    assert receiver.stored() == []
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert f"400 {because}" in logged
    for piece in ("evt_1", "invoice", "acct_9", SECRET, str(header)[-20:]):
        assert not piece or piece not in logged


@pytest.mark.parametrize("count", [0, 2])
def test_no_signature_header_and_two_of_them_are_400(receiver: Receiving, count: int):
    with socket.create_connection(("127.0.0.1", receiver.port)) as raw:
        header = f"Stripe-Signature: {signature(b'{}')}\r\n" * count
        raw.sendall(f"POST /stripe/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{header}\r\n{{}}".encode())
        assert raw.recv(9_999).startswith(b"HTTP/1.1 400")
    assert receiver.stored() == []


ODD = {
    "NUL": rb'{"id": "evt_1", "type": "a\u0000b", "livemode": false}',
    "NaN": b'{"id": "evt_1", "created": NaN, "livemode": false}',
    "lone surrogate": rb'{"id": "evt_1", "type": "\ud800", "livemode": false}',
    "doubled keys": b'{"id": "evt_0", "id": "evt_1", "livemode": true, "livemode": false}',
    "a raw NUL": b'{"id": "evt_1"}\x00',
    "no JSON": b"paid",
    "nothing": b"",
    "nested": b"[" * 500_000,
    "a number without end": b'{"id": "evt_1", "created": ' + b"9" * 900_000 + b"}",
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_whatever_is_validly_signed_is_stored_as_it_is(receiver: Receiving, body: bytes):
    assert receiver.send(body) == (200, "stored")
    (event_id,) = receiver.stored()
    assert receiver.body_of(event_id) == body
    assert receiver.warehouse.scalar("SELECT state FROM billing.stripe_event_work") == "pending"


def test_live_events_and_those_of_a_named_account_are_taken_where_configured(warehouse):
    with receiving(warehouse, livemode=True, account="acct_1") as running:
        assert running.send(event_body("evt_1", livemode=True, account="acct_1"))[0] == 200
        assert running.send(event_body("evt_2", livemode=True))[0] == 200
        assert running.send(event_body("evt_3", livemode=False)) == (200, "not ours")
        assert running.send(event_body("evt_4", livemode=True, account="acct_2")) == (200, "not ours")
        assert running.stored() == ["evt_1", "evt_2"]


FOREIGN = {
    "of live mode": event_body(livemode=True),
    "of another account": event_body(account="acct_9"),
    "of a connected account, in the thin form that names no object": json.dumps(
        {
            "id": "evt_1",
            "object": "v2.core.event",
            "type": "v1.billing.meter.error",
            "livemode": True,
            "context": "acct_9",
        }
    ).encode(),
}


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_not_ours_is_acknowledged_its_envelope_kept_once_and_never_processed(
    receiver: Receiving, caplog: pytest.LogCaptureFixture, body: bytes
):
    caplog.set_level(logging.DEBUG)
    assert [receiver.send(body) for _ in range(2)] == [(200, "not ours")] * 2
    assert receiver.stored() == []
    assert receiver.warehouse.scalar("SELECT count(*) FROM billing.stripe_event_work") == 0
    [kept] = receiver.warehouse.rows("SELECT * FROM billing.stripe_foreign_events")
    said = json.loads(body)
    assert (kept["event_id"], kept["type"], kept["livemode"], kept["account"]) == (
        "evt_1", said["type"], said["livemode"], said.get("account"),
    )  # fmt: skip
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "not ours" in logged
    for piece in ("evt_1", "acct_9"):
        assert piece not in logged


def test_what_is_not_ours_and_not_signed_is_refused_like_anything_else(receiver: Receiving):
    assert receiver.send(event_body(livemode=True), signature(b"{}"))[0] == 400
    assert receiver.warehouse.scalar("SELECT count(*) FROM billing.stripe_foreign_events") == 0


def test_a_body_of_1_mib_is_stored_and_a_larger_one_is_413(receiver: Receiving):
    frame = len(event_body(padding=""))
    largest = event_body(padding="x" * (LIMIT - frame))
    assert len(largest) == LIMIT
    assert receiver.send(largest) == (200, "stored")
    assert receiver.send(largest + b" ") == (413, "body above 1 MiB")
    assert receiver.send(b"x" * 5 * LIMIT)[0] == 413


def test_a_body_that_does_not_say_its_size_is_413_once_it_is_too_large(receiver: Receiving):
    with socket.create_connection(("127.0.0.1", receiver.port)) as raw:
        header = b"Stripe-Signature: " + signature(b"{}").encode() + b"\r\n"
        raw.sendall(b"POST /stripe/webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + header + b"\r\n")
        for _ in range(17):
            raw.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        assert raw.recv(9_999).startswith(b"HTTP/1.1 413")


def test_large_bodies_at_once_are_held_within_a_limit_and_small_ones_go_on(receiver: Receiving, monkeypatch):
    monkeypatch.setattr(bodies, "LARGE_TOTAL_BYTES", 300_000)
    large = event_body(padding="x" * 250_000)
    head = f"POST /stripe/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {len(large)}\r\nStripe-Signature: {signature(large)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", receiver.port)) as slow:
        slow.sendall(head.encode() + large[:-1])
        time.sleep(0.3)
        assert receiver.send(event_body("evt_2", padding="x" * 250_000)) == (503, "too many large bodies at once")
        assert receiver.send(event_body("evt_3"))[0] == 200
        slow.sendall(large[-1:])
        assert slow.recv(9_999).startswith(b"HTTP/1.1 200")
    assert receiver.send(event_body("evt_4", padding="x" * 250_000))[0] == 200


def test_a_slow_body_is_408_and_closed(receiver: Receiving, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_WITHIN_S", 0.3)
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as raw:
        raw.sendall(
            f"POST /stripe/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nStripe-Signature: {signature(b'{}')}\r\n\r\n{{".encode()
        )
        assert raw.recv(9_999).startswith(b"HTTP/1.1 408")
        assert raw.recv(9_999) == b""
    assert receiver.stored() == []


@pytest.mark.parametrize(
    "sent", [b"", b"POST /stripe/webhook HTTP/1.1\r\nHost: x\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET"]
)
def test_a_connection_whose_head_does_not_come_is_closed(receiver: Receiving, monkeypatch, sent: bytes):
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.3)
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as raw:
        raw.sendall(sent)
        while raw.recv(9_999):
            pass


def test_a_refused_body_without_end_is_not_read_for_ever(receiver: Receiving, monkeypatch):
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.5)
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as raw:
        raw.sendall(b"POST /stripe/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert raw.recv(9_999).startswith(b"HTTP/1.1 400")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            trickle(raw)


def trickle(connection: socket.socket) -> None:
    for _ in range(100):
        connection.sendall(b"x")
        time.sleep(0.05)


def test_a_head_without_end_is_400(receiver: Receiving):
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as raw:
        raw.sendall(b"POST /stripe/webhook HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 200_000)
        assert raw.recv(9_999).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("pieces", [1, 40])
@pytest.mark.parametrize("size", [60_000, 100_000])
@pytest.mark.parametrize("lines", [1, 50])
def test_a_head_above_64_kib_is_400_however_it_arrives(receiver: Receiving, pieces: int, size: int, lines: int):
    headers = b"".join(b"X-%d: %s\r\n" % (n, b"a" * (size // lines)) for n in range(lines))
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n"
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as raw, suppress(ConnectionError):
        step = -(-len(request) // pieces)
        for start in range(0, len(request), step):
            raw.sendall(request[start : start + step])
        assert raw.recv(9_999).startswith(b"HTTP/1.1 200" if size < 65_536 else b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/stripe/webhook", 405), ("POST", "/", 404), ("POST", "/stripe/webhook/", 404), ("PUT", "/healthz", 405)],
)
def test_other_paths_and_methods_are_4xx(receiver: Receiving, method: str, path: str, status: int):
    with socket.create_connection(("127.0.0.1", receiver.port)) as raw:
        raw.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        assert raw.recv(9_999).startswith(f"HTTP/1.1 {status}".encode())


@pytest.mark.parametrize(
    "request_line",
    [b"POST /stripe/w\xff HTTP/1.1", b"POST /%ff%00 HTTP/1.1", b"\x16\x03\x01", b"POST * HTTP/1.1", b"PRI * HTTP/2.0"],
)
def test_what_is_hardly_http_is_4xx(receiver: Receiving, request_line: bytes):
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as raw:
        raw.sendall(request_line + b"\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert raw.recv(9_999).startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))


def test_it_is_healthy_and_ready(receiver: Receiving):
    assert (receiver.get("/healthz"), receiver.get("/readyz")) == (200, 200)


def test_a_flood_of_readyz_asks_the_database_once_a_second(receiver: Receiving, monkeypatch):
    asked: list[EventWriter] = []
    check = EventWriter.check

    def counted(writer: EventWriter) -> None:
        asked.append(writer)
        check(writer)

    monkeypatch.setattr(EventWriter, "check", counted)
    started = time.monotonic()
    with ThreadPoolExecutor(16) as flood:
        assert set(flood.map(receiver.get, ["/readyz"] * 200)) == {200}
    assert 1 <= len(asked) <= 2 + time.monotonic() - started
    time.sleep(module.CHECKED_FOR_S)
    before = len(asked)
    assert receiver.get("/readyz") == 200
    assert len(asked) == before + 1


def test_without_its_database_it_is_healthy_not_ready_and_asks_stripe_to_send_again(warehouse):
    with receiving(warehouse, "postgresql://nobody@127.0.0.1:1/nothing") as running:
        assert (running.get("/healthz"), running.get("/readyz")) == (200, 503)
        assert running.send(event_body()) == (503, "try again")
        assert running.send(event_body(), "t=1,v1=2")[0] == 400


def test_before_the_migration_it_is_not_ready_and_asks_stripe_to_send_again(warehouse):
    url = warehouse.engine.url.set(database="postgres").render_as_string(hide_password=False)
    with receiving(warehouse, url) as running:
        assert running.get("/readyz") == 503
        assert running.send(event_body())[0] == 503


def test_it_goes_on_by_itself_when_its_connections_were_cut(receiver: Receiving):
    receiver.send(event_body("evt_1"))
    with receiver.warehouse.transaction() as connection:
        as_login(connection)
        cut = connection.exec_driver_sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'billing receiver' AND datname = current_database()"
        ).scalar_one()
    assert cut >= 1
    assert receiver.send(event_body("evt_2")) == (200, "stored")


def test_it_stores_as_the_role_that_can_do_nothing_else_and_durably(receiver: Receiving):
    receiver.send(event_body())
    writer = EventWriter(database_url(receiver.warehouse), EventCipher(KEYS))
    asked = "SELECT current_user, current_setting('synchronous_commit')"
    assert writer._attempt(lambda db: db.execute(asked).fetchone()) == ("billing_receiver", "on")
    writer.close()


def test_more_events_than_can_wait_are_sent_again_later(receiver: Receiving, monkeypatch):
    monkeypatch.setattr(module, "QUEUED_MAX", 0)
    assert receiver.send(event_body()) == (503, "too many events at once")
    monkeypatch.setattr(module, "QUEUED_MAX", 1)
    assert receiver.send(event_body()) == (200, "stored")


def test_a_database_that_does_not_answer_in_time_is_503_and_the_event_may_be_stored_all_the_same(
    receiver: Receiving, monkeypatch
):
    monkeypatch.setattr(module, "STORED_WITHIN_S", 0.3)
    with receiver.warehouse.transaction() as holding:
        as_login(holding)
        holding.exec_driver_sql("LOCK TABLE billing.stripe_events")
        assert receiver.send(event_body()) == (503, "the database did not answer in time")
    monkeypatch.setattr(module, "STORED_WITHIN_S", 9.0)
    assert receiver.send(event_body())[0] == 200
    assert receiver.stored() == ["evt_1"]


def test_json_that_says_nothing_about_livemode_is_kept(receiver: Receiving):
    body = json.dumps({"id": "evt_1"}).encode()
    assert receiver.send(body)[0] == 200
    assert receiver.warehouse.rows("SELECT type, livemode FROM billing.stripe_events") == [
        {"type": "unreadable", "livemode": None}
    ]
