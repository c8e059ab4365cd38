"""One request's unit of work: the store, the time, and the events that its changes cause."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any

from .config import API_VERSION
from .indexing import Body
from .store import Store, dumps, new_id


@dataclass(slots=True)
class Work:
    """What an operation needs.

    ``now`` is Unix time by the emulator's clock, in whole seconds; ``base_url`` is where the caller reached the
    emulator, for the addresses of its pages.

    Everything done through it is one SQLite transaction with the request's answer.
    """

    store: Store
    now: int
    request_id: str | None = None
    idempotency_key: str | None = None
    base_url: str = ""
    _endpoints: list[tuple[str, list[str]]] | None = field(default=None)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection that holds the transaction."""
        return self.store.connection

    def create(self, body: Body, *events: str, private: Body | None = None) -> Body:
        """Insert an object and announce it."""
        text = self.store.insert(body, private=private)
        for event in events:
            self._emit(event, text)
        return body

    def update(self, before: Body, after: Body, *events: str) -> Body:
        """Write a changed object and announce it; ``*.updated`` events carry the old values."""
        text = self.store.replace(after)
        for event in events:
            previous = None
            if event.endswith(".updated"):
                previous = {name: value for name, value in before.items() if after.get(name) != value}
                if not previous:
                    continue
            self._emit(event, text, previous)
        return after

    def announce(self, event: str, body: Body) -> None:
        """An event about an object that has been stored already (or is gone now)."""
        self._emit(event, dumps(body))

    def _emit(self, event: str, object_json: str, previous: Body | None = None) -> None:
        event_id = new_id("evt")
        endpoints = self._receivers(event)
        was = f',"previous_attributes":{dumps(previous)}' if previous is not None else ""
        request = dumps({"id": self.request_id, "idempotency_key": self.idempotency_key})
        text = (
            f'{{"id":"{event_id}","object":"event","api_version":"{API_VERSION}","created":{self.now},'
            f'"data":{{"object":{object_json}{was}}},"livemode":false,"pending_webhooks":{len(endpoints)},'
            f'"request":{request},"type":"{event}"}}'
        )
        self.store.insert_raw(event_id, "event", self.now, event, text)
        for endpoint in endpoints:
            self.deliver(event_id, endpoint)

    def deliver(self, event_id: str, endpoint_id: str) -> None:
        """Have the event sent to an endpoint."""
        self.connection.execute(
            "INSERT INTO deliveries(event_id, endpoint_id, due_at, first_due_at) VALUES (?, ?, ?, ?)",
            (event_id, endpoint_id, self.now, self.now),
        )

    def _receivers(self, event: str) -> list[str]:
        if self._endpoints is None:
            found = self.store.find("webhook_endpoint", ("status = ?", "enabled"))
            self._endpoints = [(endpoint["id"], endpoint["enabled_events"]) for endpoint in found]
        return [endpoint for endpoint, wanted in self._endpoints if "*" in wanted or event in wanted]


def merged_metadata(old: dict[str, str] | None, change: dict[str, str] | str | None) -> dict[str, str]:
    """Stripe's metadata semantics: keys are merged, an empty value unsets its key, ``""`` unsets all."""
    if change is None:
        return dict(old or {})
    if isinstance(change, str):
        return {}
    return {key: value for key, value in {**(old or {}), **change}.items() if value != ""}


def text_or_none(params: Body, name: str) -> Any:
    """A text parameter; the empty string unsets it."""
    return params.get(name) or None
