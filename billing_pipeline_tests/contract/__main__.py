"""`python -m billing_pipeline_tests.contract DOCUMENT`: the story's traffic held to an OpenAPI document of Stripe's.

A line a violation on stdout, then how many exchanges there were; exit code 1 if there was a violation.
"""

import argparse
import sys
from pathlib import Path

import click

from billing_pipeline.postgres.migrations import migrate
from billing_pipeline_tests.contract.openapi import OpenApi
from billing_pipeline_tests.contract.story import told
from billing_pipeline_tests.databases import open_database, running_server, without_review


def main() -> int:
    asked = argparse.ArgumentParser(prog="contract", description="Hold our traffic to Stripe's OpenAPI document.")
    asked.add_argument("document", type=Path, help="latest/openapi.spec3.json of github.com/stripe/openapi")
    document = OpenApi.read(asked.parse_args().document)
    with running_server() as server:
        warehouse = open_database(server, "migrated")
        migrate(warehouse)
        without_review(warehouse)
        warehouse.engine.dispose()
        said, events = told(server, "migrated")
    found = [one for exchange in said for one in document.violations(exchange)]
    found += [one for event in events for one in document.event(event)]
    for one in dict.fromkeys(found):
        click.echo(one)
    click.echo(f"{document.version}: {len(said)} requests with their answers, {len(events)} events, {len(found)} wrong")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
