"""Periods, line items, drafts, and the line of no return: finalising. Talks to nobody but Postgres.

Here: what an invoice consists of, its number and its frozen request. Not here: what a quantity costs (`pricing/`),
sending the request (`charging/`), and changing what is final (`corrections/`).
"""
