"""Webhook delivery: a background thread that sends what the outbox holds, signed as Stripe signs.

Deliveries are at least once, unordered across endpoints, and retried with growing pauses by the emulator's
clock. A process that dies in the middle leaves a lease behind that runs out; another one, or its successor,
goes on.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from . import clock, faults
from .config import EmulatorConfig
from .database import connect, transaction

BATCH = 64
IDLE_POLL_S = 0.5
RETRY_MAX_S = 6 * 3_600.0
_log = logging.getLogger(__name__)


def signature(payload: str, secret: str, timestamp: int) -> str:
    """The Stripe-Signature header (https://docs.stripe.com/webhooks): HMAC-SHA256 of ``t.payload``."""
    digest = hmac.new(secret.encode(), f"{timestamp}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One event for one endpoint."""

    delivery_id: int
    attempts: int
    first_due_at: float
    url: str
    secret: str
    payload: str
    copies: int
    clock_offset_s: float


class Courier:
    """Sends due deliveries from a thread of its own until `stop`."""

    def __init__(self, config: EmulatorConfig, path: Path) -> None:
        self._config = config
        self._path = path
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._random = random.Random(config.seed)  # noqa: S311 - a repeatable shuffle

    def start(self) -> None:
        """Begin to deliver."""
        self._thread = threading.Thread(target=self._run, name="stripe-emulator-webhooks", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be something new to send."""
        self._wake.set()

    def stop(self) -> None:
        """Finish the deliveries under way and end the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        connection = connect(self._path)
        try:
            with ThreadPoolExecutor(self._config.webhook_workers, "stripe-emulator-webhook") as pool:
                while not self._stopping:
                    self._wake.clear()
                    try:
                        parcels = self._claim(connection)
                        answers = list(pool.map(self._send, parcels))
                        self._settle(connection, list(zip(parcels, answers, strict=True)))
                    except sqlite3.OperationalError as error:
                        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                            raise
                        _log.warning("webhook outbox is busy, trying again", exc_info=True)
                        parcels = []
                    if not parcels:
                        self._wake.wait(IDLE_POLL_S)
        finally:
            connection.close()

    def _claim(self, connection: sqlite3.Connection) -> list[Parcel]:
        """Lease a batch; webhook faults that put a delivery off or scramble the order act here."""
        now, wall = clock.now(connection), time.time()
        offset_s = clock.offset_s(connection) if self._config.signature_clock == "emulator" else 0.0
        due = "d.state = 'pending' AND d.due_at <= ? AND d.leased_until <= ?"
        if connection.execute(f"SELECT 1 FROM deliveries d WHERE {due} LIMIT 1", (now, wall)).fetchone() is None:
            return []
        parcels: list[Parcel] = []
        with transaction(connection):
            rows = connection.execute(
                "SELECT d.delivery_id, d.attempts, d.first_due_at, e.body, w.body, w.private, e.tag FROM "
                "deliveries d JOIN objects e ON e.id = d.event_id JOIN objects w ON w.id = d.endpoint_id "
                f"WHERE {due} ORDER BY d.due_at, d.delivery_id LIMIT ?",
                (now, wall, BATCH),
            ).fetchall()
            for delivery_id, attempts, first_due_at, event, endpoint, private, type_ in rows:
                copies, delay_s = 1, 0.0
                for rule in faults.webhook_rules(connection, type_) if attempts == 0 else []:
                    copies += rule["copies"] if rule["kind"] == "webhook_duplicate" else 0
                    delay_s += rule["delay_s"] if rule["kind"] == "webhook_delay" else 0.0
                    delay_s += self._random.random() * rule["delay_s"] if rule["kind"] == "webhook_reorder" else 0.0
                if delay_s:
                    # attempts = -1: put off once already, so that the faults don't meet it again
                    connection.execute(
                        "UPDATE deliveries SET due_at = ?, attempts = -1 WHERE delivery_id = ?",
                        (now + delay_s, delivery_id),
                    )
                    continue
                lease = wall + self._config.webhook_timeout_s * 2 + 5
                connection.execute("UPDATE deliveries SET leased_until = ? WHERE delivery_id = ?", (lease, delivery_id))
                url, secret = json.loads(endpoint)["url"], json.loads(private)["secret"]
                parcels.append(
                    Parcel(delivery_id, max(attempts, 0), first_due_at, url, secret, event, copies, offset_s)
                )
        return parcels

    def _send(self, parcel: Parcel) -> str:
        """The HTTP status as text, or what went wrong; a duplicate counts as its first copy did."""
        answers = [self._post(parcel) for _ in range(parcel.copies)]
        return answers[0]

    def _post(self, parcel: Parcel) -> str:
        parts = urlsplit(parcel.url)
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=self._config.webhook_timeout_s
        )
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(parcel.payload, parcel.secret, int(time.time() + parcel.clock_offset_s)),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            target = parts.path or "/"
            connection.request(
                "POST", f"{target}?{parts.query}" if parts.query else target, parcel.payload.encode(), headers
            )
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    def _settle(self, connection: sqlite3.Connection, results: list[tuple[Parcel, str]]) -> None:
        if not results:
            return
        now = clock.now(connection)
        with transaction(connection):
            for parcel, answer in results:
                attempts = parcel.attempts + 1
                if answer.startswith("2"):
                    state, due_at = "delivered", now
                else:
                    pause = min(RETRY_MAX_S, self._config.webhook_retry_base_s * 2 ** min(parcel.attempts, 30))
                    due_at = now + pause
                    over = due_at > parcel.first_due_at + self._config.webhook_retry_for_s
                    state = "failed" if over else "pending"
                connection.execute(
                    "UPDATE deliveries SET state = ?, attempts = ?, due_at = ?, leased_until = 0,"
                    " last_answer = ? WHERE delivery_id = ?",
                    (state, attempts, due_at, answer, parcel.delivery_id),
                )
