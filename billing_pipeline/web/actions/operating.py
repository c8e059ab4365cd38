"""What is done to months, to all charging, to Stripe's events and to settlements."""

from dataclasses import asdict
from datetime import UTC, datetime

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.books.month_closing import close_month
from billing_pipeline.charging.brakes import pause_charging, resume_charging
from billing_pipeline.charging.canary import release_month
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.months import parse_month
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections import settlement_proposals
from billing_pipeline.corrections.adjusting import currency_of
from billing_pipeline.corrections.approvals import approve_month, month_rows
from billing_pipeline.corrections.settling import run_settlements
from billing_pipeline.events.queue import EventFilter, replay
from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alerts import acknowledge, audience_of
from billing_pipeline.settings import load_settings
from billing_pipeline.web.actions.desk import Action, Desk, Done, Field, Fields, whole
from billing_pipeline.web.actions.holding import of_month, place, release
from billing_pipeline.web.actions.running import RUNS, drafts_in_words


def _approve(desk: Desk, key: str, signature: Signature, fields: Fields) -> Done:
    approved = approve_month(desk.warehouse, parse_month(key), author=signature.author, rows=fields.get("rows", ""))
    totals = [{"currency": currency, "total_minor": total} for currency, total in approved.totals_minor.items()]
    facts = {"rows": approved.rows, "drafts": approved.drafts, "totals": totals}
    return Done(f"{approved.drafts:,} draft(s) are approved, exactly as they are.", facts)


