"""Keys of the advisory locks that more than one module takes."""

USAGE_LOCK = 7_151_002
"""Held exclusively by imports while they fix received_at and insert, shared by snapshots while they read."""

DAGSTER_STORAGE_LOCK = 7_151_003
"""Held in Dagster's own database while its tables are made."""
