"""Bring what Stripe has said to where the books are compared: fetch the events that are not here, and process them.

For comparisons that a person asks for. Where a receiver and the daemon run there is little to fetch; where none does,
every payment would be reported as one that no event has told of.
"""

from datetime import datetime

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.processing import ProcessingOptions, process_events
from billing_pipeline.events.sweep import sweep_events
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.objects import StripeObjects


def catch_up(warehouse: Warehouse, api: StripeObjects, cipher: EventCipher, run_id: str, now: datetime) -> None:
    """Sweep Stripe's own list of events, then process what is due.

    Args:
        warehouse: the billing database.
        api: Stripe.
        cipher: encrypts and opens the bodies.
        run_id: who does it.
        now: what time it is at Stripe.

    Raises:
        StripeFailure: Stripe could not be asked.
    """
    sweep_events(warehouse, api, cipher, run_id, now, log=_quiet)
    process_events(warehouse, api, lambda: cipher, run_id, ProcessingOptions())


def _quiet(_: str) -> None:
    """The comparison that follows says what is wrong."""
