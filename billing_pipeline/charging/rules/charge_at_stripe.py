"""What Stripe's invoice means for our charge: the one rule, whoever looked. Pure.

A run, an event, a person who corrects or voids: each asks Stripe in its own way and then comes here. Here: what the
invoice and its payments say about the charge. Not here: what is called next (next_step.py), writing it down
(charging/store.py), who may act on it now (events/rules/stripe_events.py, charging/invoice.py).
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

from billing_pipeline.charging.rules.charging import STAGES, Charge
from billing_pipeline.stripe_gateway.rules.api import PAYMENT_UNDER_WAY, StripeInvoice
from billing_pipeline.stripe_gateway.rules.errors import Evidence, Outcome, classify

VOIDED_AT_STRIPE = "voided_at_stripe"
"""Reason of a void that we did not ask for. Its period is not billed again by itself: a person decides."""


@dataclass(frozen=True, slots=True)
class Agrees:
    """The charge is as far as Stripe's invoice, or further: there is nothing to record."""


@dataclass(frozen=True, slots=True)
class PaymentUnderWay:
    """A payment of the open invoice waits for Stripe's word: neither refused nor unknown, and not to be repeated.

    That may take days; `payment_intent_id` is kept with the charge, so that its end is known for this attempt's.
    """

    payment_status: str
    payment_intent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """The state that the charge has reached by what Stripe shows; with its reason if that is `refused`."""

    state: str
    reason_code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """It is another invoice's, another customer's, or in another currency: not what we made."""

    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Contradicts:
    """It is ours, and not as it has to be: a person decides.

    `only_under_lock`: to be concluded only by whoever holds the invoice's lock and has just asked. A draft can still
    change, and a look without the lock may be older than our row.
    """

    reason_code: str
    reason: str
    only_under_lock: bool = False


Meaning: TypeAlias = Agrees | PaymentUnderWay | Reached | Foreign | Contradicts


def meaning_of(charge: Charge, invoice: StripeInvoice, *, refusal_is_of_this_attempt: bool = False) -> Meaning:
    """What an invoice at Stripe means for the charge that it stands for.

    Args:
        charge: our row; its ids at Stripe are those that it has or is about to get.
        invoice: the invoice as it was seen.
        refusal_is_of_this_attempt: whether the last refusal that the invoice shows answers the charge's attempt, and
            not an earlier one. Whoever looked has to know; False leaves the refusal out.
    """
    return _foreign(charge, invoice) or _by_status(charge, invoice, refusal_is_of_this_attempt)


def resumed_state(charge: Charge, invoice: StripeInvoice | None) -> str:
    """The state from which a pass goes on with a refused or parked charge, after a person said so.

    Args:
        charge: our row.
        invoice: what stands for it at Stripe; None: nothing does any more, or nothing ever did.
    """
    if charge.state == "refused":
        return "finalized"
    if charge.stripe_invoice_id is None:
        return "intended"
    is_open = invoice is not None and meaning_of(replace(charge, state="drafted"), invoice) == Reached("finalized")
    return "finalized" if is_open else "drafted"


def has_our_total(charge: Charge, invoice: StripeInvoice) -> bool:
    """Whether Stripe's total is the amount of the charge, in its currency.

    `total`, not `amount_due`: an applied balance or a total below the minimum charge changes what is due, not what
    was billed (https://docs.stripe.com/billing/customer/balance).
    """
    return (invoice.total_minor, invoice.currency) == (charge.amount_minor, charge.currency)


def _foreign(charge: Charge, invoice: StripeInvoice) -> Foreign | None:
    for code, name, ours, theirs in (
        ("invoice_differs", "metadata.invoice_id", charge.invoice_id, invoice.invoice_id),
        ("customer_differs", "customer", charge.stripe_customer_id, invoice.customer_id),
        ("currency_differs", "currency", charge.currency, invoice.currency),
    ):
        if ours != theirs:
            return Foreign(code, f"{invoice.id} is not this invoice's: its {name} is {theirs}, expected {ours}")
    return None


