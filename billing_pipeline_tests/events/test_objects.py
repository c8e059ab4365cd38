"""What an event leads to, object by object: real Postgres, the emulator over real HTTP."""

from datetime import UTC, datetime, timedelta

from billing_pipeline_tests.charging.world import Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld


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
    world.drain()
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
