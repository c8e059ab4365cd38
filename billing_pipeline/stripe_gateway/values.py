"""Stripe's ways of writing times and references, read into plain values."""

from datetime import UTC, datetime
from typing import Any

from billing_pipeline.stripe_gateway.calls import id_of


def instant(seconds: int) -> datetime:
    """A Unix time."""
    return datetime.fromtimestamp(seconds, UTC)


def instant_or_none(seconds: int | None) -> datetime | None:
    """A Unix time that may be missing."""
    return None if seconds is None else instant(seconds)


def id_or_none(value: Any) -> str | None:
    """The id of an object that may be missing, or expanded."""
    return None if value is None else id_of(value)
