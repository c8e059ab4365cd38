"""The demo from nothing to a reconciled month, and again from wherever a killed one stopped.

Every step finds what is there already, so running it again does only what is missing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from sqlalchemy import make_url

from billing_pipeline.core.months import first_of, month_after, month_before, months_to
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.engine import open_warehouse
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.account import StripeAccount
from billing_pipeline.sandbox.demo.explained import check_explained
from billing_pipeline.sandbox.demo.files import short, write_whole
from billing_pipeline.sandbox.demo.granted import grant_everything
from billing_pipeline.sandbox.demo.month_checks import check_month
from billing_pipeline.sandbox.demo.month_rows import read_month
from billing_pipeline.sandbox.demo.population import customers_file, population
from billing_pipeline.sandbox.demo.price_book import demo_book
from billing_pipeline.sandbox.demo.progress import Steps
from billing_pipeline.sandbox.demo.report import print_checks, print_month
from billing_pipeline.sandbox.demo.signed import sign_contracts
from billing_pipeline.sandbox.demo.usage import usage_file
from billing_pipeline.sandbox.demo.webhooks import check_webhooks, follow_events, receiving
from billing_pipeline.sandbox.stripe_emulator import running_emulator
from billing_pipeline.settings import Settings, SettingsError, is_live_key, load_settings
from billing_pipeline.settings.environment import IS_INSTALLED, private_folder
from billing_pipeline.stripe_gateway.local_emulator import stripe_for

if TYPE_CHECKING:
    from billing_pipeline.defs.running import RunOutcome

LAST_ZONE = timedelta(hours=12)
"""A month ends in the last time zone 12 hours after it did in UTC."""

PLAIN_WIDTH = 120
STEPS = 6
STEPS_A_MONTH = 2
MONTHS_MAX = 12
RUN_UP = 2
"""Months before the first billed one whose usage and prices a period of 45 days may reach into."""


def last_finished_month(now: datetime) -> date:
    """The newest month that has ended in every time zone."""
    return month_before((now - LAST_ZONE).date().replace(day=1))


def price_book_path(settings: Settings) -> Path:
    """Where the demo's price book is, once a demo ran."""
    return settings.state_dir / "demo" / "price_book.yaml"


def needs_demo(warehouse: Warehouse) -> bool:
    """Whether there is nothing to look at: no customers, or the demo's only and no invoice of theirs is final."""
    if _strangers(warehouse):
        return False
    return not warehouse.scalar("SELECT EXISTS (SELECT FROM billing.invoices WHERE status <> 'draft')")


def run_demo(now: datetime | None = None, months: int = 1) -> int:
    """Bill the last finished months and print what came of the last one.

    Args:
        now: what time it is; default: the clock.
        months: how many, at most MONTHS_MAX; each is billed and charged before the next.

    Returns:
        The exit status: 0 if every number reconciles.

    Raises:
        SettingsError: a Stripe key that is not the emulator's, or a database with other people's customers.
    """
    settings = load_settings()
    require_emulator(settings, "the demo")
    billed = months_to(last_finished_month(now or datetime.now(UTC)), months)
    month = billed[-1]
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    steps = Steps(console, STEPS + STEPS_A_MONTH * months)
    with (
        _database(settings, steps) as warehouse,
        _stripe(settings, steps) as known_stripe_ids,
        # half of those charged first show refusals; with the usual limit the canary would hold back the others
        _default("BILLING_CANARY_REFUSALS_MAX_PERCENT", "90"),
        receiving(settings, warehouse),
    ):
        _load_prices(settings, warehouse, month)
        _import(settings, warehouse, steps, billed, known_stripe_ids)
        problems = _run_jobs(warehouse, steps, billed)
        with steps.step("webhooks") as say:
            say(f"{follow_events(warehouse, month):,} of Stripe's events are here and processed")
        with steps.step("checks"):
            read = [read_month(warehouse, one) for one in billed]
            with StripeAccount(os.environ["STRIPE_API_BASE"]) as account:
                at_stripe, payments = account.invoices(), account.successful_payments()
            before = [check for rows in read[:-1] for check in check_month(rows, at_stripe, payments)]
            checks = [
                *(check for check in before if not check.passed),
                *check_month(read[-1], at_stripe, payments),
                *check_webhooks(warehouse, month),
                check_explained(warehouse),
            ]
    if read[-1].invoices:
        print_month(console, read[-1])
        print_checks(console, checks)
        _print_whereabouts(console, settings, month)
    for problem in problems:
        console.print(f"Error: {problem}", markup=False)
    passed = not problems and all(check.passed for check in checks)
    console.print("[green]Every number reconciles.[/green]" if passed else "[red]It does not add up: see above.[/red]")
    return 0 if passed else 1


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
def _database(settings: Settings, steps: Steps) -> Iterator[Warehouse]:
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
def _stripe(settings: Settings, steps: Steps) -> Iterator[dict[str, str]]:
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


