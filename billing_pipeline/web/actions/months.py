"""What is done to months: drafts are approved, held, charged in part, closed."""

from datetime import UTC, datetime

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.books.month_closing import close_month
from billing_pipeline.charging.canary import release_month
from billing_pipeline.core.months import parse_month
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import counted
from billing_pipeline.corrections import settlement_proposals
from billing_pipeline.corrections.approvals import approve_month, month_rows
from billing_pipeline.web.actions.desk import Action, Desk, Done, Fields
from billing_pipeline.web.actions.holding import of_month, place, release
from billing_pipeline.web.actions.running import RUNS, drafts_in_words


def _approve(desk: Desk, key: str, signature: Signature, fields: Fields) -> Done:
    approved = approve_month(desk.warehouse, parse_month(key), author=signature.author, rows=fields.get("rows", ""))
    totals = [{"currency": currency, "total_minor": total} for currency, total in approved.totals_minor.items()]
    facts = {"rows": approved.rows, "drafts": approved.drafts, "totals": totals}
    done = counted(approved.drafts, "draft is approved, exactly as it is", "drafts are approved, exactly as they are")
    return Done(f"{done}.", facts)


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
    released = counted(
        count, "charge is released; the next pass makes it", "charges are released; the next pass makes them"
    )
    return Done(f"{key}: {released}.", {"released": count})


def _propose(desk: Desk, key: str, signature: Signature, _: Fields) -> Done:
    done = settlement_proposals.propose(desk.warehouse, parse_month(key), author=signature.author)
    counts = {name: getattr(done, name) for name in done.__slots__}
    return Done(f"{done.new} proposed, {done.standing} stand as they were, {done.withdrawn} withdrawn.", counts)


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
