"""A correcting usage event, with its author and reason; the event that it corrects stays as it was.

Here: one correction at a time, by a person. Not here: imports, and what a correction does to a month.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from billing_pipeline.core.signature import Signature
from billing_pipeline.imports.rules import fields as import_rules
from billing_pipeline.postgres.locks import lock_usage
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage.correction_store import (
    CorrectionRefused,
    UsageEvent,
    checked,
    require_known,
    stored_event,
    write_correction,
)


@dataclass(frozen=True, slots=True)
class MissingEvent:
    """An event that the platform never sent, as a person tells of it: nothing of it may be given yet.

    `occurred_at` has its offset; `dimensions` and `properties` are none by default.
    """

    customer_id: str | None = None
    meter: str | None = None
    dimensions: Mapping[str, object] | None = None
    occurred_at: datetime | None = None
    properties: Mapping[str, object] | None = None

    @property
    def is_given(self) -> bool:
        """Whether anything was said of it."""
        return self != MissingEvent()


def correct_usage(
    warehouse: Warehouse,
    signature: Signature,
    *,
    quantity: Decimal | int | str,
    event_id: str | None = None,
    missing: MissingEvent = MissingEvent(),
) -> str:
    """Replace the quantity of one event (`event_id`), or add an event that the platform never sent.

    The event's id is derived from the correction, so the same command given twice is refused the second time
    and no usage counts twice.

    Args:
        warehouse: the billing database.
        signature: the person who answers for it, and why.
        quantity: the right quantity, exact.
        event_id: the event to correct, which keeps its properties.
        missing: the event to add, where none is corrected.

    Returns:
        The id of the correcting event.

    Raises:
        CorrectionRefused: an argument is wrong, or the event is unknown, or corrected already.
    """
    exact = checked("quantity", str(quantity), import_rules.quantity)
    added = _checked_event(missing) if event_id is None else None
    if event_id is not None and missing.is_given:
        raise CorrectionRefused(
            "expected either an event_id, or the customer_id, meter, dimensions and occurred_at of a missing event"
        )
    with warehouse.transaction() as connection:
        # as for imports: no event may appear with a received_at before a snapshot's cut-off
        lock_usage(connection)
        if added is not None:
            require_known(connection, added)
        event = added or _event_to_correct(connection, event_id or "", exact)
        return write_correction(connection, event, exact, event_id, signature)


def remove_usage(warehouse: Warehouse, signature: Signature, *, event_id: str) -> str:
    """Take an event away, as if it had never been sent: a level before it holds on, which a quantity of 0 would end.

    Returns:
        The id of the event that says so.

    Raises:
        CorrectionRefused: the event is unknown, or was corrected or removed already.
    """
    with warehouse.transaction() as connection:
        lock_usage(connection)
        return write_correction(
            connection, stored_event(connection, event_id)[0], "0", event_id, signature, removes=True
        )


def _checked_event(missing: MissingEvent) -> UsageEvent:
    if missing.customer_id is None or missing.meter is None or missing.occurred_at is None:
        raise CorrectionRefused(
            "expected an event_id to correct, or the customer_id, meter and occurred_at of a missing event"
        )
    checked("occurred_at", missing.occurred_at.isoformat(), import_rules.instant)
    return UsageEvent(
        checked("customer_id", missing.customer_id, import_rules.key),
        checked("meter", missing.meter, import_rules.key),
        checked("dimensions", json.dumps(dict(missing.dimensions or {})), import_rules.dimensions),
        missing.occurred_at,
        checked("properties", json.dumps(dict(missing.properties or {})), import_rules.properties),
    )


def _event_to_correct(connection: Connection, event_id: str, quantity: str) -> UsageEvent:
    event, known = stored_event(connection, event_id)
    if known == Decimal(quantity):
        raise CorrectionRefused(f'event_id "{event_id}": its quantity is {quantity} already')
    return event
