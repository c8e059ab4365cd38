"""Building a month: one module an asset, named like it. Each replaces the asset's rows in one transaction.

What a build has in common is in `month.py`. Dagster is not imported here, so that tests, the benchmark and later shadow
runs build months without it.
"""
