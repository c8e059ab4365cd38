"""Charging a month's final invoices at Stripe, once."""
