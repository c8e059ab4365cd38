"""Data quality: what is expected of a month before it may be charged, and the only `import great_expectations`.

Here: the expectations, their bounds and their results. Not here: stopping a month that has not passed, which Postgres
does at finalisation (`invoicing/finalisation.py`).
"""
