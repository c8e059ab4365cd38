"""The `billing` command in this process, and what it said."""

import os
import subprocess
import sys

from click.testing import CliRunner, Result

from billing_pipeline.cli import main
from billing_pipeline.settings import ROOT


def billing(*arguments: str) -> Result:
    """Run it."""
    return CliRunner().invoke(main, arguments)


def said(*arguments: str, exit_code: int = 0) -> str:
    """What it printed on stdout."""
    result = billing(*arguments)
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    return str(result.stdout).strip()


def refused(*arguments: str, exit_code: int = 1) -> str:
    """The one line that says why not; nothing is on stdout."""
    result = billing(*arguments)
    assert (result.exit_code, result.stdout) == (exit_code, ""), result.output
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    if exit_code == 1:
        assert result.stderr.strip() == line
    return line.removeprefix("Error: ")


def started(*arguments: str) -> "subprocess.Popen[str]":
    """The same in a process of its own, with this one's environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "billing_pipeline.cli", *arguments],
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