def _load_prices(settings: Settings, warehouse: Warehouse, month: date) -> None:
    """Load the demo's book, or the one that the user named: a demo of a later month has another version of it."""
    from billing_pipeline.pricing.loading import load_prices, plan_load

    path = price_book_path(settings)
    # always the same number of versions, however many months are billed: the prices of an earlier demo do not change
    write_whole(path, demo_book(months_to(month, RUN_UP + MONTHS_MAX)))
    plan = plan_load(warehouse, settings.pricing.price_book or path)
    load_prices(warehouse, plan, Signature("billing demo", "the prices of the demo"), replace=True)


@contextmanager
def _default(name: str, value: str) -> Iterator[None]:
    """A setting of the demo's, unless the user has it set."""
    if os.environ.get(name):
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _import(
    settings: Settings, warehouse: Warehouse, steps: Steps, billed: list[date], known_stripe_ids: dict[str, str]
) -> None:
    folder = settings.state_dir / "demo"
    with steps.step("import") as say:
        from billing_pipeline.customers.importing import import_customers
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
        say(f"{rows:,} usage events of {len(history)} months ({new:,} new)")


def _run_jobs(warehouse: Warehouse, steps: Steps, billed: list[date]) -> list[str]:
    """Draft the month before the first if nobody did, then both jobs of each month. Returns what went wrong."""
    url = warehouse.dagster_url.render_as_string(hide_password=False)
    with steps.step("Dagster"):
        import billing_pipeline.definitions  # noqa: F401 - the slow imports belong to this step
        from billing_pipeline.defs.running import charge_month, dagster_instance, run_month
        from billing_pipeline.sandbox.demo.killed_runs import close_killed_runs, tags
    last_month = month_before(billed[0])
    outcomes: list[RunOutcome] = []
    with dagster_instance(url) as instance:
        close_killed_runs(instance)
        for month in billed:
            with steps.step(f"job bill_month for {month:%B %Y}") as say:
                drafted = "SELECT EXISTS (SELECT FROM billing.invoices WHERE billing_month = :month)"
                if month == billed[0] and not warehouse.scalar(drafted, month=last_month):
                    outcomes += run_month(instance, last_month, "invoices", tags=tags())
                    say(f"{last_month:%B} drafted for comparison")
                outcomes += run_month(instance, month, "invoices", tags=tags())
                say(f"{outcomes[-1].metadata.get('invoices', {}).get('dagster/row_count', 'no')} invoices")
            if not all(outcome.success for outcome in outcomes):
                break
            with steps.step(f"job charge_month for {month:%B %Y}", count=partial(_charged, warehouse, month)) as say:
                outcomes.append(charge_month(instance, month, charge_old_month=month != billed[-1], tags=tags()))
                say("{} of {} charges have an answer".format(*_charged(warehouse, month)))
    return [
        f"{outcome.job}: {line}"
        for outcome in outcomes
        if not outcome.success
        for line in (*outcome.failed_checks, *outcome.errors) or ("failed",)
    ]


def _charged(warehouse: Warehouse, month: date) -> tuple[int, int]:
    """Charges with a definite answer, and invoices of the month."""
    row = warehouse.rows(
        """
        SELECT count(*) AS total,
            count(*) FILTER (WHERE c.state IN ('paid', 'refused', 'parked', 'void', 'uncollectible')) AS done
        FROM billing.invoices AS i LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
        WHERE i.billing_month = :month AND i.status <> 'void'
        """,
        month=month,
    )[0]
    return int(row["done"]), int(row["total"])


def _print_whereabouts(console: Console, settings: Settings, month: date) -> None:
    folder = short(settings.state_dir / "demo")
    console.print(f"What the platform sent and the price book are in {folder}, the tables in schema billing:")
    billing, up = ("billing", "billing up") if IS_INSTALLED else (".venv/bin/billing", "make up")
    console.print(f"  {billing} sql -c 'SELECT * FROM billing.receivables'")
    console.print(f"`{up}` opens the Dagster UI on http://127.0.0.1:3000: look at partition {month}.")
