"""What the console lets people do. Each is one operation of a room, the one that the command calls too.

An action says what it will do to whom before it does it, asks for the reason, and is signed by who is signed in.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from billing_pipeline.books.month_closing import close_month
from billing_pipeline.charging.brakes import limits_of, pause_charging, resume_charging
from billing_pipeline.charging.operations import invoice_named, retry_charge
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor, parse_minor
from billing_pipeline.core.months import parse_month
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections import holds
from billing_pipeline.corrections.adjusting import adjust, currency_of
from billing_pipeline.corrections.approvals import approve_month, month_drafts
from billing_pipeline.corrections.credit_notes import issue_credit_note
from billing_pipeline.corrections.settlement_proposals import approve as approve_settlement
from billing_pipeline.corrections.settlement_proposals import withdraw as withdraw_settlement
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.events.queue import EventFilter, replay
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import load_settings
from billing_pipeline.stripe_gateway.gateway import StripeGateway

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Desk:
    """What an action works with. `stripe` opens the gateway for as long as the block takes."""

    warehouse: Warehouse
    stripe: Callable[[], AbstractContextManager[StripeGateway]]


@dataclass(frozen=True, slots=True)
class Field:
    """Something that the form asks for. `choices`: value and label; none: free text."""

    name: str
    label: str
    required: bool = True
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """`effect` says what will happen, with amounts; `do` does it and says what was done.

    `seen` is what the form carries along: the state that the person looked at, so that nothing else is signed.
    """

    title: str
    effect: Callable[[Desk, str], str]
    do: Callable[[Desk, str, Signature, Fields], str]
    fields: tuple[Field, ...] = field(default=())
    asks_reason: bool = True
    seen: Callable[[Desk, str], Fields] = lambda *_: {}


def _invoice_in_words(desk: Desk, reference: str) -> str:
    found = find_invoice(desk.warehouse, reference)
    [row] = desk.warehouse.rows(
        "SELECT i.total_minor, i.currency, i.status, c.name FROM billing.invoices AS i"
        " INNER JOIN billing.customers AS c USING (customer_id) WHERE i.invoice_id = CAST(:id AS uuid)",
        id=found.invoice_id,
    )
    total = format_minor(row["total_minor"], row["currency"])
    return f"{found.number or 'the draft'} of {row['name']}, {total}, {row['status']}"


def _customer_in_words(desk: Desk, customer_id: str) -> str:
    return f"{customer_id} {read_customer(desk.warehouse, customer_id)['name']}"


def _void(desk: Desk, reference: str, signature: Signature, *, rebill: bool) -> str:
    with desk.stripe() as api:
        void_invoice(desk.warehouse, api, reference, signature, rebill=rebill)
    return "Void, here and at Stripe." + (" Its month bills the period again as the next revision." if rebill else "")


def _credit(desk: Desk, reference: str, signature: Signature, fields: Fields) -> str:
    currency = find_invoice(desk.warehouse, reference).currency
    amount_minor = _amount(fields["amount"], currency)
    with desk.stripe() as api:
        note = issue_credit_note(
            desk.warehouse, api, reference, signature, amount_minor=amount_minor, to=fields.get("to") or "refund"
        )
    return f"Credit note {note.number} over {format_minor(note.amount_minor, currency)}: {note.sent.state}."


def _retry(desk: Desk, reference: str, signature: Signature, _: Fields) -> str:
    said: list[str] = []
    with desk.stripe() as api:
        retry_charge(
            desk.warehouse,
            api,
            invoice_named(desk.warehouse, reference),
            signature,
            limits=limits_of(load_settings().charging),
            log=said.append,
        )
    return " ".join(said) or "Tried again."


def _adjust(desk: Desk, customer_id: str, signature: Signature, fields: Fields) -> str:
    currency = currency_of(desk.warehouse, customer_id)
    made = adjust(
        desk.warehouse,
        customer_id,
        _amount(fields["amount"], currency),
        signature,
        description=fields.get("description") or None,
    )
    return f"{format_minor(made.amount_minor, currency)} on the next invoice: {made.description}."


def _amount(text: str, currency: str) -> int:
    try:
        return parse_minor(text, currency)
    except ValueError as error:
        raise UserError(f"amount {error}") from None


def _place(subject: Callable[[Desk, str], holds.Subject]) -> Callable[[Desk, str, Signature, Fields], str]:
    def do(desk: Desk, key: str, signature: Signature, _: Fields) -> str:
        held = subject(desk, key)
        holds.place_hold(desk.warehouse, held, signature)
        return f"{held.label} is kept back until somebody releases it."

    return do


def _release(subject: Callable[[Desk, str], holds.Subject]) -> Callable[[Desk, str, Signature, Fields], str]:
    def do(desk: Desk, key: str, signature: Signature, _: Fields) -> str:
        held = subject(desk, key)
        holds.release_hold(desk.warehouse, held, signature)
        return f"{held.label} is released."

    return do


def _of_customer(desk: Desk, key: str) -> holds.Subject:
    return holds.customer_subject(desk.warehouse, key)


def _of_invoice(desk: Desk, key: str) -> holds.Subject:
    return holds.invoice_subject(desk.warehouse, key)


def _of_month(_: Desk, key: str) -> holds.Subject:
    return holds.month_subject(parse_month(key))


def _drafts_in_words(desk: Desk, key: str) -> str:
    drafts = month_drafts(desk.warehouse, parse_month(key))
    totals = ", ".join(format_minor(amount, currency) for currency, amount in drafts.totals_minor.items())
    return f"{drafts.drafts:,} draft(s) over {totals or 'nothing'}; {drafts.unmet_gates} gate(s) have not passed"


def _approve(desk: Desk, key: str, signature: Signature, fields: Fields) -> str:
    approved = approve_month(desk.warehouse, parse_month(key), author=signature.author, rows=fields.get("rows", ""))
    return f"{approved.drafts:,} draft(s) are approved, exactly as they are."


def _close(desk: Desk, key: str, signature: Signature, _: Fields) -> str:
    with desk.stripe() as api:
        closed = close_month(
            desk.warehouse, api, parse_month(key), author=signature.author, run_id="console", now=datetime.now(UTC)
        )
    counts = f"{closed.invoice_count:,} invoices, {closed.payment_count:,} payments"
    return f"{closed.month:%Y-%m} is closed: {counts} agree with Stripe."


def _replay(desk: Desk, key: str, signature: Signature, _: Fields) -> str:
    return f"{replay(desk.warehouse, EventFilter(event_id=key), signature):,} event(s) will be processed again."


def _pause(desk: Desk, _: str, signature: Signature, __: Fields) -> str:
    pause_charging(desk.warehouse, signature)
    return "Nothing is charged until somebody resumes."


def _resume(desk: Desk, _: str, signature: Signature, __: Fields) -> str:
    resume_charging(desk.warehouse, signature)
    return "Charging goes on with the next run."


def _approve_settlement(desk: Desk, key: str, signature: Signature, _: Fields) -> str:
    return approve_settlement(desk.warehouse, int(key), author=signature.author)


def _withdraw_settlement(desk: Desk, key: str, signature: Signature, _: Fields) -> str:
    withdraw_settlement(desk.warehouse, int(key), signature)
    return "Withdrawn."


_AMOUNT = Field("amount", "Amount, such as 12.50")
ACTIONS: dict[str, dict[str, Action]] = {
    "invoices": {
        "void": Action(
            "Void and bill again",
            lambda desk, key: f"Voids {_invoice_in_words(desk, key)}, here and at Stripe; the period is billed again.",
            lambda desk, key, signature, _: _void(desk, key, signature, rebill=True),
        ),
        "void-only": Action(
            "Void",
            lambda desk, key: (
                f"Voids {_invoice_in_words(desk, key)}, here and at Stripe; the period is not billed again."
            ),
            lambda desk, key, signature, _: _void(desk, key, signature, rebill=False),
        ),
        "credit": Action(
            "Credit",
            lambda desk, key: f"Takes an amount of {_invoice_in_words(desk, key)} back by a credit note.",
            _credit,
            (
                _AMOUNT,
                Field(
                    "to",
                    "What is paid back goes to",
                    choices=(("refund", "the card"), ("balance", "the customer's balance"), ("elsewhere", "elsewhere")),
                ),
            ),
        ),
        "retry": Action(
            "Try the payment again",
            lambda desk, key: f"Asks Stripe for {_invoice_in_words(desk, key)} once more.",
            _retry,
        ),
        "hold": Action("Hold", lambda desk, key: f"Keeps {_invoice_in_words(desk, key)} back.", _place(_of_invoice)),
        "release": Action(
            "Release", lambda desk, key: f"Lets {_invoice_in_words(desk, key)} go.", _release(_of_invoice)
        ),
    },
    "customers": {
        "hold": Action(
            "Hold",
            lambda desk, key: f"Keeps all invoices of {_customer_in_words(desk, key)} back.",
            _place(_of_customer),
        ),
        "release": Action(
            "Release",
            lambda desk, key: f"Lets the invoices of {_customer_in_words(desk, key)} go.",
            _release(_of_customer),
        ),
        "adjust": Action(
            "Adjust the next invoice",
            lambda desk, key: (
                f"Puts an amount on the next invoice of {_customer_in_words(desk, key)}; below zero is a credit."
            ),
            _adjust,
            (_AMOUNT, Field("description", "What the customer reads", required=False)),
        ),
    },
    "months": {
        "approve": Action(
            "Approve the drafts",
            lambda desk, key: f"Approves {_drafts_in_words(desk, key)}.",
            _approve,
            asks_reason=False,
            seen=lambda desk, key: {"rows": month_drafts(desk.warehouse, parse_month(key)).rows},
        ),
        "hold": Action("Hold the month", lambda _, key: f"Keeps everything of {key} back.", _place(_of_month)),
        "release": Action("Release the month", lambda _, key: f"Lets {key} go.", _release(_of_month)),
        "close": Action(
            "Close the month",
            lambda _, key: f"Compares {key} with Stripe and, if both agree to the minor unit, closes it for good.",
            _close,
            asks_reason=False,
        ),
    },
    "charging": {
        "pause": Action("Pause all charging", lambda *_: "Stops every charge, in all months, at once.", _pause),
        "resume": Action("Resume charging", lambda *_: "Lets charges go on with the next run.", _resume),
    },
    "events": {
        "replay": Action("Process again", lambda _, key: f"Processes Stripe's event {key} again.", _replay),
    },
    "settlements": {
        "approve": Action(
            "Approve", lambda _, key: f"Approves settlement {key}.", _approve_settlement, asks_reason=False
        ),
        "withdraw": Action("Withdraw", lambda _, key: f"Withdraws settlement {key}.", _withdraw_settlement),
    },
}


def action_of(kind: str, name: str) -> Action:
    """The action.

    Raises:
        UserError: there is none of this name.
    """
    found: Any = ACTIONS.get(kind, {}).get(name)
    if not isinstance(found, Action):
        raise UserError(f"{kind}/{name}: there is no such action")
    return found