def _by_status(charge: Charge, invoice: StripeInvoice, refusal_is_of_this_attempt: bool) -> Meaning:
    match invoice.status:
        case "void":
            return _voided(charge, invoice)
        case "draft":
            return _draft(charge, invoice)
        case "open" | "paid" | "uncollectible" if not has_our_total(charge, invoice):
            return _total_differs(charge, invoice)
        case "paid" | "uncollectible":
            return _ended(charge, invoice.status)
        case "open":
            return _open(charge, invoice, refusal_is_of_this_attempt)
        case _:
            return Contradicts("status_unknown", f"{invoice.id} is {invoice.status}", only_under_lock=True)


def _ended(charge: Charge, status: str) -> Meaning:
    """Paid and void are final here; what was given up as uncollectible may still be paid or voided."""
    return Agrees() if charge.state in ("paid", "void", status) else Reached(status)


def _voided(charge: Charge, invoice: StripeInvoice) -> Meaning:
    """Our own voids are recorded by whoever voids; what is found void was voided by somebody there."""
    if charge.state in ("paid", "void"):
        return Agrees()
    by = f"revised there: {invoice.revision_id} took its place" if invoice.revision_id else "voided there"
    return Reached("void", VOIDED_AT_STRIPE, f"{invoice.id} was {by}, and not by us")


def _draft(charge: Charge, invoice: StripeInvoice) -> Meaning:
    if charge.state not in ("intended", "drafted", "lines_added", "finalized"):
        return Agrees()  # refused, parked or at its end: a draft says nothing new about it
    is_ours = invoice.has_lines and has_our_total(charge, invoice)
    reached = "lines_added" if is_ours else "drafted"
    if STAGES[reached] > STAGES[charge.state]:
        return Reached(reached)
    if charge.state == "finalized":
        return Contradicts("status_unknown", f"{invoice.id} was finalised and is a draft", only_under_lock=True)
    if invoice.has_lines and not is_ours:
        return _total_differs(charge, invoice)
    if charge.state == "lines_added" and not invoice.has_lines:
        return Contradicts("lines_missing", f"the lines of {invoice.id} were removed at Stripe", only_under_lock=True)
    return Agrees()


def _open(charge: Charge, invoice: StripeInvoice, refusal_is_of_this_attempt: bool) -> Meaning:
    if STAGES[charge.state] < STAGES["finalized"]:
        return Reached("finalized")
    if charge.state != "finalized":
        return Agrees()
    if invoice.payment_status in PAYMENT_UNDER_WAY:
        return PaymentUnderWay(str(invoice.payment_status), invoice.payment_intent_id)
    if charge.bank_payment_id is not None and charge.bank_payment_id not in invoice.paid_intents:
        # it was under way and is not any more: whatever is said of it, or nothing, this attempt is refused
        _, code, decline_code = invoice.refusal or ("debit", None, None)
        return _refused(("debit", code, decline_code))
    if (refusal_is_of_this_attempt or charge.key_may_be_gone) and invoice.refusal is not None:
        return _refused(invoice.refusal)
    return Agrees()


def _total_differs(charge: Charge, invoice: StripeInvoice) -> Contradicts:
    return Contradicts(
        "total_differs",
        f"{invoice.id} ({invoice.status}) has a total of {invoice.total_minor}, ours is {charge.amount_minor}",
        only_under_lock=invoice.status == "draft",
    )


def _refused(refusal: tuple[str, str | None, str | None]) -> Reached | Contradicts:
    kind, code, decline_code = refusal
    evidence = Evidence(kind, code, decline_code, message="last payment error of the payment intent")
    verdict = classify(evidence)
    if verdict.outcome is Outcome.REFUSED:
        return Reached("refused", verdict.reason_code, str(evidence))
    return Contradicts(verdict.reason_code, str(evidence), only_under_lock=True)


def payment_under_way(invoice: StripeInvoice) -> bool:
    """Whether money of the invoice may be on its way: it is neither taken back nor asked for again meanwhile."""
    return invoice.status != "paid" and invoice.payment_status in PAYMENT_UNDER_WAY


def bank_payment_of(invoice: StripeInvoice) -> str | None:
    """The payment intent that a bank was asked for, if it is one whose answer takes days and it was refused."""
    return invoice.payment_intent_id if invoice.refusal is not None and invoice.refusal[0] == "debit" else None
