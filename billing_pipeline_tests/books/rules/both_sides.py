"""Small books of both sides, for tests of the rules that compare them and add them up."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from billing_pipeline.books.rules.both_books import Books, OurCharge
from billing_pipeline.stripe_gateway.rules.objects import CreditNote, ListedBook, Payment, Refund

OCTOBER = "2026-10-01"
AN_INSTANT = datetime(2026, 11, 2, tzinfo=UTC)


def our_id(number: int) -> str:
    return str(UUID(int=number))


def ours(number: int, state: str = "paid", total_minor: int = 1000, currency: str = "usd", **over: Any) -> OurCharge:
    """Charge number n; it remembers the invoice `in_n` unless it is still an intent."""
    remembered = None if state == "intended" else f"in_{number}"
    values: dict[str, Any] = {"customer_id": f"c{number}", "billing_month": OCTOBER, "stripe_invoice_id": remembered}
    return OurCharge(
        invoice_id=our_id(number), state=state, total_minor=total_minor, currency=currency, **{**values, **over}
    )


def theirs(
    number: int, status: str = "paid", total_minor: int = 1000, currency: str = "usd", **over: Any
) -> ListedBook:
    """Invoice `in_n` at Stripe, which names charge n as ours; what is paid was collected in full."""
    values: dict[str, Any] = {
        "stripe_invoice_id": f"in_{number}",
        "invoice_id": our_id(number),
        "billing_month": OCTOBER,
        "stripe_customer_id": f"cus_{number}",
        "due_minor": total_minor,
        "paid_minor": total_minor if status == "paid" else 0,
        "off_stripe_minor": 0,
    }
    return ListedBook(status=status, total_minor=total_minor, currency=currency, **{**values, **over})


def payment(number: int, paid_minor: int = 1000, currency: str = "usd", after_s: int = 0, **over: Any) -> Payment:
    """Payment `inpay_n` of invoice `in_n`, by the intent `pi_n`."""
    values: dict[str, Any] = {
        "payment_id": f"inpay_{number}",
        "stripe_invoice_id": f"in_{number}",
        "payment_intent_id": f"pi_{number}",
        "requested_minor": paid_minor,
        "status": "paid",
        "created_at": AN_INSTANT + timedelta(seconds=after_s),
        "paid_at": AN_INSTANT,
    }
    return Payment(paid_minor=paid_minor, currency=currency, **{**values, **over})


def refund(number: int, amount_minor: int = 100, **over: Any) -> Refund:
    """Refund `re_n` of the intent `pi_n`."""
    values: dict[str, Any] = {
        "refund_id": f"re_{number}",
        "payment_intent_id": f"pi_{number}",
        "charge_id": f"ch_{number}",
        "currency": "usd",
        "status": "succeeded",
        "reason": None,
        "created_at": AN_INSTANT,
    }
    return Refund(amount_minor=amount_minor, **{**values, **over})


def credit_note(number: int, total_minor: int = 100, **over: Any) -> CreditNote:
    """Credit note `cn_n` for invoice `in_n`."""
    values: dict[str, Any] = {
        "credit_note_id": f"cn_{number}",
        "stripe_invoice_id": f"in_{number}",
        "number": f"CN-{number}",
        "pre_payment_minor": 0,
        "post_payment_minor": total_minor,
        "currency": "usd",
        "status": "issued",
        "reason": None,
        "created_at": AN_INSTANT,
    }
    return CreditNote(total_minor=total_minor, **{**values, **over})


def books(
    charges: list[OurCharge], invoices: list[ListedBook], payments: list[Payment] | None = None, **over: Any
) -> Books:
    """Both sides; a payment in full for each paid invoice unless other payments are given."""
    if payments is None:
        payments = [
            payment(0, one.paid_minor, one.currency, payment_id=f"pay_{one.stripe_invoice_id}",
                    stripe_invoice_id=one.stripe_invoice_id, payment_intent_id=f"pi_of_{one.stripe_invoice_id}")
            for one in invoices
            if one.status == "paid" and one.paid_minor > one.off_stripe_minor
        ]  # fmt: skip
    values: dict[str, Any] = {
        "elsewhere": (),
        "months": {OCTOBER},
        "payments_here": None,
        "refunds_here": {},
        "credit_notes_here": {},
        "refunds": (),
        "credit_notes": (),
    }
    return Books(
        charges={charge.invoice_id: charge for charge in charges},
        invoices=invoices,
        payments=payments,
        **{**values, **over},
    )
