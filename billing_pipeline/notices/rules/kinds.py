"""The kinds of notices, and when one is no longer so. Pure. Postgres has the same list (billing.notices.kind)."""

KINDS = (
    "invoice_issued",
    "invoice_voided",
    "payment_succeeded",
    "payment_failed",
    "action_required",
    "payment_method_missing",
    "credit_note_issued",
    "refund_succeeded",
    "refund_failed",
    "billing_changed",
    "payment_due_soon",
    "payment_overdue",
    "final_notice",
    "service_suspended",
    "service_resumed",
    "credits_low",
    "credits_expiring",
    "budget_reached",
    "allowance_reached",
    "usage_unusual",
    "prices_changing",
    "trial_ending",
    "details_changed",
    "payment_method_expiring",
    "payment_method_removed",
)
ALERT = "alert"
"""The kind of what operators are told."""
OPTIONAL = frozenset(
    {
        "payment_succeeded",
        "refund_succeeded",
        "payment_due_soon",
        "service_resumed",
        "credits_low",
        "credits_expiring",
        "budget_reached",
        "allowance_reached",
        "usage_unusual",
        "details_changed",
    }
)
"""Kinds that may be switched off. The others are due by law or contract: invoices, refusals, warnings, changes."""
ASKS_FOR_MONEY = frozenset(
    {
        "payment_failed",
        "action_required",
        "payment_method_missing",
        "payment_due_soon",
        "payment_overdue",
        "final_notice",
        "service_suspended",
    }
)
"""Kinds that are wrong once their invoice is paid, void or written off."""
SHOWS_INVOICE = ASKS_FOR_MONEY | {"invoice_issued", "payment_succeeded"}
"""Kinds whose mails link the invoice at Stripe, where it is there."""


def overtaken_by(kind: str, invoice_status: str | None) -> str | None:
    """Why a notice is no longer so when its turn comes; None: it still is.

    Args:
        kind: the notice's.
        invoice_status: its invoice's, as it is now; None: it concerns none.
    """
    if kind in ASKS_FOR_MONEY and invoice_status != "open":
        return f"the invoice is {invoice_status}"
    if kind == "invoice_issued" and invoice_status == "void":
        return "the invoice is void"
    return None
