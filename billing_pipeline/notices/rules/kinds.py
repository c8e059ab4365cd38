"""What kinds of notices are about, and when one is no longer so. Pure."""

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
