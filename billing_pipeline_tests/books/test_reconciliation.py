"""Seeded differences are found, each once and by name, and nothing else is: real Postgres, the emulator over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_pipeline.books.orphan_drafts import delete_orphan_draft
from billing_pipeline.books.reconciliation import Comparison, compare_with_stripe
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld, holding


def compare(world: EventWorld, **options: Any) -> Comparison:
    settings: dict[str, Any] = {"on_the_way": timedelta(), **options}
    # created is in whole seconds: by the clock of a minute later nothing is on its way
    later = datetime.now(UTC) + timedelta(minutes=1)
    return compare_with_stripe(world.warehouse, world.gateway(), "test", later, **settings)


def found(world: EventWorld, **options: Any) -> list[tuple[str, str, str | None, str]]:
    return [
        (one.object_type, one.kind, one.invoice_id, one.proposed_action)
        for one in compare(world, **options).differences
    ]


def copy_of(world: EventWorld, customer_id: str, invoice_id: str, **over: Any) -> str:
    """An invoice at Stripe that carries an id of ours."""
    customer = world.charges()[customer_id]["stripe_customer_id"]
    params: Any = {"customer": customer, "currency": "usd", "metadata": {"invoice_id": invoice_id, **over}}
    made = world.stripe.api.invoices.create(params)
    world.stripe.api.invoices.add_lines(made.id, {"lines": [{"amount": 700, "description": "x"}]})
    return made.id


def test_a_charged_month_agrees_before_and_after_its_events(world: EventWorld) -> None:
    world.bill(
        Bill("a"), Bill("y", (1200,), currency="jpy"), Bill("broke", card="pm_card_chargeCustomerFail"),
        Bill("zero", (0,)), Bill("small", (20,)), Bill("new", at_stripe=False, card=None),
    )  # fmt: skip
    world.charge()
    assert found(world, month=MONTH, with_events=False) == []
    assert found(world) == []
    world.miss_payments()
    assert {(kind, action) for _, kind, _, action in found(world)} == {("missing_here", "sweep_events")}
    world.catch_up()
    api = world.stripe.api
    api.refunds.create({"payment_intent": world.payment_intent("a"), "amount": 100})
    api.credit_notes.create({"invoice": world.stripe_id("y"), "amount": 100, "credit_amount": 100})
    assert found(world, on_the_way=timedelta(hours=1)) == [], "their events are on the way"
    world.catch_up()
    compared = compare(world)
    assert compared.differences == ()
    assert (len(compared.books.charges), len(compared.books.refunds), len(compared.books.credit_notes)) == (6, 1, 1)
    rows = world.mirrored("stripe_reconciliations")
    assert [row["difference_count"] for row in rows] == [0, 0, 2, 0, 0]


def test_every_kind_of_difference_between_invoices_is_found_and_nothing_else(world: EventWorld) -> None:
    names = [f"c{number}" for number in range(12)]
    world.bill(*(Bill(name, card="pm_card_chargeCustomerFail" if name == "c5" else "pm_card_visa") for name in names))
    world.charge()
    world.catch_up()
    ours = {name: invoice_id_of(name) for name in names}
    nobody = invoice_id_of("nobody")
    copy_of(world, "c0", nobody, billing_month="2026-10-01")
    copy_of(world, "c1", ours["c1"])
    world.tamper("UPDATE billing.stripe_charges SET stripe_invoice_id = 'in_gone' WHERE customer_id = 'c2'")
    world.tamper(
        "UPDATE billing.stripe_charges SET (amount_minor, stripe_total_minor) = (4001, 4001) WHERE customer_id = 'c3'"
    )
    world.tamper(
        "UPDATE billing.stripe_charges SET (currency, stripe_currency) = ('eur', 'eur') WHERE customer_id = 'c4'"
    )
    world.stripe.api.invoices.pay(world.stripe_id("c5"), {"paid_out_of_band": True})
    assert set(found(world, month=MONTH, with_events=False)) == {
        ("invoice", "missing_here", nobody, "delete_draft"),
        ("invoice", "duplicate", ours["c1"], "delete_draft"),
        ("invoice", "missing_at_stripe", ours["c2"], "look_at_it"),
        ("invoice", "duplicate", ours["c2"], "look_at_it"),
        ("invoice", "amount_or_currency", ours["c3"], "look_at_it"),
        ("invoice", "amount_or_currency", ours["c4"], "look_at_it"),
        ("invoice", "status", ours["c5"], "process_events"),
    }
    rows = world.mirrored("stripe_differences")
    assert len(rows) == 7
    assert {row["difference_no"] for row in rows} == set(range(1, 8))


def test_an_invoice_of_another_month_is_no_business_of_this_one(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    copy_of(world, "a", invoice_id_of("nobody"), billing_month="2026-11-01")
    assert found(world, month=MONTH, with_events=False) == []
    world.catch_up()
    assert [kind for _, kind, _, _ in found(world)] == ["missing_here"]


def test_two_payments_for_one_invoice_are_found(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.charge()
    copy = copy_of(world, "a", invoice_id_of("a"))
    world.stripe.api.invoices.pay(copy)
    assert set(found(world, month=MONTH, with_events=False)) == {
        ("invoice", "duplicate", invoice_id_of("a"), "refund"),
        ("payment", "duplicate", invoice_id_of("a"), "refund"),
    }


def test_what_events_should_have_told_is_missed(world: EventWorld) -> None:
    names = ("refund", "note", "gone", "amount", "status")
    world.bill(*(Bill(name) for name in names))
    world.charge()
    api = world.stripe.api
    for name in ("gone", "amount", "status"):
        api.refunds.create({"payment_intent": world.payment_intent(name), "amount": 300})
    world.catch_up()
    by_invoice = {str(row["invoice_id"]): row["refund_id"] for row in world.mirrored("stripe_refunds")}
    change = "UPDATE billing.stripe_refunds SET {} WHERE refund_id = :id"
    world.tamper(change.format("refund_id = 're_unheard_of'"), id=by_invoice[invoice_id_of("gone")])
    world.tamper(change.format("amount_minor = 301"), id=by_invoice[invoice_id_of("amount")])
    world.tamper(change.format("status = 'pending'"), id=by_invoice[invoice_id_of("status")])
    api.refunds.create({"payment_intent": world.payment_intent("refund"), "amount": 500})
    api.credit_notes.create({"invoice": world.stripe_id("note"), "amount": 50, "credit_amount": 50})
    assert set(found(world)) == {
        ("refund", "missing_here", invoice_id_of("refund"), "sweep_events"),
        ("credit_note", "missing_here", invoice_id_of("note"), "sweep_events"),
        ("refund", "missing_here", invoice_id_of("gone"), "sweep_events"),
        ("refund", "missing_at_stripe", invoice_id_of("gone"), "look_at_it"),
        ("refund", "amount_or_currency", invoice_id_of("amount"), "look_at_it"),
        ("refund", "status", invoice_id_of("status"), "sweep_events"),
    }


def test_what_moves_while_it_is_compared_is_no_difference(world: EventWorld) -> None:
    """The invoice is paid after Stripe's list was read and before ours: the second look finds both equal."""
    world.bill(Bill("a", card="pm_card_chargeCustomerFail"))
    world.charge()
    gateway = world.gateway()
    listing = gateway.list_books

    def list_then_pay(created_gte: int) -> Iterator[Any]:
        found = list(listing(created_gte))
        if world.states()["a"][0] == "refused":
            world.stripe.api.invoices.pay(world.stripe_id("a"), {"paid_out_of_band": True})
            world.catch_up()
        return iter(found)

    gateway.list_books = list_then_pay  # type: ignore[method-assign]
    compared = compare_with_stripe(world.warehouse, gateway, "test", datetime.now(UTC), month=MONTH)
    assert world.states()["a"] == ("paid", None)
    assert compared.differences == ()


