"""What the platform would send: the price book, the customers and their usage, as files that are loaded."""

from datetime import date, timedelta
from pathlib import Path

from billing_pipeline.core.months import first_of, month_after, months_to
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.files import write_whole
from billing_pipeline.sandbox.demo.granted import grant_everything
from billing_pipeline.sandbox.demo.population import customers_file
from billing_pipeline.sandbox.demo.price_book import demo_book
from billing_pipeline.sandbox.demo.progress import Steps
from billing_pipeline.sandbox.demo.signed import sign_contracts
from billing_pipeline.sandbox.demo.usage import usage_file
from billing_pipeline.settings import Settings

LAST_ZONE = timedelta(hours=12)
"""A month ends in the last time zone 12 hours after it did in UTC."""
MONTHS_MAX = 12
"""Months that one demo bills."""
RUN_UP = 2
"""Months before the first billed one whose usage and prices a period of 45 days may reach into."""


def price_book_path(settings: Settings) -> Path:
    """Where the demo's price book is, once a demo ran."""
    return settings.state_dir / "demo" / "price_book.yaml"


def load_demo_prices(settings: Settings, warehouse: Warehouse, month: date) -> None:
    """Load the demo's book, or the one that the user named: a demo of a later month has another version of it."""
    from billing_pipeline.pricing.loading import load_prices, plan_load

    path = price_book_path(settings)
    # always the same number of versions, however many months are billed: the prices of an earlier demo do not change
    write_whole(path, demo_book(months_to(month, RUN_UP + MONTHS_MAX)))
    plan = plan_load(warehouse, settings.pricing.price_book or path)
    load_prices(warehouse, plan, Signature("billing demo", "the prices of the demo"), replace=True)


def import_everything(
    settings: Settings, warehouse: Warehouse, steps: Steps, billed: list[date], known_stripe_ids: dict[str, str]
) -> None:
    """Customers with contracts, credits and coupons, and the usage of the billed months and those before."""
    folder = settings.state_dir / "demo"
    with steps.step("import") as say:
        from billing_pipeline.customers.importing import import_customers
        from billing_pipeline.invoicing.first_month import keep_first_month
        from billing_pipeline.usage.importing import import_usage

        customers = folder / "customers.csv"
        write_whole(customers, customers_file(known_stripe_ids))
        imported = import_customers(warehouse, customers)
        say(f"{imported.rows} customers ({imported.inserted} new)")
        sign_contracts(warehouse, billed[-1])
        grant_everything(warehouse)
        history = months_to(billed[-1], RUN_UP + len(billed))
        new = rows = 0
        for one in history:
            usage = folder / f"usage-{one:%Y-%m}.csv"
            write_whole(usage, usage_file(one))
            done = import_usage(warehouse, usage, first_of(month_after(one)) + LAST_ZONE)
            new += done.new_events
            rows += done.rows
        keep_first_month(warehouse, settings)  # the folder may remember another database's
        say(f"{rows:,} usage events of {len(history)} months ({new:,} new)")
