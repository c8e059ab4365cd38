"""What puts a final bill right: void, credit notes, adjustments, settling; and what keeps one back: holds, approvals.

Here: what a person may do to a bill and what it leaves in the audit log. Not here: what Stripe answers and the lock of
an invoice (`charging/`, `stripe_gateway/`), and corrections of usage (`usage/`), which change the next draft.
"""
