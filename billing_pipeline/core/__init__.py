"""Pure rules of billing, tested without Dagster, SQL, HTTP, clock or environment."""
