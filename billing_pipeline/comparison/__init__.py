"""Explaining a bill, and comparing months, price books and versions of the code. Changes no bill.

Here: what is computed again beside the books, and shown. Not here: the comparison with Stripe (`books/`), and the
drift of billed months, which settling works from (`invoicing/billing_drift.py`).
"""
