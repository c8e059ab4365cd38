"""The demo from nothing to a reconciled month, and again from wherever a killed one stopped.

Every step finds what is there already, so running it again does only what is missing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

from rich.console import Console

from billing_pipeline.core.months import month_before, months_to
from billing_pipeline.sandbox.demo.account import StripeAccount
from billing_pipeline.sandbox.demo.explained import check_explained
from billing_pipeline.sandbox.demo.files import short
from billing_pipeline.sandbox.demo.inputs import LAST_ZONE, import_everything, load_demo_prices
from billing_pipeline.sandbox.demo.jobs import run_jobs
from billing_pipeline.sandbox.demo.month_checks import check_month
from billing_pipeline.sandbox.demo.month_rows import read_month
from billing_pipeline.sandbox.demo.playground import demo_database, demo_stripe, require_emulator
from billing_pipeline.sandbox.demo.progress import Steps
from billing_pipeline.sandbox.demo.report import print_checks, print_month
from billing_pipeline.sandbox.demo.webhooks import check_webhooks, follow_events, receiving
from billing_pipeline.settings import Settings, load_settings
from billing_pipeline.settings.environment import IS_INSTALLED

PLAIN_WIDTH = 120
STEPS = 6
STEPS_A_MONTH = 2


def last_finished_month(now: datetime) -> date:
    """The newest month that has ended in every time zone."""
    return month_before((now - LAST_ZONE).date().replace(day=1))


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
        demo_database(settings, steps) as warehouse,
        demo_stripe(settings, steps) as known_stripe_ids,
        # half of those charged first show refusals; with the usual limit the canary would hold back the others
        _default("BILLING_CANARY_REFUSALS_MAX_PERCENT", "90"),
        receiving(settings, warehouse),
    ):
        load_demo_prices(settings, warehouse, month)
        import_everything(settings, warehouse, steps, billed, known_stripe_ids)
        problems = run_jobs(warehouse, steps, billed)
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


def _print_whereabouts(console: Console, settings: Settings, month: date) -> None:
    folder = short(settings.state_dir / "demo")
    console.print(f"What the platform sent and the price book are in {folder}, the tables in schema billing:")
    billing, up = ("billing", "billing up") if IS_INSTALLED else (".venv/bin/billing", "make up")
    console.print(f"  {billing} sql -c 'SELECT * FROM billing.receivables'")
    console.print(f"`{up}` opens the Dagster UI on http://127.0.0.1:3000: look at partition {month}.")
