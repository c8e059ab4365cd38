"""What a quantity costs: the price book, its load into the price tables, and rating.

Here: quantities and prices into amounts. Not here: which periods and lines an invoice has (`invoicing/`), and what was
used (`usage/`).
"""
