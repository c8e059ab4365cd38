"""The stages of a month as groups of the asset graph, and who owns what is in them.

A stage is what may be materialised together: "materialise all" of the drafts charges nobody.
"""

USAGE = "usage"
"""What the platform tells us. It comes in through `billing import`; no run materialises it."""
DRAFTS = "drafts"
"""From usage and prices to draft invoices. Safe to materialise at any time."""
CHARGES = "charges"
"""Finalises the drafts and moves money."""
EVENTS = "events"
"""What Stripe tells us."""
BOOKS = "books"
"""Compares what is billed with today's data, and our books with Stripe's. Changes neither."""
NOTICES = "notices"
"""What customers are told."""

OWNERS = ["team:billing"]