def _close(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    with desk.stripe() as api:
        closed = close_month(
            desk.warehouse, api, parse_month(key), author=signature.author, run_id="by hand", now=datetime.now(UTC)
        )
    counts = f"{closed.invoice_count:,} invoices, {closed.payment_count:,} payments"
    facts = {
        "month": f"{closed.month:%Y-%m}",
        "closed_at": closed.closed_at,
        "closed_by": closed.closed_by,
        "invoice_count": closed.invoice_count,
        "payment_count": closed.payment_count,
        "audit_head": closed.audit_head,
    }
    return Done(f"{closed.month:%Y-%m} is closed: {counts} agree with Stripe.", facts)


def _release_canaries(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    count = release_month(desk.warehouse, parse_month(key), signature)
    return Done(f"{count:,} charge(s) of {key} are released; the next pass charges them.", {"released": count})


def _propose(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    done = settlement_proposals.propose(desk.warehouse, parse_month(key), author=signature.author)
    counts = {name: getattr(done, name) for name in done.__slots__}
    return Done(f"{done.new} proposed, {done.standing} stand as they were, {done.withdrawn} withdrawn.", counts)


def _replay(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    count = replay(desk.warehouse, EventFilter(event_id=key), signature)
    return Done(f"{count:,} event(s) will be processed again.", {"replayed": count})


def _pause(desk: Desk, _: str, signature: Signature, __: Fields) -> Done:
    pause_charging(desk.warehouse, signature)
    return Done("Nothing is charged until somebody resumes.", {"charges_enabled": False})


def _resume(desk: Desk, _: str, signature: Signature, __: Fields) -> Done:
    resume_charging(desk.warehouse, signature)
    return Done("Charging goes on with the next run.", {"charges_enabled": True})


def _approve_settlement(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    status = settlement_proposals.approve(desk.warehouse, settlement_number(key), author=signature.author)
    more = "" if status == "approved" else " It needs somebody else's approval too."
    return Done(f"Settlement {key} is {status}.{more}", {"settlement_id": settlement_number(key), "status": status})


def _withdraw_settlement(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    settlement_proposals.withdraw(desk.warehouse, settlement_number(key), signature)
    return Done("Withdrawn.", {"settlement_id": settlement_number(key), "status": "withdrawn"})


def _run_settlements(desk: Desk, _: str, signature: Signature, __: Fields) -> Done:
    with desk.stripe() as api:
        report = run_settlements(desk.warehouse, api, author=signature.author)
    waits = sum(one.waits is not None for one in report.settled)
    facts = {
        "settled": [asdict(one) for one in report.settled],
        "credit_notes": [{"number": one.number, "state": one.state} for one in report.sent],
        "months_to_charge": report.months_to_charge,
    }
    return Done(f"{len(report.settled) - waits} carried out, {waits} wait.", facts)


def _settlement_policy(desk: Desk, _: str, signature: Signature, fields: Fields) -> Done:
    book, customer = fields.get("book"), fields.get("customer")
    if bool(book) == bool(customer):
        raise UserError("expected either book or customer")
    amounts = {name: whole(name, fields.get(name) or "") for name in ("threshold_minor", "two_people_above_minor")}
    scope = str(book or customer)
    currency = book or currency_of(desk.warehouse, scope)
    settlement_proposals.set_policy(
        desk.warehouse,
        "book" if book else "customer",
        scope,
        method=fields.get("method", ""),
        pay_back=fields.get("pay_back", ""),
        **amounts,
        author=signature.author,
    )
    return Done(f"{scope}: {fields.get('method')} from now on.", {"scope": scope, "currency": currency, **amounts})


def _acknowledge(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    settings = load_settings()
    audience = audience_of(settings, load_alert_policy(settings.alerts.policy))
    acknowledge(desk.warehouse, audience, alert_number(key), signature)
    return Done(f"Alert {key} is {signature.author}'s.", {"alert_id": alert_number(key)})


def settlement_number(key: str) -> int:
    """The number that a path names. Raises NotFound: it is none."""
    return _number("settlement", key, "billing settle list")


def alert_number(key: str) -> int:
    """The number that a path names. Raises NotFound: it is none."""
    return _number("alert", key, "billing alerts list")


def _number(what: str, key: str, command: str) -> int:
    if not key.isascii() or not key.isdigit() or len(key) > 18:
        raise NotFound(f'{what} "{key}": expected a number of `{command}`, found none')
    return int(key)


MONTHS = {
    **RUNS,
    "approve": Action(
        "Approve the drafts",
        lambda desk, key: f"Approves {drafts_in_words(desk, key)}.",
        _approve,
        asks_reason=False,
        seen=lambda desk, key: {"rows": month_rows(desk.warehouse, parse_month(key))},
        scope=Scope.CHANGE_MONTHS,
    ),
    "hold": Action(
        "Hold the month", lambda _, key: f"Keeps everything of {key} back.", place(of_month), scope=Scope.CHANGE_MONTHS
    ),
    "release": Action(
        "Release the month", lambda _, key: f"Lets {key} go.", release(of_month), scope=Scope.CHANGE_MONTHS
    ),
    "close": Action(
        "Close the month",
        lambda _, key: f"Compares {key} with Stripe and, if both agree to the minor unit, closes it for good.",
        _close,
        asks_reason=False,
        scope=Scope.CHANGE_MONTHS,
    ),
    "release-canaries": Action(
        "Charge the rest",
        lambda _, key: f"Releases the charges of {key} that wait for its first ones.",
        _release_canaries,
        scope=Scope.CHANGE_MONTHS,
    ),
    "propose-settlements": Action(
        "Propose settlements",
        lambda _, key: f"Proposes to settle what {key} differs by, as its last run left it.",
        _propose,
        asks_reason=False,
        scope=Scope.CHANGE_MONTHS,
    ),
}
CHARGING = {
    "pause": Action(
        "Pause all charging",
        lambda *_: "Stops every charge, in all months, at once.",
        _pause,
        scope=Scope.CHANGE_STRIPE,
    ),
    "resume": Action(
        "Resume charging", lambda *_: "Lets charges go on with the next run.", _resume, scope=Scope.CHANGE_STRIPE
    ),
}
EVENTS = {
    "replay": Action(
        "Process again", lambda _, key: f"Processes Stripe's event {key} again.", _replay, scope=Scope.CHANGE_STRIPE
    ),
}
ALERTS = {
    "acknowledge": Action(
        "Acknowledge",
        lambda _, key: f"Takes the alert {key} on: it is told no more.",
        _acknowledge,
        scope=Scope.CHANGE_MONTHS,
    ),
}
SETTLEMENTS = {
    "run": Action(
        "Carry out what is approved",
        lambda *_: "Carries out every approved settlement.",
        _run_settlements,
        asks_reason=False,
        scope=Scope.CHANGE_STRIPE,
    ),
    "approve": Action(
        "Approve",
        lambda _, key: f"Approves settlement {key}.",
        _approve_settlement,
        asks_reason=False,
        scope=Scope.CHANGE_MONTHS,
    ),
    "withdraw": Action(
        "Withdraw", lambda _, key: f"Withdraws settlement {key}.", _withdraw_settlement, scope=Scope.CHANGE_MONTHS
    ),
    "policy": Action(
        "Say how drift is settled",
        lambda *_: "Says what proposals do about the drift of a book's customers, or of one customer.",
        _settlement_policy,
        (
            Field("book", "Price book, by its currency", required=False),
            Field("customer", "Or a customer", required=False),
            Field(
                "method",
                "What is done",
                choices=(
                    ("ignore", "nothing"),
                    ("next_invoice", "the next invoice"),
                    ("at_once", "a credit note or an invoice"),
                ),
            ),
            Field("pay_back", "Where paid money goes", choices=(("refund", "back"), ("balance", "balance"))),
            Field("threshold_minor", "Smaller differences are left, in minor units"),
            Field("two_people_above_minor", "Above this two people approve, in minor units"),
        ),
        asks_reason=False,
        scope=Scope.CHANGE_PRICES,
    ),
}
