"""Stripe's own record of events, kept there for 30 days."""

from collections.abc import Iterator
from typing import Any

from billing_pipeline.stripe_gateway.calls import StripeCalls


class EventCalls(StripeCalls):
    """List events."""

    def list_events(self, created_gte: int) -> Iterator[dict[str, Any]]:
        """All events created at or after a Unix time, newest first, as Stripe's JSON."""
        return self.pages("/v1/events", {"created": {"gte": created_gte}})
