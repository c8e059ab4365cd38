"""Our books against Stripe's, and closing a month. Changes nothing at Stripe but drafts that nobody owns.

Here: lists compared with lists, and the proof of a month. Not here: the single answer that a charge waits for
(`charging/`), events (`events/`), and the gates of a month before it is charged (`gates/`).
"""
