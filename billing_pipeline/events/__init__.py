"""Stripe's webhook events: stored as they came, applied forward only, swept and rebuilt.

The receiver's HTTP is in `web/receiver/`.
"""
