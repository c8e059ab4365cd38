"""Periods, invoice ids, adjustments, and what a final invoice will send to Stripe. Pure."""
