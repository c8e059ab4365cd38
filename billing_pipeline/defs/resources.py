"""What assets get from outside: the database, settings and clock in one resource, and Stripe."""

from datetime import UTC, datetime
from functools import cache

import dagster as dg

from billing_pipeline.invoicing.first_month import keep_first_month
from billing_pipeline.postgres.engine import open_warehouse
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings, load_settings
from billing_pipeline.stripe_gateway.gateway import StripeGateway, open_gateway


@cache
def _open(settings: Settings) -> Warehouse:
    """One pool a process, on a migrated database."""
    warehouse = open_warehouse(settings)
    migrate(warehouse)
    keep_first_month(warehouse, settings)
    return warehouse


class Billing(dg.ConfigurableResource[None]):
    """The billing database and settings, from the environment.

    No run's config sets the clock: a rehearsal is a shadow (`billing run --shadow`), in scratch tables.
    """

    @property
    def settings(self) -> Settings:
        """The environment."""
        return load_settings()

    @property
    def warehouse(self) -> Warehouse:
        """The billing database."""
        return _open(self.settings)

    def clock(self) -> datetime:
        """What time it is."""
        return datetime.now(UTC)


class Stripe(dg.ConfigurableResource[None]):
    """Stripe, or the emulator when there is no key."""

    def gateway(self) -> StripeGateway:
        """A gateway as the environment configures it."""
        return open_gateway(load_settings())


def no_stripe(settings: Settings) -> dg.SkipReason | None:
    """Why a sensor or schedule that asks Stripe does nothing; None where there is a Stripe to ask."""
    if settings.stripe.is_configured:
        return None
    return dg.SkipReason("neither STRIPE_SECRET_KEY nor STRIPE_API_BASE is set: there is no Stripe to ask")


@dg.definitions
def resources() -> dg.Definitions:
    """Resources by the names that assets ask for."""
    return dg.Definitions(resources={"billing": Billing(), "stripe": Stripe()})
