"""Periods, line items, drafts, and the line of no return: finalising. Talks to nobody but Postgres."""
