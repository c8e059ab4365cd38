"""`billing webhooks`: the platform's endpoints, which are told what customers are told."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import JSON, Instant, signed
from billing_pipeline.cli.output import print_rows
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings

if TYPE_CHECKING:
    from billing_pipeline.events.cipher import EventCipher

ENDPOINT = click.argument("endpoint")


@click.group(cls=Group)
def webhooks() -> None:
    """Tell the platform what customers are told: endpoints, secrets, replay."""


@webhooks.command()
@click.argument("url")
@signed
def add(url: str, signature: Signature) -> None:
    """Tell this address of everything from now on; prints its secret, which is not shown again."""
    from billing_pipeline.notices.endpoints import add_endpoint

    endpoint_id, secret = add_endpoint(open_database(), _cipher(), url, signature)
    click.echo(f"endpoint {endpoint_id}", err=True)
    click.echo(secret)


@webhooks.command(name="list")
@JSON
def list_(as_json: bool) -> None:
    """Show the endpoints, and how many messages each has taken, waits for and did not take."""
    from billing_pipeline.notices.endpoints import list_endpoints

    print_rows("endpoints", list_endpoints(open_database()), as_json=as_json, empty="no endpoint")


@webhooks.command()
@ENDPOINT
@signed
def rotate(endpoint: str, signature: Signature) -> None:
    """Print another secret; the old one signs for another 24 hours beside it."""
    from billing_pipeline.notices.endpoints import rotate_secret

    click.echo(rotate_secret(open_database(), _cipher(), endpoint, signature))


@webhooks.command()
@ENDPOINT
@signed
def disable(endpoint: str, signature: Signature) -> None:
    """Tell an endpoint nothing more."""
    from billing_pipeline.notices.endpoints import disable_endpoint

    disable_endpoint(open_database(), endpoint, signature)
    click.echo(f"endpoint {endpoint} is told nothing more")


@webhooks.command()
@ENDPOINT
@click.option("--since", type=Instant(), required=True, help="Everything written since then.")
@signed
def replay(endpoint: str, since: datetime, signature: Signature) -> None:
    """Tell an endpoint again of everything since an instant."""
    from billing_pipeline.notices.endpoints import replay as tell_again

    click.echo(f"{tell_again(open_database(), endpoint, since, signature)} messages are to be sent again")


def _cipher() -> "EventCipher":
    from billing_pipeline.events.cipher import EventCipher

    return EventCipher(load_settings().events.keys)
