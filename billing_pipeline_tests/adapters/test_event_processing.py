"""Events of Stripe's, processed: real Postgres, the emulator over real HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from billing_pipeline.adapters import event_invoices
from billing_pipeline.adapters.charge_store import lock_key
from billing_pipeline.adapters.event_processing import object_key
from billing_pipeline.adapters.event_queue import Ending, claim, due_work, finish
from billing_pipeline.adapters.stripe_gateway import StripeGateway
from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline.core.stripe_errors import StripeFailure
from billing_pipeline.core.stripe_objects import InvoiceFacts
from billing_pipeline_tests.adapters.charging_world import KEY, Bill, invoice_id_of, running_stripe
from billing_pipeline_tests.adapters.event_world import EventWorld, holding, impatient, shuffled


@pytest.fixture
def world(warehouse: Warehouse) -> Iterator[EventWorld]:
    with running_stripe() as emulated:
        yield EventWorld(warehouse, emulated)


def test_what_a_charged_month_says_is_applied_and_changes_no_charge(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("broke", card="pm_card_chargeCustomerFail"))
    world.charge()
    before = world.states()
    report = world.catch_up()
    assert world.states() == before
    states = {row["type"]: row["state"] for row in world.work()}
    assert {states[name] for name in states if name.startswith("invoice.") and name != "invoice.updated"} == {"applied"}
    assert states["invoice.updated"] == states["payment_intent.succeeded"] == "ignored"
    paid = {row["invoice_id"]: (row["status"], row["paid_minor"]) for row in world.mirrored("stripe_payments")}
    assert {str(key): value for key, value in paid.items()} == {
        invoice_id_of("a"): ("paid", 4000),
        invoice_id_of("broke"): ("open", 0),
    }
    assert report.outcomes["applied"] == sum(row["state"] == "applied" for row in world.work())


def test_an_event_does_what_the_charger_could_not_know(world: EventWorld) -> None:
    """Paid, voided or written off by somebody at Stripe: the books follow."""
    cards = dict.fromkeys(("late", "gone", "lost"), "pm_card_chargeCustomerFail")
    world.bill(*(Bill(name, card=card) for name, card in cards.items()))
    world.charge()
    api = world.stripe.api.invoices
    api.pay(world.stripe_id("late"), {"paid_out_of_band": True})
    api.void_invoice(world.stripe_id("gone"))
    api.mark_uncollectible(world.stripe_id("lost"))
    assert {state for state, _ in world.states().values()} == {"refused"}
    world.catch_up()
    assert {name: row["status"] for name, row in world.charges().items()} == {
        "late": "paid",
        "gone": "void",
        "lost": "uncollectible",
    }
    assert world.logged("late")[-1] == "stripe.invoice.event"
    api.pay(world.stripe_id("lost"), {"paid_out_of_band": True})
    world.catch_up()
    assert world.states()["lost"] == ("paid", None)


def test_a_lost_answer_is_made_good_by_the_event(world: EventWorld) -> None:
    """The row is rewound to an intent, and what it knew of Stripe is lost: the events bring it back, step by step."""
    world.bill(Bill("a"))
    world.charge()
    world.forget("a", claimed=True)
    world.catch_up()
    assert world.states()["a"] == ("paid", None)
    world.charge()
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


class CutOff(StripeGateway):
    """Stripe does it; the run never learns, and dies."""

    def __init__(self, base_url: str, operation: str) -> None:
        super().__init__(KEY, base_url)
        self._operation = operation

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name != self._operation:
            return found

        def cut_off(*arguments: Any, **options: Any) -> None:
            found(*arguments, **options)
            raise RuntimeError("cut off")

        return cut_off


@pytest.mark.parametrize(
    ("operation", "reached"),
    [
        ("create_invoice", "drafted"),
        ("add_lines", "lines_added"),
        ("finalize_invoice", "finalized"),
        ("pay_invoice", "paid"),
    ],
)
def test_a_charge_that_was_cut_off_follows_stripe_and_is_charged_once(
    world: EventWorld, operation: str, reached: str
) -> None:
    world.bill(Bill("a"))
    with pytest.raises(RuntimeError, match="cut off"):
        world.charge(CutOff(world.stripe.base_url, operation))
    assert world.states()["a"][0] != reached
    world.catch_up()
    assert world.states()["a"] == (reached, None)
    world.charge()
    assert world.states()["a"] == ("paid", None)
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


def test_what_takes_money_back_is_in_the_books(world: EventWorld) -> None:
    world.bill(Bill("refunded"), Bill("credited"), Bill("disputed", card="pm_card_createDispute"))
    world.charge()
    api = world.stripe.api
    refund = api.refunds.create({"payment_intent": world.payment_intent("refunded"), "amount": 1500})
    note = api.credit_notes.create({"invoice": world.stripe_id("credited"), "amount": 1000, "refund_amount": 1000})
    world.catch_up()
    refunds = {row["refund_id"]: row for row in world.mirrored("stripe_refunds")}
    assert (refunds[refund.id]["amount_minor"], refunds[refund.id]["status"]) == (1500, "succeeded")
    assert str(refunds[refund.id]["invoice_id"]) == invoice_id_of("refunded")
    assert {str(row["invoice_id"]) for row in refunds.values()} == {
        invoice_id_of("refunded"),
        invoice_id_of("credited"),
    }
    [credited] = world.mirrored("stripe_credit_notes")
    assert (credited["credit_note_id"], credited["total_minor"], credited["post_payment_minor"]) == (
        note.id,
        1000,
        1000,
    )
    [dispute] = world.mirrored("stripe_disputes")
    assert (dispute["status"], dispute["amount_minor"]) == ("needs_response", 4000)
    world.stripe.control("POST", f"/disputes/{dispute['dispute_id']}/close", {"status": "lost"})
    world.catch_up()
    assert world.mirrored("stripe_disputes")[0]["status"] == "lost"
    assert {state for state, _ in world.states().values()} == {"paid"}


def test_a_refund_that_fails_later_is_known_to_have_failed(world: EventWorld) -> None:
    world.bill(Bill("a", card="pm_card_refundFail"))
    world.charge()
    world.stripe.api.refunds.create({"payment_intent": world.payment_intent("a")})
    world.catch_up()
    assert [row["status"] for row in world.mirrored("stripe_refunds")] == ["failed"]


def test_customers_payment_methods_and_subscriptions_are_followed(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.charge()
    api = world.stripe.api
    ids = {name: row["stripe_customer_id"] for name, row in world.charges().items()}
    method = api.payment_methods.attach(api.payment_methods.retrieve("pm_card_mastercard").id, {"customer": ids["a"]})
    api.customers.update(ids["a"], {"invoice_settings": {"default_payment_method": method.id}})
    price = api.prices.create(
        {"currency": "usd", "unit_amount": 500, "recurring": {"interval": "month"}, "product_data": {"name": "p"}}
    )
    subscription = api.subscriptions.create({"customer": ids["b"], "items": [{"price": price.id}]})
    world.catch_up()
    customers = {row["customer_id"]: row for row in world.mirrored("stripe_customers")}
    assert customers["a"]["default_payment_method_id"] == method.id
    methods = {row["payment_method_id"]: row for row in world.mirrored("stripe_payment_methods")}
    assert (methods[method.id]["status"], methods[method.id]["brand"]) == ("attached", "mastercard")
    assert [row["status"] for row in world.mirrored("stripe_subscriptions")] == ["active"]

    api.payment_methods.detach(method.id)
    api.subscriptions.cancel(subscription.id)
    api.customers.delete(ids["b"])
    world.catch_up()
    methods = {row["payment_method_id"]: row for row in world.mirrored("stripe_payment_methods")}
    assert methods[method.id]["status"] == "detached"
    assert [row["status"] for row in world.mirrored("stripe_subscriptions")] == ["canceled"]
    assert {row["customer_id"]: row["status"] for row in world.mirrored("stripe_customers")}["b"] == "deleted"


def test_what_belongs_to_somebody_else_is_kept_and_ignored(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    api = world.stripe.api
    stranger = api.customers.create({"email": "x@example.com", "metadata": {"customer_id": "unheard-of"}}).id
    method = api.payment_methods.attach(api.payment_methods.retrieve("pm_card_visa").id, {"customer": stranger})
    api.customers.update(stranger, {"invoice_settings": {"default_payment_method": method.id}})
    invoice = api.invoices.create({"customer": stranger, "currency": "usd", "metadata": {"invoice_id": "order 66"}})
    api.invoices.add_lines(invoice.id, {"lines": [{"amount": 900, "description": "theirs"}]})
    paid = api.invoices.pay(invoice.id, {"expand": ["payments.data.payment.payment_intent"]})
    intent = paid.payments.data[0].payment.payment_intent.id  # type: ignore[union-attr]
    api.credit_notes.create({"invoice": invoice.id, "amount": 100, "refund_amount": 100})
    api.refunds.create({"payment_intent": intent, "amount": 100})
    charge = api.charges.list({"payment_intent": intent}).data[0].id
    world.stripe.control("POST", "/disputes", {"charge": charge})
    world.catch_up()
    theirs = {invoice.id, charge, method.id, stranger}
    assert {row["state"] for row in world.work() if row["object_id"] in theirs} == {"ignored"}
    assert {str(row["invoice_id"]) for row in world.mirrored("stripe_payments")} == {invoice_id_of("a")}
    for table in ("stripe_refunds", "stripe_credit_notes", "stripe_disputes"):
        assert world.mirrored(table) == []


def test_a_copy_of_our_invoice_at_stripe_does_not_move_the_charge(world: EventWorld) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    api = world.stripe.api
    copy = api.invoices.create(
        {
            "customer": world.charges()["a"]["stripe_customer_id"],
            "currency": "usd",
            "metadata": {"invoice_id": invoice_id_of("a")},
        }
    )
    api.invoices.add_lines(copy.id, {"lines": [{"amount": 4000, "description": "again"}]})
    api.invoices.finalize_invoice(copy.id)
    api.invoices.pay(copy.id, {"paid_out_of_band": True})
    world.catch_up()
    assert world.states()["a"][0] == "refused"
    assert {row["state"] for row in world.work() if row["object_id"] == copy.id} == {"ignored"}


def test_another_total_at_stripe_parks_the_charge(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/finalize")
    world.charge()
    world.stripe.heal()
    api = world.stripe.api.invoices
    api.add_lines(world.stripe_id("a"), {"lines": [{"amount": 1, "description": "a gift"}]})
    api.finalize_invoice(world.stripe_id("a"))
    world.catch_up()
    assert world.states()["a"] == ("parked", "total_differs")


# --- the queue ---


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


def _drain(world: EventWorld) -> None:
    for _ in range(20):
        world.make_due()
        world.process(patience=impatient())
        if {row["state"] for row in world.work()} <= {"applied", "ignored", "dead"}:
            return
    raise AssertionError([row for row in world.work() if row["state"] not in ("applied", "ignored")])


def test_any_order_and_duplicates_end_where_the_right_order_ends(world: EventWorld) -> None:
    history = _rich_history(world)
    with world.again() as in_order:
        in_order.forget("a", claimed=True)
        in_order.deliver(history)
        _drain(in_order)
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
            _drain(shuffled_world)
            assert shuffled_world.digest() == expected, seed


def test_replaying_everything_changes_nothing(world: EventWorld) -> None:
    world.deliver(_rich_history(world))
    _drain(world)
    before, rows = world.digest(), {table: world.mirrored(table) for table in ("stripe_charges", "stripe_payments")}
    assert world.replay_all() == len(world.work())
    assert {row["state"] for row in world.work()} == {"pending"}
    _drain(world)
    assert world.digest() == before
    assert {table: world.mirrored(table) for table in rows} == rows, "not even a time"
    logged = world.warehouse.rows("SELECT * FROM billing.automation_log WHERE action = 'stripe_event.replay'")
    assert {(row["actor"], row["reason"]) for row in logged} == {("ann", "a test")}
    assert len(logged) == len(world.work())


def test_each_object_is_asked_for_once_however_many_events_it_has(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
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
        _drain(other)
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
    _drain(world)
    assert {row["state"] for row in world.work()} == {"applied"}


def test_a_key_that_stripe_does_not_accept_ends_the_run_and_leaves_every_event_due(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.deliver(world.at_stripe())
    with pytest.raises(StripeFailure, match="key_not_accepted"):
        world.process(api=StripeGateway("nonsense", world.stripe.base_url))
    assert {row["failures"] for row in world.work()} == {0}
    assert {row["state"] for row in world.work()} == {"pending", "ignored"}
    _drain(world)


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
    _drain(world)
    applied = sum(report.outcomes["applied"] for report in reports)
    assert applied <= sum(row["state"] == "applied" for row in world.work())
    assert {row["state"] for row in world.work()} == {"applied", "ignored"}
    assert len(world.mirrored("stripe_payments")) == 12


def test_an_object_that_another_process_is_at_is_put_off_without_a_failure(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.deliver([event for event in world.at_stripe() if event["type"] == "invoice.paid"])
    with holding(world, object_key("invoice", world.stripe_id("a"))):
        assert world.process().outcomes["put off"] == 1
    [row] = world.work()
    assert (row["state"], row["failures"]) == ("pending", 0)
    _drain(world)
    assert world.work()[0]["state"] == "applied"


def test_an_invoice_that_is_being_charged_is_left_to_the_charger(world: EventWorld) -> None:
    world.bill(Bill("a"))
    with pytest.raises(RuntimeError, match="cut off"):
        world.charge(CutOff(world.stripe.base_url, "pay_invoice"))
    world.deliver(world.at_stripe())
    with holding(world, lock_key(invoice_id_of("a"))):
        assert world.process().outcomes["put off"] > 0
        assert world.states()["a"] == ("finalized", None)
    _drain(world)
    assert world.states()["a"] == ("paid", None)


def test_an_event_that_slips_in_while_an_invoice_is_charged_makes_the_charger_decide_anew(world: EventWorld) -> None:
    """The lock is a courtesy: even an event that is applied between the charger's call and its note harms nothing."""
    world.bill(Bill("a"))
    slipping = SlippedIn(world)
    world.charge(slipping)
    assert slipping.applied > 0
    assert world.states()["a"] == ("paid", None)
    assert world.stripe.payments() == {invoice_id_of("a"): 1}


