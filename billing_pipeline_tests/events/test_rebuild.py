"""The payment state of every invoice, from the stored events alone, equals the books; and where it does not, that is said."""

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.rebuild import rebuild
from billing_pipeline.settings import EventKey
from billing_pipeline_tests.charging.world import Bill, invoice_id_of
from billing_pipeline_tests.events.world import CIPHER, EventWorld, shuffled


def history(world: EventWorld) -> None:
    cards = {"a": "pm_card_visa", "d": "pm_card_createDispute", "x": "pm_card_chargeCustomerFail", "v": None, "o": None}
    world.bill(*(Bill(name, card=card) for name, card in cards.items()), Bill("f", card="pm_card_refundFail"))
    world.charge()
    api = world.stripe.api
    api.refunds.create({"payment_intent": world.payment_intent("a"), "amount": 100})
    api.refunds.create({"payment_intent": world.payment_intent("f"), "amount": 100})
    api.credit_notes.create({"invoice": world.stripe_id("a"), "amount": 50, "refund_amount": 50})
    dispute = api.disputes.list({}).data[0].id
    world.stripe.control("POST", f"/disputes/{dispute}/close", {"status": "lost"})
    api.invoices.mark_uncollectible(world.stripe_id("x"))
    api.invoices.void_invoice(world.stripe_id("v"))
    api.invoices.pay(world.stripe_id("o"), {"paid_out_of_band": True})


def test_the_books_are_what_the_events_say_in_whatever_order_they_came(world: EventWorld) -> None:
    history(world)
    world.deliver(shuffled(world.at_stripe(), 1))
    world.process()
    rebuilt = rebuild(world.warehouse, CIPHER)
    assert (rebuilt.invoice_count, rebuilt.agreeing, rebuilt.mismatches, rebuilt.unreadable) == (6, 6, (), ())
    assert rebuilt.event_count == len(world.at_stripe())


def test_an_invoice_that_never_reached_stripe_has_nothing_to_be_compared(world: EventWorld) -> None:
    world.bill(Bill("a"))
    assert rebuild(world.warehouse, CIPHER).agreeing == 1


def test_a_book_that_was_changed_and_an_event_that_is_missing_are_named(world: EventWorld) -> None:
    history(world)
    world.deliver([event for event in world.at_stripe() if event["data"]["object"]["id"] != world.stripe_id("o")])
    world.process()
    world.tamper("UPDATE billing.stripe_payments SET paid_minor = 3999 WHERE invoice_id = :id", id=invoice_id_of("a"))
    world.tamper("UPDATE billing.invoices SET status = 'paid' WHERE customer_id = 'v'")
    found = {one.customer_id: one for one in rebuild(world.warehouse, CIPHER).mismatches}
    assert set(found) == {"a", "v", "o"}
    assert found["o"].from_events is None
    assert (found["a"].in_books.paid_minor, found["a"].from_events.paid_minor) == (3999, 4000)
    assert (found["v"].in_books.status, found["v"].from_events.status) == ("paid", "void")


def test_a_body_that_does_not_open_is_named_and_the_others_are_read(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    world.catch_up()
    world.deliver_bytes(b"no json")
    rebuilt = rebuild(world.warehouse, CIPHER)
    assert len(rebuilt.unreadable) == 1
    assert rebuilt.agreeing == 1
    other = rebuild(world.warehouse, EventCipher([EventKey("other", b"o" * 32)]))
    assert len(other.unreadable) == other.event_count
    assert len(other.mismatches) == 1
