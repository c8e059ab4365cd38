"""Usage events as corrections read and write them: the event that is corrected, and the one that says so."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, text

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.imports.problems import shown
from billing_pipeline.imports.rules import fields as import_rules
from billing_pipeline.usage.importing import UsageImport, record_import

_NAMESPACE = UUID("5e1b52c1-6f0e-5b0f-9d55-0f1f5a8d7c11")

_KNOWN = """
SELECT c.customer_id, array(
    SELECT m.meter::text FROM billing.meters AS m WHERE m.currency = c.currency ORDER BY 1
) AS meters
FROM billing.customers AS c WHERE c.customer_id = :customer_id
"""
_EVENT = """
SELECT
    e.event_id, e.customer_id, e.meter, e.dimensions, e.quantity, e.occurred_at, c.event_id AS corrected_by,
    coalesce(e.properties, '{}') AS properties,
    coalesce(c.removes, FALSE) AS removed, coalesce(o.removes, FALSE) AS removes
FROM billing.usage_events AS e
LEFT JOIN billing.usage_corrections AS c ON c.corrects_event_id = e.event_id
LEFT JOIN billing.usage_corrections AS o ON o.event_id = e.event_id
WHERE e.event_id = :event_id
"""

_INSERT_EVENT = """
INSERT INTO billing.usage_events
(event_id, customer_id, meter, dimensions, quantity, occurred_at, received_at, properties)
VALUES (
    :event_id, :customer_id, :meter, CAST(:dimensions AS jsonb), trim_scale(CAST(:quantity AS numeric)), :occurred_at,
    :received_at, nullif(CAST(:properties AS jsonb), '{}')
)
ON CONFLICT (event_id) DO NOTHING
"""

_INSERT_CORRECTION = """
INSERT INTO billing.usage_corrections (event_id, corrects_event_id, author, reason, removes)
VALUES (:event_id, :corrects_event_id, :author, :reason, :removes)
"""

_LOG = """
SELECT billing.log_action(
    :author, :action, 'usage_event', coalesce(CAST(:corrects_event_id AS text), n.event_id), :reason,
    (SELECT to_jsonb(b) - 'series_id' FROM billing.usage_events AS b WHERE b.event_id = :corrects_event_id),
    CASE WHEN NOT :removes THEN to_jsonb(n) - 'series_id' END
)
FROM billing.usage_events AS n
WHERE n.event_id = :event_id
"""


class CorrectionRefused(UserError):  # noqa: N818 - the CLI and its users read it as a verdict
    """A correction that was not made; the text is one line that says why."""


@dataclass(frozen=True)
class UsageEvent:
    """What a correction keeps of an event; `dimensions` and `properties` as JSON."""

    customer_id: str
    meter: str
    dimensions: str
    occurred_at: datetime
    properties: str


def checked(name: str, value: str, rule: Any) -> str:
    """The value, as a rule of imports takes it.

    Raises:
        CorrectionRefused: the rule does not take it.
    """
    try:
        right: str = rule(value)
    except ValueError as error:
        raise CorrectionRefused(f'{name} "{shown(value)}": expected {error}') from None
    return right


def require_known(connection: Connection, event: UsageEvent) -> None:
    """A feed may run ahead of the customers' file; a person who adds an event means somebody who is there.

    Raises:
        CorrectionRefused: there is no such customer, or its price book has no such meter.
    """
    found = connection.execute(text(_KNOWN), {"customer_id": event.customer_id}).one_or_none()
    if found is None:
        raise CorrectionRefused(f'customer_id "{event.customer_id}": expected a customer, found none')
    if found.meters and event.meter not in found.meters:
        raise CorrectionRefused(f'meter "{event.meter}": expected one of {", ".join(found.meters)}')


def stored_event(connection: Connection, event_id: str) -> tuple[UsageEvent, Decimal]:
    """An event that counts, and its quantity.

    Raises:
        CorrectionRefused: it is unknown, or was corrected or removed already.
    """
    checked("event_id", event_id, import_rules.key)
    found = connection.execute(text(_EVENT), {"event_id": event_id}).mappings().one_or_none()
    if found is None:
        raise CorrectionRefused(f'event_id "{event_id}": expected a stored event, found none')
    if found["removed"]:
        raise CorrectionRefused(
            f'event_id "{event_id}": removed already by {found["corrected_by"]}; add it again as a missing event'
        )
    if found["removes"]:
        raise CorrectionRefused(f'event_id "{event_id}": it removes another event and counts nothing itself')
    if found["corrected_by"] is not None:
        raise CorrectionRefused(
            f'event_id "{event_id}": already corrected by {found["corrected_by"]}, correct that one instead'
        )
    dimensions, properties = json.dumps(found["dimensions"]), json.dumps(found["properties"])
    event = UsageEvent(found["customer_id"], found["meter"], dimensions, found["occurred_at"], properties)
    return event, found["quantity"]


def write_correction(
    connection: Connection,
    event: UsageEvent,
    quantity: str,
    corrects: str | None,
    signature: Signature,
    *,
    removes: bool = False,
) -> str:
    """Write it with its entry in the log, in place of the event `corrects`, or of none; its id.

    Raises:
        CorrectionRefused: it was written already.
    """
    content = [
        corrects,
        event.customer_id,
        event.meter,
        event.dimensions,
        format(Decimal(quantity).normalize(), "f"),
        event.occurred_at.timestamp(),
        signature.reason,
        *(["removes"] if removes else []),
        *([event.properties] if corrects is None and event.properties != "{}" else []),
    ]
    event_id = f"{'removal' if removes else 'correction'}:{uuid5(_NAMESPACE, json.dumps(content))}"
    received_at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    row = {
        "event_id": event_id,
        "customer_id": event.customer_id,
        "meter": event.meter,
        "dimensions": event.dimensions,
        "quantity": quantity,
        "occurred_at": event.occurred_at,
        "received_at": received_at,
        "properties": event.properties,
    }
    if connection.execute(text(_INSERT_EVENT), row).rowcount == 0:
        raise CorrectionRefused(f"this event was added already, as {event_id}; a second one needs a reason of its own")
    known = {
        "event_id": event_id,
        "corrects_event_id": corrects,
        "author": signature.author,
        "reason": signature.reason,
        "removes": removes,
        "action": "usage.remove" if removes else "usage.correct",
    }
    connection.execute(text(_INSERT_CORRECTION), known)
    connection.execute(text(_LOG), known)
    at = event.occurred_at
    record_import(connection, "correction", UsageImport(1, 1, 0, at, at, None, received_at, ""))
    return event_id
