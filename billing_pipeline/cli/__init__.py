"""The `billing` command. It parses, calls, and turns a user's mistake into one clear line; nothing is decided here.

A module a group of commands. Each is imported when it is called, and imports what it needs inside its functions:
a command starts as fast as what it needs. What all of them share: `groups`, `options`, `output`, `common`.
"""

import click

from billing_pipeline.cli.groups import Commands

SECTIONS = {
    "Bill a month": {
        "import": "usage:import_",
        "correct": "usage:correct",
        "prices": "prices:prices",
        "run": "months:run",
        "close": "books:close",
    },
    "Look": {
        "invoices": "invoices:invoices",
        "customers": "customers:customers",
        "estimate": "estimate:estimate",
        "simulate": "simulate:simulate",
        "explain": "explain:explain",
        "diff": "diff:diff",
        "months": "months:months",
        "reconcile": "books:reconcile",
        "audit": "audit:audit",
        "sql": "database:sql",
    },
    "Decide, and put right": {
        "hold": "holds:hold",
        "release": "holds:release",
        "approve": "approvals:approve",
        "charges": "charges:charges",
        "void": "corrections:void",
        "credit": "credit:credit",
        "adjust": "corrections:adjust",
        "adjustments": "corrections:adjustments",
        "discounts": "discounts:discounts",
        "credits": "credits:credits_",
        "disputes": "disputes:disputes",
        "settle": "settle:settle",
        "events": "events:events",
        "notices": "notices:notices",
        "budgets": "budgets:budgets",
        "dunning": "dunning:dunning",
        "webhooks": "webhooks:webhooks",
    },
    "Operate": {
        "alerts": "alerts:alerts",
        "migrate": "database:migrate",
        "env": "database:env",
        "stop": "database:stop",
        "receiver": "receiver:receiver",
        "api": "api:api",
        "tokens": "tokens:tokens",
        "links": "links:links",
        "operators": "operators:operators",
    },
    "Without a Stripe account": {
        "demo": "sandbox:demo",
        "up": "sandbox:up",
        "emulator": "sandbox:emulator",
        "mailbox": "sandbox:mailbox",
        "bench": "sandbox:bench",
    },
}


@click.group(cls=Commands, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="billing-pipeline", prog_name="billing", message="%(prog)s %(version)s")
def main() -> None:
    """Usage billing: import usage, run a month, look at the result.

    Exit status 0: all well; 1: it failed, and one line on stderr says why; 2: the command was written wrongly;
    3: done, but something waits for a person. docs/commands.md has all commands, and the shapes of --json.
    """
