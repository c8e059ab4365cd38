"""What a reader of an event's object works with, and what it gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, text

from billing_pipeline.events.cipher import EventCipher, EventCipherError
from billing_pipeline.events.rules.endings import ClaimedEvent
from billing_pipeline.events.rules.received_event import read_json
from billing_pipeline.events.rules.stripe_events import Verdict
from billing_pipeline.postgres.connections import each_by_itself
from billing_pipeline.stripe_gateway.rules.objects import StripeObjects

Write: TypeAlias = Callable[[Connection], Verdict]
"""What is to be done in the transaction, and what it leads to."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader works with: Stripe, our database, and all claimed events of the object."""

    api: StripeObjects
    connection: Connection
    cipher: Callable[[], EventCipher]
    run_id: str
    object_id: str
    events: Sequence[ClaimedEvent]

    def look_up(self, statement: str, **parameters: Any) -> Any:
        """First row of a query, with no transaction left open; None without rows."""
        with each_by_itself(self.connection):
            return self.connection.execute(text(statement), parameters).first()

    def bodies(self) -> list[dict[str, Any]]:
        """What the events said when they were sent."""
        ids = [event.event_id for event in self.events]
        with each_by_itself(self.connection):
            rows = self.connection.execute(text(_BODIES), {"ids": ids}).all()
        return [read_json(self.cipher().decrypt(row.event_id, row.key_id, bytes(row.body))) for row in rows]

    def bodies_at_hand(self) -> list[dict[str, Any]] | None:
        """`bodies`, where they may save a question; None: a key is not here, so Stripe has to be asked."""
        try:
            return self.bodies()
        except EventCipherError:
            return None

    def said(self) -> list[tuple[str, dict[str, Any]]] | None:
        """Type and object of each event, as it was sent; None as for `bodies_at_hand`."""
        bodies = self.bodies_at_hand()
        return None if bodies is None else [(str(body.get("type")), _object(body)) for body in bodies]


def _object(body: dict[str, Any]) -> dict[str, Any]:
    thing = (body.get("data") or {}).get("object")
    return thing if isinstance(thing, dict) else {}


_BODIES = (
    "SELECT event_id, key_id, body FROM billing.stripe_events WHERE event_id = ANY(:ids) ORDER BY created, event_id"
)