class SlippedIn(StripeGateway):
    """After every answer of Stripe's, and before the charger notes it, its events are applied."""

    def __init__(self, world: EventWorld) -> None:
        super().__init__(KEY, world.stripe.base_url)
        self._world = world
        self.applied = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("create_invoice", "pay_invoice"):
            return found

        def slipped_in(*arguments: Any, **options: Any) -> Any:
            answer = found(*arguments, **options)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(event_invoices, "_is_being_charged", lambda *_: False)
                self.applied += self._world.catch_up().outcomes["applied"]
            return answer

        return slipped_in


def test_a_refusal_of_an_earlier_attempt_is_not_taken_for_this_ones(world: EventWorld) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.deliver(world.at_stripe())
    world.execute(
        "UPDATE billing.stripe_charges SET state = 'finalized', attempt = 2, reason_code = NULL, reason = NULL"
    )
    _drain(world)
    assert world.states()["a"] == ("finalized", None), "attempt 2 has not been made"
    with pytest.raises(stripe.CardError):
        world.stripe.api.invoices.pay(world.stripe_id("a"))
    world.catch_up()
    assert world.states()["a"] == ("refused", "declined")


def test_what_the_database_refuses_is_given_up_with_its_words(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
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
    _drain(world)
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


def _due(world: EventWorld) -> list[str]:
    return [row["kind"] for row in world.mirrored("charge_follow_ups") if row["cause"] == "new payment method"]


def test_a_payment_method_that_comes_after_a_refusal_makes_it_due_once(world: EventWorld) -> None:
    world.bill(Bill("a", card=None))
    world.charge()
    world.catch_up()
    assert _due(world) == []
    api = world.stripe.api
    customer = world.charges()["a"]["stripe_customer_id"]
    method = api.payment_methods.attach(api.payment_methods.retrieve("pm_card_visa").id, {"customer": customer})
    world.catch_up()
    assert _due(world) == ["pay"]
    world.execute("DELETE FROM billing.charge_follow_ups")
    api.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    world.catch_up()
    assert _due(world) == ["pay"]
    world.execute("DELETE FROM billing.charge_follow_ups")
    api.customers.update(customer, {"name": "another name"})
    world.catch_up()
    world.replay_all()
    _drain(world)
    assert _due(world) == [], "no news"


def test_the_payment_method_that_was_refused_makes_nothing_due(world: EventWorld) -> None:
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.tamper("UPDATE billing.stripe_charges SET updated_at = updated_at + interval '1 minute'")
    world.catch_up()
    assert len(world.mirrored("stripe_payment_methods")) == 1
    assert _due(world) == []


def test_an_event_of_a_customer_that_was_never_charged_waits_and_is_then_ignored(world: EventWorld) -> None:
    world.drafts(Bill("a", at_stripe=False))
    api = world.stripe.api
    customer = api.customers.create({"email": "a@example.com", "metadata": {"customer_id": "a"}}).id
    method = api.payment_methods.attach(api.payment_methods.retrieve("pm_card_visa").id, {"customer": customer})
    world.sweep()
    world.process()
    [row] = [row for row in world.work() if row["object_id"] == method.id]
    assert (row["state"], row["last_error"]) == ("waiting", "customer a has no id at Stripe yet")
    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    world.process(clock=lambda: tomorrow)
    assert {row["state"] for row in world.work() if row["object_id"] == method.id} == {"ignored"}
