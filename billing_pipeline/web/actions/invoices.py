"""What is done to an invoice, and to credit notes and adjustments."""

from dataclasses import asdict
from typing import Any

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.charging.brakes import limits_of
from billing_pipeline.charging.operations import invoice_named, retry_charge
from billing_pipeline.charging.reading import story
from billing_pipeline.charging.write_off import write_off
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import revoke
from billing_pipeline.corrections.credit_note_decisions import drop_parked, retry_parked
from billing_pipeline.corrections.credit_notes import issue_credit_note
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.invoicing.credits import return_credits
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.settings import load_settings
from billing_pipeline.web.actions.desk import AMOUNT, Action, Desk, Do, Done, Field, Fields, given_amount
from billing_pipeline.web.actions.holding import of_invoice, place, release
from billing_pipeline.web.actions.running import start_run


def invoice_in_words(desk: Desk, reference: str) -> str:
    """Number, customer, total and status."""
    found = find_invoice(desk.warehouse, reference)
    name = read_customer(desk.warehouse, found.customer_id)["name"]
    return f"{found.number or 'the draft'} of {name}, {format_minor(found.total_minor, found.currency)}, {found.status}"


def _draft(desk: Desk, reference: str, signature: Signature, _: Fields) -> Done:
    draft = find_invoice(desk.warehouse, reference)
    return start_run(desk, f"{draft.billing_month:%Y-%m}", "bill_customer", signature, draft.customer_id)


def _void(*, rebill: bool) -> Do:
    again = " Its month bills the period again as the next revision." if rebill else ""

    def do(desk: Desk, reference: str, signature: Signature, _: Fields) -> Done:
        with desk.stripe() as api:
            named, done = void_invoice(desk.warehouse, api, reference, signature, rebill=rebill)
        facts = {"invoice_id": named.invoice_id, "stripe_invoice_ids": done.stripe_invoice_ids, "rebill": rebill}
        return Done("Void, here and at Stripe." + again, facts)

    return do


def _credit(desk: Desk, reference: str, signature: Signature, fields: Fields) -> Done:
    currency = find_invoice(desk.warehouse, reference).currency
    amount_minor = given_amount(fields, currency)
    with desk.stripe() as api:
        note = issue_credit_note(
            desk.warehouse, api, reference, signature, amount_minor=amount_minor, to=fields.get("to") or "refund"
        )
    facts = {
        "number": note.number,
        "currency": currency,
        "amount_minor": note.amount_minor,
        **asdict(note.parts),
        "state": note.sent.state,
    }
    return Done(
        f"Credit note {note.number} over {format_minor(note.amount_minor, currency)}: {note.sent.state}.", facts
    )


def _retry(desk: Desk, reference: str, signature: Signature, _: Fields) -> Done:
    said: list[str] = []
    invoice_id = invoice_named(desk.warehouse, reference)
    with desk.stripe() as api:
        report = retry_charge(
            desk.warehouse, api, invoice_id, signature, limits=limits_of(load_settings().charging), log=said.append
        )
    brakes = [str(brake) for brake in report.brakes]
    return Done(" ".join(said) or "Tried again.", {**charge_facts(desk, invoice_id), "brakes": brakes})


def charge_facts(desk: Desk, invoice_id: str) -> dict[str, Any]:
    """Where a charge is now."""
    charge = story(desk.warehouse, invoice_id).charge
    return {name: charge[name] for name in ("number", "state", "attempt", "reason_code", "reason")}


def _write_off(desk: Desk, reference: str, signature: Signature, _: Fields) -> Done:
    with desk.stripe() as api:
        done = write_off(desk.warehouse, api, reference, signature)
    said = f"{format_minor(done.remaining_minor, done.currency)} of {done.label} is given up, here and at Stripe."
    return Done(said, asdict(done))


def _return_credits(desk: Desk, reference: str, signature: Signature, fields: Fields) -> Done:
    named = find_invoice(desk.warehouse, reference)
    amount_minor = given_amount(fields, named.currency)
    returned = return_credits(desk.warehouse, reference, signature, amount_minor=amount_minor)
    said = f"{format_minor(returned, named.currency)} is back in the credits of {named.customer_id}."
    return Done(said, {"currency": named.currency, "returned_minor": returned})


def _retry_note(desk: Desk, number: str, signature: Signature, _: Fields) -> Done:
    with desk.stripe() as api:
        sent = retry_parked(desk.warehouse, api, number, signature)
    facts = {"number": sent.number, "state": sent.state, "reason_code": sent.reason_code}
    return Done(f"Credit note {sent.number}: {sent.state}.", facts)


def _drop_note(desk: Desk, number: str, signature: Signature, _: Fields) -> Done:
    with desk.stripe() as api:
        drop_parked(desk.warehouse, api, number, signature)
    return Done(f"{number.strip().upper()} credits nothing and keeps its number.", {"number": number.strip().upper()})


def _revoke_adjustment(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    revoke(desk.warehouse, key, signature)
    return Done("No invoice takes it.", {"adjustment_id": key})


INVOICES = {
    "draft": Action(
        "Draft again",
        lambda desk, key: (
            "Builds this customer's drafts of the month from all usage that has come, in place of"
            f" {invoice_in_words(desk, key)}. Those of others stay as they are."
        ),
        _draft,
        scope=Scope.CHANGE_MONTHS,
    ),
    "void": Action(
        "Void and bill again",
        lambda desk, key: f"Voids {invoice_in_words(desk, key)}, here and at Stripe; the period is billed again.",
        _void(rebill=True),
    ),
    "void-only": Action(
        "Void",
        lambda desk, key: f"Voids {invoice_in_words(desk, key)}, here and at Stripe; the period is not billed again.",
        _void(rebill=False),
    ),
    "credit": Action(
        "Credit",
        lambda desk, key: f"Takes an amount of {invoice_in_words(desk, key)} back by a credit note.",
        _credit,
        (
            AMOUNT,
            Field(
                "to",
                "What is paid back goes to",
                choices=(("refund", "the card"), ("balance", "the customer's balance"), ("elsewhere", "elsewhere")),
            ),
        ),
    ),
    "retry": Action(
        "Try the payment again",
        lambda desk, key: f"Asks Stripe for {invoice_in_words(desk, key)} once more.",
        _retry,
        scope=Scope.CHANGE_STRIPE,
    ),
    "write-off": Action(
        "Write off",
        lambda desk, key: f"Gives up what is still owed of {invoice_in_words(desk, key)}, here and at Stripe.",
        _write_off,
    ),
    "hold": Action("Hold", lambda desk, key: f"Keeps {invoice_in_words(desk, key)} back.", place(of_invoice)),
    "release": Action("Release", lambda desk, key: f"Lets {invoice_in_words(desk, key)} go.", release(of_invoice)),
    "return-credits": Action(
        "Give back prepaid credits",
        lambda desk, key: f"Gives back what {invoice_in_words(desk, key)} drew of the customer's credits.",
        _return_credits,
        (Field("amount", "Amount; blank: all that it drew", required=False),),
    ),
}
CREDIT_NOTES = {
    "retry": Action("Send again", lambda _, key: f"Sends the parked credit note {key} again.", _retry_note),
    "drop": Action("Let go", lambda _, key: f"Lets the parked credit note {key} credit nothing.", _drop_note),
}
ADJUSTMENTS = {
    "revoke": Action("Revoke", lambda _, key: f"Lets no invoice take the adjustment {key}.", _revoke_adjustment),
}
