"""`billing receiver`: what Stripe's webhooks call."""

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; TLS ends before it.")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: BILLING_RECEIVER_PORT, or 12200.")
def receiver(host: str, port: int | None) -> None:
    """Receive Stripe's webhooks until Ctrl-C: verify and store them."""
    from billing_pipeline.settings import load_receiver_settings
    from billing_pipeline.web.receiver.app import create_app
    from billing_pipeline.web.receiver.server import serve

    settings = load_receiver_settings()
    database_url = settings.database_url
    if database_url is None:
        from billing_pipeline.cli.common import open_database
        from billing_pipeline.postgres.connections import libpq_url

        warehouse = open_database()  # held until the end: an embedded server stops with the last process that holds it
        warehouse.engine.dispose()
        database_url = libpq_url(warehouse.engine.url)
    serve(create_app(settings, database_url), host, port or settings.port)
