"""What happens to an invoice after the draft, by request: finalise, pay, void, write off.

Sources: https://docs.stripe.com/invoicing/overview (life cycle),
https://docs.stripe.com/billing/customer/balance (applied balance, totals below the minimum charge),
https://docs.stripe.com/api/invoices/pay.
"""

from __future__ import annotations

from . import currencies, customers, disputes, payment_methods
from .cards import OUTCOMES, TEST_CARDS, Outcome
from .errors import StripeError, invalid
from .indexing import Body
from .invoice_objects import AUTO_ADVANCE_S
from .payment_objects import new_charge, new_invoice_payment, new_payment_intent
from .routes import route
from .work import Work


def finalize(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/finalize."""
    before = work.store.get("invoice", invoice)
    if before["status"] != "draft":
        raise invalid(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            code="invoice_not_editable",
        )
    if "auto_advance" in params:
        before = before | {"auto_advance": params["auto_advance"]}
    return finalise(work, before)


def finalise(work: Work, before: Body) -> Body:
    """Number, applied balance, and an open invoice with a payment intent or one that is paid at once."""
    customer = work.store.get("customer", before["customer"], "customer")
    currency = before["currency"]
    starting = customers.balance(customer, currency)
    needed = before["total"] + starting
    below_minimum = 0 < needed < currencies.minimum_minor(currency)
    due = 0 if below_minimum else max(0, needed)
    if due > currencies.CHARGE_MAX_MINOR:
        raise invalid(
            f"Amount must be no more than {currencies.CHARGE_MAX_MINOR} minor units.", code="amount_too_large"
        )
    ending = needed - due
    if ending != starting:
        customer = customers.change_balance(
            work, customer, currency, ending - starting, "applied_to_invoice", invoice=before["id"]
        )
    sequence = customer["next_invoice_sequence"]
    work.store.replace(customer | {"next_invoice_sequence": sequence + 1})
    retry = before["auto_advance"] and due and before["collection_method"] == "charge_automatically"
    after = before | {
        "amount_due": due,
        "amount_remaining": due,
        "automatically_finalizes_at": None,
        "effective_at": before["effective_at"] or work.now,
        "ending_balance": ending,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/acct_emulated/{before['id']}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/acct_emulated/{before['id']}/pdf",
        "next_payment_attempt": work.now + AUTO_ADVANCE_S if retry else None,
        "number": before["number"] or f"{customer['invoice_prefix']}-{sequence:04d}",
        "starting_balance": starting,
        "status": "open",
        "status_transitions": before["status_transitions"] | {"finalized_at": work.now},
    }
    after = work.update(before, after, "invoice.finalized", "invoice.updated")
    if due == 0:
        return _paid(work, after, attempted=True)
    intent = new_payment_intent(work, after, due)
    work.create(intent, "payment_intent.created")
    work.create(new_invoice_payment(work, after, intent["id"]))
    return after


def _paid(work: Work, before: Body, *, attempted: bool, off_stripe_minor: int = 0) -> Body:
    after = before | {
        "amount_paid": before["amount_paid"] + before["amount_remaining"],
        "amount_paid_off_stripe": before["amount_paid_off_stripe"] + off_stripe_minor,
        "amount_remaining": 0,
        "attempted": attempted or before["attempted"],
        "next_payment_attempt": None,
        "status": "paid",
        "status_transitions": before["status_transitions"] | {"paid_at": work.now},
    }
    return work.update(before, after, "invoice.updated", "invoice.paid", "invoice.payment_succeeded")


def pay(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/pay: one attempt, now; a draft is finalised first."""
    before = work.store.get("invoice", invoice)
    if before["status"] == "draft":
        before = finalise(work, before)
        if before["status"] == "paid":
            return before
    if before["status"] == "paid":
        raise invalid("Invoice is already paid")
    if before["status"] == "void":
        raise invalid("You can't pay an invoice that is void.")
    exclusive = [name for name in ("paid_out_of_band", "payment_method") if params.get(name)]
    if len(exclusive) > 1:
        raise invalid("You may only specify one of these parameters: paid_out_of_band, payment_method.")
    if params.get("paid_out_of_band"):
        _cancel_payment(work, before)
        return _paid(work, before, attempted=True, off_stripe_minor=before["amount_remaining"])
    return attempt(work, before, params.get("payment_method"), off_session=params.get("off_session", True))


def _method(work: Work, invoice: Body, requested: str | None) -> Body:
    if requested is not None:
        if requested in TEST_CARDS:
            return payment_methods.resolve(work, requested, "payment_method")
        return payment_methods.attached(work, invoice["customer"], requested, "payment_method")
    customer = work.store.get("customer", invoice["customer"], tombstones=True)
    chosen = invoice["default_payment_method"]
    if not chosen and invoice["parent"]:
        subscription = invoice["parent"]["subscription_details"]["subscription"]
        chosen = work.store.get("subscription", subscription)["default_payment_method"]
    if not chosen and not customer.get("deleted"):
        chosen = customer["invoice_settings"]["default_payment_method"]
    method = work.store.get("payment_method", chosen) if chosen else None
    if method is None or method["customer"] != invoice["customer"]:
        raise invalid(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set either "
            "prior to paying the invoice.",
            code="resource_missing",
        )
    return method


def attempt(work: Work, invoice: Body, requested: str | None, *, off_session: bool) -> Body:
    """Charge the open amount once. A refusal raises with its effects kept: the attempt has happened."""
    method = _method(work, invoice, requested)
    payment = open_payment(work, invoice["id"])
    intent = work.store.get("payment_intent", payment["payment"]["payment_intent"])
    outcome = OUTCOMES[work.store.private(method["id"])["outcome"]]
    if outcome.effect == "authenticate":
        raise _action_required(work, invoice, intent, method, off_session=off_session)
    if outcome.effect == "decline":
        raise _declined(work, invoice, intent, method, outcome)
    charge = new_charge(work, intent, method, None)
    work.create(charge, "charge.succeeded", private={"effect": outcome.effect})
    paid_intent = intent | {
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "payment_method": method["id"],
        "status": "succeeded",
    }
    work.update(intent, paid_intent, "payment_intent.succeeded")
    paid_payment = payment | {
        "amount_paid": intent["amount"],
        "status": "paid",
        "status_transitions": payment["status_transitions"] | {"paid_at": work.now},
    }
    work.update(payment, paid_payment, "invoice_payment.paid")
    paid = _paid(work, attempted(invoice), attempted=True)
    if outcome.effect == "dispute":
        disputes.open_dispute(work, charge["id"], "fraudulent")
    return paid


def attempted(invoice: Body) -> Body:
    """The invoice with one more attempt to charge it."""
    return invoice | {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}


def open_payment(work: Work, invoice: str) -> Body:
    """The invoice payment that is waiting for money."""
    return work.store.find("invoice_payment", ("parent = ?", invoice), ("status = ?", "open"))[0]


def _declined(work: Work, invoice: Body, intent: Body, method: Body, outcome: Outcome) -> StripeError:
    failure = {"code": outcome.code, "decline_code": outcome.decline_code, "message": outcome.message}
    charge = new_charge(work, intent, method, failure)
    work.create(charge, "charge.failed")
    fields = {name: value for name, value in failure.items() if value} | {
        "charge": charge["id"],
        "type": "card_error",
    }
    failed = intent | {
        "last_payment_error": fields | {"payment_method": method},
        "latest_charge": charge["id"],
        "payment_method": None,
        "status": "requires_payment_method",
    }
    work.update(intent, failed, "payment_intent.payment_failed")
    work.update(invoice, attempted(invoice), "invoice.updated", "invoice.payment_failed")
    return StripeError(
        402,
        "card_error",
        outcome.message,
        code=outcome.code,
        keep_effects=True,
        decline_code=outcome.decline_code,
        charge=charge["id"],
        payment_intent=failed,
        payment_method=method,
    )


def _action_required(work: Work, invoice: Body, intent: Body, method: Body, *, off_session: bool) -> StripeError:
    waiting = intent | {
        "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}},
        "payment_method": method["id"],
        "status": "requires_action",
    }
    work.update(intent, waiting, "payment_intent.requires_action")
    events = ["invoice.updated", "invoice.payment_action_required"] + ["invoice.payment_failed"] * off_session
    work.update(invoice, attempted(invoice), *events)
    return StripeError(
        402,
        "card_error",
        "Payment for this invoice requires additional user action before it can be completed successfully. "
        "Payment can be completed using the PaymentIntent associated with the invoice. For more details see: "
        "https://stripe.com/docs/billing/subscriptions/overview#requires-action",
        code="invoice_payment_intent_requires_action",
        keep_effects=True,
        payment_intent=waiting,
    )


def _cancel_payment(work: Work, invoice: Body) -> None:
    for payment in work.store.find("invoice_payment", ("parent = ?", invoice["id"]), ("status = ?", "open")):
        intent = work.store.get("payment_intent", payment["payment"]["payment_intent"])
        canceled = {"canceled_at": work.now, "cancellation_reason": "void_invoice", "status": "canceled"}
        work.update(intent, intent | canceled, "payment_intent.canceled")
        transitions = payment["status_transitions"] | {"canceled_at": work.now}
        work.store.replace(payment | {"status": "canceled", "status_transitions": transitions})


def void(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/void: open or uncollectible only; an applied balance goes back."""
    del params
    before = work.store.get("invoice", invoice)
    if before["status"] not in {"open", "uncollectible"}:
        article = "an" if before["status"][0] in "aeiou" else "a"
        raise invalid(
            f"You can only pass in open or uncollectible invoices. This invoice isn't: it is {article} "
            f"{before['status']} invoice."
        )
    _cancel_payment(work, before)
    restored = before["starting_balance"] - before["ending_balance"]
    customer = work.store.get("customer", before["customer"], tombstones=True)
    if restored and not customer.get("deleted"):
        customers.change_balance(
            work, customer, before["currency"], restored, "unapplied_from_invoice", invoice=before["id"]
        )
    transitions = before["status_transitions"] | {"voided_at": work.now}
    after = before | {"next_payment_attempt": None, "status": "void", "status_transitions": transitions}
    return work.update(before, after, "invoice.updated", "invoice.voided")


def mark_uncollectible(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/mark_uncollectible: open invoices only."""
    del params
    before = work.store.get("invoice", invoice)
    if before["status"] != "open":
        raise invalid(f"You can only mark open invoices as uncollectible; this one is {before['status']}.")
    transitions = before["status_transitions"] | {"marked_uncollectible_at": work.now}
    after = before | {
        "next_payment_attempt": None,
        "status": "uncollectible",
        "status_transitions": transitions,
    }
    return work.update(before, after, "invoice.updated", "invoice.marked_uncollectible")


def send(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/send: finalises a draft; no e-mail leaves the emulator, the event does."""
    del params
    before = work.store.get("invoice", invoice)
    if before["collection_method"] != "send_invoice":
        raise invalid("You can only send an invoice whose `collection_method` is `send_invoice`.")
    after = finalise(work, before) if before["status"] == "draft" else before
    work.announce("invoice.sent", after)
    return after


def settle_open(work: Work, invoice: Body, *, pre_minor: int, post_minor: int) -> Body:
    """Book a credit note: the open amount falls by ``pre_minor``; at zero the invoice is paid."""
    after = invoice | {
        "amount_due": invoice["amount_due"] - pre_minor,
        "amount_remaining": invoice["amount_remaining"] - pre_minor,
        "post_payment_credit_notes_amount": invoice["post_payment_credit_notes_amount"] + post_minor,
        "pre_payment_credit_notes_amount": invoice["pre_payment_credit_notes_amount"] + pre_minor,
    }
    if not pre_minor:
        return work.update(invoice, after, "invoice.updated")
    if after["amount_remaining"] == 0:
        _cancel_payment(work, invoice)
        return _paid(work, after, attempted=invoice["attempted"])
    payment = open_payment(work, invoice["id"])
    intent = work.store.get("payment_intent", payment["payment"]["payment_intent"])
    work.store.replace(intent | {"amount": after["amount_remaining"]})
    work.store.replace(payment | {"amount_requested": after["amount_remaining"]})
    return work.update(invoice, after, "invoice.updated")


ROUTES = (
    route("POST", "/v1/invoices/:invoice/finalize", "InvoiceFinalizeInvoice", finalize, "auto_advance"),
    route("POST", "/v1/invoices/:invoice/pay", "InvoicePay", pay, "off_session paid_out_of_band payment_method"),
    route("POST", "/v1/invoices/:invoice/void", "InvoiceVoidInvoice", void),
    route("POST", "/v1/invoices/:invoice/mark_uncollectible", "InvoiceMarkUncollectible", mark_uncollectible),
    route("POST", "/v1/invoices/:invoice/send", "InvoiceSendInvoice", send),
)
