"""Which databases, and how many connections to them."""

from dataclasses import dataclass
from typing import Self

from billing_pipeline.settings.environment import SettingsError, positive, text_or_none

CONNECTIONS = 10
CONNECTIONS_MIN = 4
"""A build reads and writes at once, and a thread that holds an invoice asks beside it."""


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """Where the billing tables and Dagster's own are."""

    database_url: str | None
    """BILLING_DATABASE_URL: any PostgreSQL from 15 on; unset: embedded PostgreSQL under `state_dir`."""
    dagster_url: str | None
    """DAGSTER_POSTGRES_URL: Dagster's own storage; unset: database `dagster` on the same server."""
    connections: int = CONNECTIONS
    """BILLING_DATABASE_CONNECTIONS: how many a process takes at most; default 10."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: fewer connections than a build needs.
        """
        connections = positive("BILLING_DATABASE_CONNECTIONS", CONNECTIONS)
        if connections < CONNECTIONS_MIN:
            raise SettingsError(f"BILLING_DATABASE_CONNECTIONS={connections}: expected at least {CONNECTIONS_MIN}")
        return cls(text_or_none("BILLING_DATABASE_URL"), text_or_none("DAGSTER_POSTGRES_URL"), connections)
