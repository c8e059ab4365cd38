"""`billing demo`, `up`, `emulator` and `bench`: what runs without a Stripe account."""

import sys

import click

from billing_pipeline.settings import SettingsError, is_live_key, load_settings


@click.command()
@click.option("--port", default=12111, show_default=True, help="Port on 127.0.0.1.")
def emulator(port: int) -> None:
    """Serve the Stripe emulator until Ctrl-C."""
    from billing_pipeline.sandbox.stripe_emulator.server import serve

    settings = load_settings()
    if is_live_key(settings.stripe.key):
        raise SettingsError("STRIPE_SECRET_KEY is a live key: the emulator never works beside one. Unset it.")
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    click.echo(f"Stripe emulator: export STRIPE_API_BASE=http://127.0.0.1:{port}   (Ctrl-C ends it)")
    serve(settings.state_dir / "stripe.sqlite", port=port)


@click.command()
@click.option(
    "--months", default=1, show_default=True, type=click.IntRange(1, 12), help="Bill and charge so many, one by one."
)
def demo(months: int) -> None:
    """Bill last month for the three examples and some two hundred generated customers, end to end."""
    from billing_pipeline.sandbox.demo import run_demo

    sys.exit(run_demo(months=months))


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the UI on 127.0.0.1.")
def up(port: int) -> None:
    """Run the UI, the daemon and the Stripe emulator on the demo's data until Ctrl-C."""
    from billing_pipeline.sandbox.up import run_up

    sys.exit(run_up(port=port))


@click.command()
@click.option("--customers", default=100_000, show_default=True, type=click.IntRange(min=100))
def bench(customers: int) -> None:
    """Measure rows per second of each asset against COPY of the same rows."""
    from billing_pipeline.sandbox.bench import run_bench

    sys.exit(run_bench(customer_count=customers))
