"""The kinds of notices. Postgres has the same list (billing.notices.kind)."""

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
    }
)
"""Kinds that may be switched off. The others are due by law or contract: invoices, refusals, warnings, changes."""
