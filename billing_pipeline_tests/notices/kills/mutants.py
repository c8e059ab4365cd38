"""Defences of the outbox, removed: a campaign that does not notice it proves nothing."""

from collections.abc import Callable
from typing import Any

from billing_pipeline.notices import queue
from billing_pipeline.notices.smtp import SmtpSender


def late_edge() -> None:
    """`handing_over` is committed only after the server's answer: doubles that nobody counts."""
    send = SmtpSender.send

    def sending(self: Any, letter: Any, edge: Callable[[], None]) -> None:
        send(self, letter, lambda: None)
        edge()

    SmtpSender.send = sending  # type: ignore[method-assign]


def early_sent() -> None:
    """`sent` is committed before the first byte: what is killed then is lost."""
    begin, sent = queue.begin_handing_over, queue.sent

    def beginning(warehouse: Any, claim: Any) -> None:
        begin(warehouse, claim)
        sent(warehouse, claim, claim.claimed_until)

    queue.begin_handing_over = beginning


MUTANTS: dict[str, Callable[[], None]] = {"late_edge": late_edge, "early_sent": early_sent}
"""By name."""
