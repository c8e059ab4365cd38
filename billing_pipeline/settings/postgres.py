"""Which databases."""

from dataclasses import dataclass
from typing import Self

from billing_pipeline.settings.environment import text_or_none


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """Where the billing tables and Dagster's own are."""

    database_url: str | None
    """BILLING_DATABASE_URL: any PostgreSQL from 15 on; unset: embedded PostgreSQL under `state_dir`."""
    dagster_url: str | None
    """DAGSTER_POSTGRES_URL: Dagster's own storage; unset: database `dagster` on the same server."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        return cls(text_or_none("BILLING_DATABASE_URL"), text_or_none("DAGSTER_POSTGRES_URL"))
