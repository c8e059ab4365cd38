"""`billing api`: the REST API."""

import json

import click

from billing_pipeline.cli.common import open_database


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; TLS ends before it.")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: BILLING_API_PORT, or 12300.")
@click.option("--openapi", is_flag=True, help="Only print the OpenAPI document.")
@click.option("--client", is_flag=True, help="Only print a typed client in Python, made from that document.")
def api(host: str, port: int | None, openapi: bool, client: bool) -> None:
    """Serve the REST API until Ctrl-C."""
    if openapi:
        from billing_pipeline.web.api.app import openapi_document

        click.echo(json.dumps(openapi_document(), indent=2, ensure_ascii=False))
        return
    if client:
        from billing_pipeline.web.api.app import openapi_document
        from billing_pipeline.web.api.client_code import client_code

        click.echo(client_code(openapi_document()), nl=False)
        return
    from billing_pipeline.settings import load_settings
    from billing_pipeline.web.api.app import create_app
    from billing_pipeline.web.receiver.server import serve

    settings = load_settings()
    serve(create_app(settings, open_database()), host, port or settings.api.port)