def test_an_orphan_draft_is_deleted_on_an_operators_word_only(world: EventWorld) -> None:
    world.bill(Bill("a"))
    world.charge()
    orphan = copy_of(world, "a", invoice_id_of("a"))
    assert found(world, month=MONTH, with_events=False)[0][3] == "delete_draft"
    with (
        holding(world, charge_lock_key(invoice_id_of("a"))),
        pytest.raises(UserError, match="is being charged right now"),
    ):
        delete_orphan_draft(world.warehouse, world.gateway(), orphan, Signature("ann", "a copy"))
    with pytest.raises(UserError, match='reason "": expected a text'):
        delete_orphan_draft(world.warehouse, world.gateway(), orphan, Signature("ann", " "))
    delete_orphan_draft(world.warehouse, world.gateway(), orphan, Signature("ann", "a copy"))
    assert found(world, month=MONTH, with_events=False) == []
    [logged] = world.warehouse.rows(
        "SELECT * FROM billing.automation_log WHERE action = 'stripe.invoice.delete' AND object_id = :id", id=orphan
    )
    assert (logged["actor"], logged["reason"], logged["state_before"]["total"]) == ("ann", "a copy", 700)


def test_what_is_no_orphan_draft_of_ours_is_not_deleted(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("draft"), Bill("intended"))
    world.stripe.fault("drop_before_effect", "POST /v1/invoices/*/add_lines")
    world.charge()
    world.stripe.heal()
    world.forget("intended")
    draft_of_a_charge = world.stripe_id("draft")
    adoptable = next(
        one["id"] for one in world.stripe.invoices() if one["metadata"]["invoice_id"] == invoice_id_of("intended")
    )
    theirs = copy_of(world, "a", "order 66")
    finalised = copy_of(world, "a", invoice_id_of("a"))
    world.stripe.api.invoices.finalize_invoice(finalised)
    for stripe_id, why in (
        (draft_of_a_charge, "is the draft of charge"),
        (adoptable, "charge_month would adopt"),
        (theirs, "somebody else's"),
        (finalised, "only a draft is deleted"),
    ):
        with pytest.raises(UserError, match=why):
            delete_orphan_draft(world.warehouse, world.gateway(), stripe_id, Signature("ann", "r"))
    assert len(world.stripe.invoices()) == 5
