"""The queue of events, worked off: orders, repetitions, poison, outages, and runs that die or meet each other."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_pipeline.events.queue import claim, due_work, finish
from billing_pipeline.events.rules.endings import Ending
from billing_pipeline.postgres.locks import stripe_object_lock_key
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure
from billing_pipeline.stripe_gateway.rules.objects import InvoiceFacts
from billing_pipeline_tests.charging.world import KEY, Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld, holding, impatient, shuffled


def _rich_history(world: EventWorld) -> list[dict[str, Any]]:
    """A month with something of everything, and its events in order. Nothing of it is here yet."""
    cards = {"a": "pm_card_visa", "d": "pm_card_createDispute", "x": "pm_card_chargeCustomerFail", "v": None}
    world.bill(*(Bill(name, card=card) for name, card in cards.items()))
    world.charge()
    api = world.stripe.api
    api.refunds.create({"payment_intent": world.payment_intent("a"), "amount": 100})
    api.credit_notes.create({"invoice": world.stripe_id("a"), "amount": 50, "refund_amount": 50})
    customer = world.charges()["a"]["stripe_customer_id"]
    for card in ("pm_card_mastercard", "pm_card_amex"):
        method = api.payment_methods.attach(api.payment_methods.retrieve(card).id, {"customer": customer})
        api.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    api.payment_methods.detach(method.id)
    api.invoices.mark_uncollectible(world.stripe_id("x"))
    api.invoices.void_invoice(world.stripe_id("v"))
    return world.at_stripe()


def test_any_order_and_duplicates_end_where_the_right_order_ends(world: EventWorld) -> None:
    history = _rich_history(world)
    with world.again() as in_order:
        in_order.forget("a", claimed=True)
        in_order.deliver(history)
        in_order.drain()
        expected = in_order.digest()
    assert {state for _, state in expected["work"]} == {"applied", "ignored"}
    for seed in range(4):
        with world.again() as shuffled_world:
            shuffled_world.forget("a", claimed=True)
            mixed = shuffled(history, seed)
            for start in range(0, len(mixed), 17):
                shuffled_world.deliver(mixed[start : start + 17])
                shuffled_world.make_due()
                shuffled_world.process(patience=impatient())
            shuffled_world.drain()
            assert shuffled_world.digest() == expected, seed


def test_replaying_everything_changes_nothing(world: EventWorld) -> None:
    world.deliver(_rich_history(world))
    world.drain()
    before, rows = world.digest(), {table: world.mirrored(table) for table in ("stripe_charges", "stripe_payments")}
    assert world.replay_all() == len(world.work())
    assert {row["state"] for row in world.work()} == {"pending"}
    world.drain()
    assert world.digest() == before
    assert {table: world.mirrored(table) for table in rows} == rows, "not even a time"
    logged = world.warehouse.rows("SELECT * FROM billing.automation_log WHERE action = 'stripe_event.replay'")
    assert {(row["actor"], row["reason"]) for row in logged} == {("ann", "a test")}
    assert len(logged) == len(world.work())


def test_each_object_is_asked_for_once_however_many_events_it_has(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.miss_payments()
    world.deliver([event for event in world.at_stripe() if event["type"].startswith("invoice.")])
    gateway = world.gateway()
    report = world.process(api=gateway)
    assert gateway.calls_made == 1
    assert report.outcomes["applied"] >= 4


def test_an_event_for_an_invoice_without_a_row_waits_and_is_applied_when_the_row_is_there(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    events = world.at_stripe()
    with world.again() as other:
        other.hide("a")
        other.deliver(events)
        other.process(patience=impatient(give_up_s=60))
        invoice_events = [row for row in other.work() if row["object_id"] == world.stripe_id("a")]
        assert {row["state"] for row in invoice_events} == {"waiting", "ignored"}
        other.unhide("a")
        other.drain()
        assert other.states()["a"] == ("paid", None)


def test_an_event_that_waited_for_a_day_is_given_up_with_its_reason(world: EventWorld) -> None:
    invoice_id = invoice_id_of("nobody")
    customer = world.stripe.api.customers.create({"email": "n@example.com"}).id
    world.stripe.api.invoices.create({"customer": customer, "currency": "usd", "metadata": {"invoice_id": invoice_id}})
    world.catch_up()
    [created] = [row for row in world.work() if row["type"] == "invoice.created"]
    assert (created["state"], created["last_error"]) == ("waiting", f"no charge of invoice {invoice_id} is here")
    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    world.process(clock=lambda: tomorrow)
    [created] = [row for row in world.work() if row["type"] == "invoice.created"]
    assert created["state"] == "dead"
    assert invoice_id in created["last_error"]


def test_poison_is_tried_again_then_given_up_and_blocks_nobody(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.say("invoice.paid", {"id": "in_unheard_of"}, "evt_1")
    world.say("invoice.paid", {"object": "invoice"}, "evt_2")
    world.deliver(world.at_stripe())
    world.process(batch=1)
    states = {row["event_id"]: row for row in world.work()}
    assert {states[name]["state"] for name in ("evt_1", "evt_2")} == {"pending"}
    assert {states[name]["failures"] for name in ("evt_1", "evt_2")} == {1}
    assert states["evt_1"]["due_at"] > datetime.now(UTC), "with a pause"
    assert {row["state"] for name, row in states.items() if name not in ("evt_1", "evt_2")} == {"applied", "ignored"}
    for _ in range(8):
        world.make_due()
        world.process(patience=impatient())
    states = {row["event_id"]: row for row in world.work()}
    assert {states[name]["state"] for name in ("evt_1", "evt_2")} == {"dead"}
    assert "resource_missing" in states["evt_1"]["last_error"]
    assert states["evt_2"]["last_error"] == "it names no object that could be asked for"
    assert world.replay_all(state="dead") == 2
    assert {row["failures"] for row in world.work()} == {0}


def test_an_outage_of_stripe_gives_nothing_up_and_ends_the_run_early(world: EventWorld) -> None:
    world.bill(*(Bill(f"c{number}") for number in range(30)))
    world.charge()
    world.miss_payments()
    world.deliver([event for event in world.at_stripe() if event["type"] == "invoice.paid"])
    world.stripe.fault("error_500_without_effect", "GET **")
    gateway = world.gateway()
    for _ in range(12):
        world.make_due()
        world.process(api=gateway, patience=impatient(give_up_s=3600))
    assert gateway.calls_made < 12 * 15
    assert {row["state"] for row in world.work()} == {"pending"}
    assert max(row["failures"] for row in world.work()) > 6
    world.stripe.heal()
    world.drain()
    assert {row["state"] for row in world.work()} == {"applied"}


def test_a_key_that_stripe_does_not_accept_ends_the_run_and_leaves_every_event_due(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.miss_payments()
    # Stripe counts a customer's invoices, which nobody asks about
    world.deliver([event for event in world.at_stripe() if event["type"] != "customer.updated"])
    with pytest.raises(StripeFailure, match="key_not_accepted"):
        world.process(api=StripeGateway("nonsense", world.stripe.base_url))
    assert {row["failures"] for row in world.work()} == {0}
    assert {row["state"] for row in world.work()} == {"pending", "ignored"}
    world.drain()


def test_a_run_that_died_with_its_claims_strands_nothing(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.deliver(world.at_stripe())
    now = datetime.now(UTC)
    claimed = claim(world.warehouse, now, "doomed", batch=1000)
    assert claimed
    assert due_work(world.warehouse, now) is None
    assert world.process().outcomes["applied"] == 0
    later = now + timedelta(seconds=301)
    due = due_work(world.warehouse, later)
    assert due is not None
    assert (due.count, due.attempts) == (len(claimed), 1)
    world.process(clock=lambda: later)
    assert world.charges()["a"]["state"] == "paid"
    assert {row["state"] for row in world.work()} == {"applied", "ignored"}


def test_an_attempt_that_lost_its_claim_writes_nothing(world: EventWorld) -> None:
    """The first run sleeps over its lease while a second one does the work; what it then knows is out of date."""
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.deliver([event for event in world.at_stripe() if event["type"] == "invoice.payment_failed"])
    world.stripe.api.invoices.pay(world.stripe_id("a"), {"paid_out_of_band": True})
    overtaken = Overtaken(world)
    report = world.process(api=overtaken, workers=1)
    assert overtaken.times == 1
    assert report.outcomes["applied"] == 0
    assert {row["run_id"] for row in world.work()} == {"second"}


class Overtaken(StripeGateway):
    """While this one asks, an hour goes by and another run processes everything."""

    def __init__(self, world: EventWorld) -> None:
        super().__init__(KEY, world.stripe.base_url)
        self._world = world
        self.times = 0

    def retrieve_invoice_facts(self, stripe_id: str) -> InvoiceFacts:
        facts = super().retrieve_invoice_facts(stripe_id)
        self.times += 1
        later = datetime.now(UTC) + timedelta(hours=1)
        world = self._world
        claimed = claim(world.warehouse, later, "second", batch=1000)
        with world.warehouse.transaction() as connection:
            finish(connection, [Ending(event, "applied") for event in claimed], later, "second")
        return facts


def test_runs_side_by_side_apply_every_event_once(world: EventWorld) -> None:
    world.bill(*(Bill(f"c{number}") for number in range(12)))
    world.charge()
    world.deliver(world.at_stripe())
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda _: world.process(batch=7), range(3)))
    world.drain()
    applied = sum(report.outcomes["applied"] for report in reports)
    assert applied <= sum(row["state"] == "applied" for row in world.work())
    assert {row["state"] for row in world.work()} == {"applied", "ignored"}
    assert len(world.mirrored("stripe_payments")) == 12


def test_an_object_that_another_process_is_at_is_put_off_without_a_failure(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.deliver([event for event in world.at_stripe() if event["type"] == "invoice.paid"])
    with holding(world, stripe_object_lock_key("invoice", world.stripe_id("a"))):
        assert world.process().outcomes["put off"] == 1
    [row] = world.work()
    assert (row["state"], row["failures"]) == ("pending", 0)
    world.drain()
    assert world.work()[0]["state"] == "applied"


def test_what_the_database_refuses_is_given_up_with_its_words(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.miss_payments()
    world.deliver([event for event in world.at_stripe() if event["type"] == "invoice.paid"])
    world.execute("ALTER TABLE billing.stripe_payments ADD CONSTRAINT nothing_goes_in CHECK (requested_minor < 0)")
    for _ in range(6):
        world.make_due()
        world.process(patience=impatient())
    [row] = world.work()
    assert row["state"] == "dead"
    assert "nothing_goes_in" in row["last_error"]
    world.execute("ALTER TABLE billing.stripe_payments DROP CONSTRAINT nothing_goes_in")
    world.replay_all(object_id=world.stripe_id("a"))
    world.drain()
    assert world.work()[0]["state"] == "applied"


def test_bytes_that_no_text_column_takes_are_processed(world: EventWorld) -> None:
    """The body is stored as it came; what processing needs of it never goes into a text column unread."""
    world.bill(Bill("a"))
    world.charge()
    stripe_id = world.stripe_id("a")
    for number, extra in enumerate((r'"\u0000"', "NaN", r'"\ud800"', f'1, "id": "in_other", "id": "{stripe_id}"')):
        body = f'{{"id":"evt_{number}","type":"invoice.paid","created":1,"data":{{"object":{{"id":"{stripe_id}","x":{extra}}}}}}}'
        world.deliver_bytes(body.encode())
    world.say("invoice.paid", {"id": "in_\u0001"}, "evt_9")
    world.process()
    states = {row["event_id"]: row["state"] for row in world.work()}
    assert states == {
        "evt_0": "applied",
        "evt_1": "applied",
        "evt_2": "applied",
        "evt_3": "applied",
        "evt_9": "pending",
    }
