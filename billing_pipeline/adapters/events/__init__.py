"""Stripe's events: stored, fetched, worked off."""
