"""Dagster, thin: one module an asset, named like its table. What an asset does stands in its room."""
