"""`python -m billing_pipeline.sandbox.stripe_emulator FILE`: serve on a free port until standard input ends.

Its address is the one line on standard output.
"""

import sys
from pathlib import Path

import click

from billing_pipeline.sandbox.stripe_emulator.server import running_emulator


def main() -> None:
    """Serve."""
    with running_emulator(Path(sys.argv[1])) as emulator:
        click.echo(emulator.base_url)
        sys.stdin.read()


if __name__ == "__main__":
    main()
