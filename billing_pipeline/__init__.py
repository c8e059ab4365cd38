"""Usage billing as a Dagster project on PostgreSQL."""
