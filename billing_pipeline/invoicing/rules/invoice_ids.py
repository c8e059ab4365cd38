"""Ids of periods and invoices, which every run derives alike. Not here: their numbers, which a transaction assigns."""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

# Part of every period and invoice id ever issued: never change it.
NAMESPACE = uuid.UUID("8f5c9d0e-52d7-4c0b-9a3e-1f6d2b7a4c58")


def iso_utc(instant: datetime) -> str:
    """The instant as ids spell it: `2026-10-01T00:00:00Z`. Raises ValueError for a naive one."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def period_id(customer_id: str, period_start: datetime) -> uuid.UUID:
    """The id of the customer's period that starts at this instant: uuid5 of `customer|start`."""
    return uuid.uuid5(NAMESPACE, f"{customer_id}|{iso_utc(period_start)}")


def invoice_id(customer_id: str, period_start: datetime, revision: int = 0) -> uuid.UUID:
    """The id of the period's n-th invoice (0, then one more per reissue): uuid5 of `customer|start|n`."""
    return uuid.uuid5(NAMESPACE, f"{customer_id}|{iso_utc(period_start)}|{revision}")


def invoice_ids(customer_ids: Sequence[str], starts_iso: Sequence[str], revision: int = 0) -> list[str]:
    """`invoice_id` for many rows, as text; `starts_iso` spelled as by `iso_utc`."""
    return _uuid5_many(f"{c}|{s}|{revision}" for c, s in zip(customer_ids, starts_iso, strict=True))


def supplement_id(customer_id: str, period_start: datetime, supplement_no: int, revision: int = 0) -> uuid.UUID:
    """The id of the period's n-th supplementary invoice (from 1), in its revision."""
    return uuid.uuid5(NAMESPACE, f"{customer_id}|{iso_utc(period_start)}|{revision}|{supplement_no}")


def _uuid5_many(names: Iterable[str]) -> list[str]:
    """`str(uuid.uuid5(NAMESPACE, name))` for each, without building UUID objects (RFC 9562, section 5.5)."""
    prefix = NAMESPACE.bytes
    sha1 = hashlib.sha1
    ids = []
    for name in names:
        h = sha1(prefix + name.encode(), usedforsecurity=False).hexdigest()
        variant = "89ab"[int(h[16], 16) & 3]
        ids.append(f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{variant}{h[17:20]}-{h[20:32]}")
    return ids
