"""The sweep finds what never arrived, through the same door, however often it runs and wherever it is cut off."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.errors import Evidence, Outcome, StripeFailure, Verdict
from billing_pipeline_tests.charging.world import KEY, Bill
from billing_pipeline_tests.events.world import CIPHER, EventWorld


def test_what_webhooks_brought_is_known_and_the_rest_is_fetched(world: EventWorld) -> None:
    world.bill(*(Bill(f"c{number}") for number in range(30)))
    world.charge()
    events = world.at_stripe()
    assert len(events) > 200, "more than two pages"
    world.deliver(events[::3])
    first = world.sweep()
    assert (first.listed_count, first.new_count) == (len(events), len(events) - len(events[::3]))
    assert (first.conflict_count, first.gap) == (0, False)
    sources = world.warehouse.rows("SELECT source, count(*) AS n FROM billing.stripe_events GROUP BY 1 ORDER BY 1")
    assert [(row["source"], row["n"]) for row in sources] == [("sweep", first.new_count), ("webhook", len(events[::3]))]
    again = world.sweep()
    assert again.new_count == 0
    world.deliver(events)
    assert world.warehouse.scalar("SELECT count(*) FROM billing.stripe_event_conflicts") == 0


def test_a_sweep_goes_on_from_the_last_with_overlap(world: EventWorld) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert world.sweep(now=now).listed_from == now - timedelta(days=30)
    later = now + timedelta(hours=5)
    second = world.sweep(now=later)
    assert (second.listed_from, second.gap) == (now - timedelta(hours=1), False)


def test_a_sweep_that_comes_too_late_says_that_events_may_be_lost(world: EventWorld) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    world.sweep(now=now)
    late = world.sweep(now=now + timedelta(days=31))
    assert (late.listed_from, late.gap) == (now + timedelta(days=1), True)


class Dying(StripeGateway):
    """Stripe goes away in the middle of the list."""

    def list_events(self, created_gte: int) -> Iterator[dict[str, Any]]:
        for number, event in enumerate(super().list_events(created_gte)):
            if number == 150:
                raise StripeFailure(Verdict(Outcome.UNKNOWN, "connection_lost"), Evidence("connection"))
            yield event


def test_a_sweep_that_was_cut_off_is_done_again_from_where_the_last_whole_one_ended(world: EventWorld) -> None:
    world.bill(*(Bill(f"c{number}") for number in range(30)))
    world.charge()
    whole = len(world.at_stripe())
    api, gateway = Dying(KEY, world.stripe.base_url), world.gateway
    world.gateway = lambda: api  # type: ignore[method-assign]
    with pytest.raises(StripeFailure):
        world.sweep()
    assert world.warehouse.scalar("SELECT count(*) FROM billing.stripe_event_sweeps") == 0
    assert world.warehouse.scalar("SELECT count(*) FROM billing.stripe_events") == 100, "whole batches stay"
    world.gateway = gateway  # type: ignore[method-assign]
    assert world.sweep().new_count == whole - 100


def test_an_outage_of_three_days_is_made_good(world: EventWorld) -> None:
    """Nothing was received for 72 hours by Stripe's clock; one sweep brings it all."""
    world.bill(Bill("a"), Bill("b", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.catch_up()
    world.stripe.control("POST", "/clock", {"advance_s": 86_400})
    world.stripe.api.invoices.pay(world.stripe_id("b"), {"paid_out_of_band": True})
    world.stripe.control("POST", "/clock", {"advance_s": 2 * 86_400})
    world.stripe.api.refunds.create({"payment_intent": world.payment_intent("a")})
    world.sweep(now=datetime.now(UTC) + timedelta(days=3))
    world.process()
    assert world.states()["b"] == ("paid", None)
    assert [row["status"] for row in world.mirrored("stripe_refunds")] == ["succeeded"]
    stored = world.warehouse.scalar("SELECT count(*) FROM billing.stripe_events")
    assert stored == len(world.at_stripe())


def test_the_same_id_with_other_content_is_kept_aside_and_counted(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    forged = {**world.at_stripe()[0], "livemode": True}
    world.deliver([forged])
    assert world.sweep().conflict_count == 1
    assert CIPHER.key_id == world.warehouse.scalar("SELECT key_id FROM billing.stripe_event_conflicts")
