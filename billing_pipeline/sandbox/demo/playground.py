"""Where the demo may work: no real account of Stripe's, and no database with other people's customers."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url

from billing_pipeline.postgres.engine import open_warehouse
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.account import StripeAccount
from billing_pipeline.sandbox.demo.files import short
from billing_pipeline.sandbox.demo.population import population
from billing_pipeline.sandbox.demo.progress import Steps
from billing_pipeline.sandbox.stripe_emulator import running_emulator
from billing_pipeline.settings import Settings, SettingsError, is_live_key
from billing_pipeline.settings.environment import private_folder
from billing_pipeline.stripe_gateway.local_emulator import stripe_for


def needs_demo(warehouse: Warehouse) -> bool:
    """Whether there is nothing to look at: no customers, or the demo's only and no invoice of theirs is final."""
    if _strangers(warehouse):
        return False
    return not warehouse.scalar("SELECT EXISTS (SELECT FROM billing.invoices WHERE status <> 'draft')")


def require_emulator(settings: Settings, who: str) -> None:
    """Refuse to start with a key that could write to a real account.

    Raises:
        SettingsError: STRIPE_SECRET_KEY is not the emulator's.
    """
    if is_live_key(settings.stripe.key):
        raise SettingsError(f"STRIPE_SECRET_KEY is a live key: {who} never touches a real account. Unset it.")
    if not settings.stripe.uses_emulator:
        raise SettingsError(
            f"STRIPE_SECRET_KEY is the key of a Stripe account: {who} works with the emulator only. Unset it."
        )


@contextmanager
def demo_database(settings: Settings, steps: Steps) -> Iterator[Warehouse]:
    """The migrated database, after saying which one it is."""
    with steps.step("database") as say:
        warehouse = open_warehouse(settings)
        migrate(warehouse)
        if settings.postgres.database_url is None:
            say(f"embedded PostgreSQL in {short(settings.state_dir / 'postgres')}")
        else:
            url = make_url(settings.postgres.database_url).render_as_string(hide_password=True)
            say(f"BILLING_DATABASE_URL is set: the demo writes to {url}")
    try:
        _refuse_strangers(settings, warehouse)
        yield warehouse
    finally:
        warehouse.engine.dispose()


def _strangers(warehouse: Warehouse) -> list[str]:
    """Customers in the database that are not the demo's."""
    ours = [customer.customer_id for customer in population()]
    rows = warehouse.rows(
        "SELECT customer_id FROM billing.customers WHERE NOT customer_id::text = ANY(:ours) ORDER BY 1", ours=ours
    )
    return [row["customer_id"] for row in rows]


def _refuse_strangers(settings: Settings, warehouse: Warehouse) -> None:
    """A database of one's own with customers in it is no playground: the demo would finalise their invoices."""
    strangers = _strangers(warehouse)
    if strangers:
        embedded = settings.postgres.database_url is None
        where = f"the database in {short(settings.state_dir)}" if embedded else "BILLING_DATABASE_URL"
        way_out = "Set BILLING_STATE_DIR to another folder" if embedded else "Use an empty database, or unset it"
        raise SettingsError(
            f"{where} holds {len(strangers)} customer(s) that are not the demo's, such as {strangers[0]}:"
            f" the demo would bill them. {way_out}"
        )


@contextmanager
def demo_stripe(settings: Settings, steps: Steps) -> Iterator[dict[str, str]]:
    """The emulator with the demo's customers in it; yields the Stripe ids that the platform knows."""
    with steps.step("Stripe emulator") as say:
        private_folder(settings.state_dir)
        if settings.stripe.api_base is not None:
            with StripeAccount(settings.stripe.api_base) as account:
                known = account.set_up(population())
            say(f"customers and cards are at {settings.stripe.api_base}")
        else:
            path = settings.state_dir / "stripe.sqlite"
            # without rate limits: setting up customers is no part of what the demo shows
            with (
                running_emulator(path, rate_limit_per_s=0, rate_limit_per_endpoint_per_s=0) as emulator,
                StripeAccount(emulator.base_url) as account,
            ):
                known = account.set_up(population())
            say(f"customers and cards are in {short(path)}")
    with stripe_for(settings):
        yield known
