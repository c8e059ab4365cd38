"""The `billing` command. It parses, calls, and turns a user's mistake into one clear line; nothing is decided here.

A module a group of commands. Imports happen inside the commands: a command starts as fast as what it needs.
"""

import click

from billing_pipeline.cli import (
    books,
    charges,
    corrections,
    credit,
    database,
    diff,
    events,
    explain,
    holds,
    months,
    receiver,
    sandbox,
    settle,
    usage,
)
from billing_pipeline.cli.common import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Usage billing: import usage, run a month, look at the result."""


for command in (
    database.migrate,
    usage.import_,
    usage.correct,
    months.run,
    holds.hold,
    holds.release,
    holds.approve,
    corrections.adjust,
    corrections.adjustments,
    corrections.void,
    credit.credit,
    settle.settle,
    charges.charges,
    events.events,
    books.reconcile,
    books.close,
    diff.diff,
    explain.explain,
    database.sql,
    database.env,
    database.stop,
    receiver.receiver,
    sandbox.demo,
    sandbox.up,
    sandbox.emulator,
    sandbox.bench,
):
    main.add_command(command)
