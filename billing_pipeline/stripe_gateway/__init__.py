"""Stripe: the only place that imports its SDK.

What a call means for a charge is decided in `rules/` and in `charging/`.
"""
