"""The invoice's life: draft, lines, finalise, pay, end; balances, minimum charges, currencies, the clock."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated


def test_a_draft_with_lines_is_finalised_numbered_and_paid(emulator: Emulated) -> None:
    customer = emulator.customer()
    draft = emulator.draft(1_000, 2_345, customer=customer.id, metadata={"invoice_id": "abc"})
    assert (draft.status, draft.total, draft.number, draft.ending_balance) == ("draft", 3_345, None, None)
    opened = emulator.api.invoices.finalize_invoice(draft.id)
    assert (opened.status, opened.amount_due, opened.amount_remaining, opened.ending_balance) == (
        "open",
        3_345,
        3_345,
        0,
    )
    assert opened.number == f"{customer.invoice_prefix}-0001"
    paid = emulator.api.invoices.pay(draft.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining, paid.attempt_count) == ("paid", 3_345, 0, 1)
    assert paid.metadata is not None
    assert paid.metadata["invoice_id"] == "abc"
    assert emulator.event_types(draft.id) == [
        "invoice.created", "invoice.updated", "invoice.finalized", "invoice.updated", "invoice.updated",
        "invoice.paid", "invoice.payment_succeeded",
    ]  # fmt: skip


def test_auto_advance_false_stays_a_draft_and_true_finalises_and_charges_after_an_hour(
    fresh: Emulated,
) -> None:
    waiting = fresh.draft(1_000, auto_advance=False)
    advancing = fresh.draft(1_000, auto_advance=True)
    fresh.advance(3_590)
    assert fresh.api.invoices.retrieve(advancing.id).status == "draft"
    fresh.advance(20)
    assert fresh.api.invoices.retrieve(advancing.id).status == "paid"
    assert fresh.api.invoices.retrieve(waiting.id).status == "draft"


def test_an_automatic_charge_that_is_declined_leaves_the_invoice_open(fresh: Emulated) -> None:
    draft = fresh.draft(1_000, auto_advance=True, customer=fresh.customer("pm_card_chargeCustomerFail").id)
    fresh.advance(3_601)
    invoice = fresh.api.invoices.retrieve(draft.id)
    assert (invoice.status, invoice.attempt_count) == ("open", 1)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("finalize_invoice", "already finalized"),
        ("pay", "already paid"),
        ("void_invoice", "open or uncollectible"),
        ("mark_uncollectible", "only mark open invoices"),
        ("delete", "only delete draft"),
    ],
)
def test_what_a_paid_invoice_refuses(emulator: Emulated, action: str, message: str) -> None:
    invoice = emulator.open_invoice()
    emulator.api.invoices.pay(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match=message) as refusal:
        getattr(emulator.api.invoices, action)(invoice.id)
    assert refusal.value.http_status == 400


@pytest.mark.parametrize("action", ["void_invoice", "mark_uncollectible"])
def test_a_draft_can_be_deleted_but_not_voided_or_written_off(emulator: Emulated, action: str) -> None:
    draft = emulator.draft(100)
    with pytest.raises(stripe.InvalidRequestError):
        getattr(emulator.api.invoices, action)(draft.id)
    emulator.api.invoices.delete(draft.id)
    with pytest.raises(stripe.InvalidRequestError) as gone:
        emulator.api.invoices.retrieve(draft.id)
    assert (gone.value.http_status, gone.value.code) == (404, "resource_missing")


def test_a_finalised_invoice_takes_metadata_but_no_lines_and_no_description(emulator: Emulated) -> None:
    invoice = emulator.open_invoice()
    updated = emulator.api.invoices.update(invoice.id, {"metadata": {"k": "v"}})
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"k": "v"}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        emulator.api.invoices.add_lines(invoice.id, {"lines": [{"amount": 1}]})
    assert refusal.value.code == "invoice_not_editable"
    with pytest.raises(stripe.InvalidRequestError):
        emulator.api.invoices.update(invoice.id, {"description": "late"})


def test_an_invoice_holds_250_lines_and_add_lines_is_all_or_nothing(emulator: Emulated) -> None:
    draft = emulator.draft(*range(1, 250))
    with pytest.raises(stripe.InvalidRequestError, match="at most 250"):
        emulator.api.invoices.add_lines(draft.id, {"lines": [{"amount": 1}, {"amount": 1}]})
    full = emulator.api.invoices.add_lines(draft.id, {"lines": [{"amount": 250}]})
    assert full.total == sum(range(1, 251))
    assert (len(full.lines.data), full.lines.has_more) == (10, True)
    amounts = [
        line.amount for line in emulator.api.invoices.line_items.list(draft.id, {"limit": 100}).auto_paging_iter()
    ]
    assert amounts == list(range(1, 251))


def test_a_bad_line_leaves_the_draft_as_it_was(emulator: Emulated) -> None:
    draft = emulator.draft(100)
    lines: Any = [{"amount": 1}, {"amount": 1, "quantity": 2}]
    with pytest.raises(stripe.InvalidRequestError, match="amount, quantity"):
        emulator.api.invoices.add_lines(draft.id, {"lines": lines})
    assert emulator.api.invoices.retrieve(draft.id).total == 100
    assert len(emulator.api.invoices.line_items.list(draft.id).data) == 1


@pytest.mark.parametrize(
    ("unit_amount", "quantity", "amount"),
    [
        ("0.5", "1", 1),
        ("0.4", "1", 0),
        ("-0.5", "1", -1),
        ("0.000000000001", "500000000000", 1),
        ("10.25", "2", 21),
    ],
)
def test_a_priced_line_is_rounded_once_half_away_from_zero(
    emulator: Emulated, unit_amount: str, quantity: str, amount: int
) -> None:
    product = emulator.api.products.create({"name": "GB"})
    data: Any = {"currency": "usd", "product": product.id, "unit_amount_decimal": unit_amount}
    draft = emulator.draft()
    fields: Any = {"lines": [{"price_data": data, "quantity_decimal": quantity}]}
    line = emulator.api.invoices.add_lines(draft.id, fields).lines.data[0]
    assert line.amount == amount
    assert line.quantity_decimal == Decimal(quantity)
    assert line.pricing is not None
    assert line.pricing.unit_amount_decimal == Decimal(unit_amount)


def test_lines_can_be_changed_and_removed_while_it_is_a_draft(emulator: Emulated) -> None:
    draft = emulator.draft(100, 200, 300)
    first, second, third = (line.id for line in draft.lines.data)
    emulator.api.invoices.update_lines(draft.id, {"lines": [{"id": first, "amount": 150}]})
    emulator.api.invoices.line_items.update(draft.id, second, {"description": "renamed", "metadata": {"a": "b"}})
    left = emulator.api.invoices.remove_lines(draft.id, {"lines": [{"id": third, "behavior": "delete"}]})
    assert [(line.amount, line.description) for line in left.lines.data] == [
        (150, "line 0"),
        (200, "renamed"),
    ]
    assert left.total == 350


def test_pending_invoice_items_join_only_when_included(emulator: Emulated) -> None:
    customer = emulator.customer().id
    item = emulator.api.invoice_items.create({"customer": customer, "amount": 700, "currency": "usd"})
    assert emulator.api.invoices.create({"customer": customer}).total == 0
    included = emulator.api.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})
    assert included.total == 700
    assert emulator.api.invoice_items.retrieve(item.id).invoice == included.id
    assert emulator.api.invoice_items.list({"customer": customer, "pending": True}).data == []


def test_a_total_below_the_minimum_is_paid_and_moves_to_the_balance(emulator: Emulated) -> None:
    customer = emulator.customer().id
    small = emulator.open_invoice(49, customer=customer)
    assert (small.status, small.total, small.amount_due, small.ending_balance) == ("paid", 49, 0, 49)
    assert emulator.api.customers.retrieve(customer).balance == 49
    following = emulator.open_invoice(100, customer=customer)
    assert (following.starting_balance, following.amount_due, following.ending_balance) == (49, 149, 0)
    assert emulator.api.customers.retrieve(customer).balance == 0


def test_a_zero_total_is_paid_at_finalisation_without_a_payment(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(0)
    assert (invoice.status, invoice.amount_due) == ("paid", 0)
    assert emulator.api.invoice_payments.list({"invoice": invoice.id}).data == []


def test_a_credit_balance_is_applied_and_comes_back_when_voided(emulator: Emulated) -> None:
    customer = emulator.customer().id
    emulator.api.customers.update(customer, {"balance": -400})
    invoice = emulator.open_invoice(1_000, customer=customer)
    assert (invoice.starting_balance, invoice.amount_due, invoice.ending_balance) == (-400, 600, 0)
    assert emulator.api.customers.retrieve(customer).balance == 0
    emulator.api.invoices.void_invoice(invoice.id)
    assert emulator.api.customers.retrieve(customer).balance == -400


def test_a_negative_total_becomes_credit(emulator: Emulated) -> None:
    customer = emulator.customer().id
    invoice = emulator.open_invoice(-500, customer=customer)
    assert (invoice.status, invoice.amount_due, invoice.ending_balance) == ("paid", 0, -500)


@pytest.mark.parametrize(
    ("currency", "amount", "accepted"),
    [
        ("bhd", 1_230, True),
        ("bhd", 1_234, False),
        ("isk", 50_000, True),
        ("isk", 50_050, False),
        ("jpy", 123, True),
    ],
)
def test_amounts_follow_the_currencys_step(emulator: Emulated, currency: str, amount: int, accepted: bool) -> None:
    draft = emulator.draft(currency=currency)
    lines: Any = {"lines": [{"amount": amount}]}
    if accepted:
        assert emulator.api.invoices.add_lines(draft.id, lines).total == amount
    else:
        with pytest.raises(stripe.InvalidRequestError, match="divisible"):
            emulator.api.invoices.add_lines(draft.id, lines)


def test_an_unknown_currency_is_refused(emulator: Emulated) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Invalid currency"):
        emulator.draft(currency="xyz")


def test_paid_out_of_band_takes_no_money(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(1_000)
    paid = emulator.api.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid_off_stripe) == ("paid", 1_000)
    assert emulator.api.charges.list({"customer": str(invoice.customer)}).data == []


def test_paying_a_draft_finalises_it_first(emulator: Emulated) -> None:
    paid = emulator.api.invoices.pay(emulator.draft(900).id)
    assert (paid.status, paid.number is None) == ("paid", False)


def test_an_uncollectible_invoice_can_still_be_paid_or_voided(emulator: Emulated) -> None:
    first, second = emulator.open_invoice(), emulator.open_invoice()
    for invoice in (first, second):
        assert emulator.api.invoices.mark_uncollectible(invoice.id).status == "uncollectible"
    assert emulator.api.invoices.pay(first.id).status == "paid"
    assert emulator.api.invoices.void_invoice(second.id).status == "void"
    with pytest.raises(stripe.InvalidRequestError, match="void"):
        emulator.api.invoices.pay(second.id)


def test_a_due_date_needs_send_invoice_and_send_invoice_a_due_date(emulator: Emulated) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        emulator.draft(days_until_due=3)
    with pytest.raises(stripe.InvalidRequestError):
        emulator.draft(collection_method="send_invoice")
    invoice = emulator.draft(collection_method="send_invoice", days_until_due=3)
    assert invoice.due_date == invoice.created + 3 * 86_400


def test_a_deleted_customer_gets_no_invoice_and_keeps_the_old_ones(emulator: Emulated) -> None:
    customer = emulator.customer().id
    invoice = emulator.open_invoice(customer=customer)
    emulator.api.customers.delete(customer)
    assert emulator.api.customers.retrieve(customer).deleted is True
    assert emulator.api.invoices.retrieve(invoice.id).status == "open"
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        emulator.api.invoices.create({"customer": customer})
    assert (refusal.value.http_status, refusal.value.param) == (400, "customer")


def test_an_invoice_too_large_to_charge_cannot_be_finalised_and_the_clock_says_so(
    start: Callable[..., Emulated],
) -> None:
    e = start()
    draft = e.draft(99_999_999, 1, auto_advance=True)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        e.api.invoices.finalize_invoice(draft.id)
    assert refusal.value.code == "amount_too_large"
    e.advance(3_601)
    left = e.api.invoices.retrieve(draft.id)
    assert left.status == "draft"
    assert left.last_finalization_error is not None
    assert left.last_finalization_error.code == "amount_too_large"
