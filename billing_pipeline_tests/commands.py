"""The `billing` command as tests run it, in this process or in one of its own, and what it said."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from billing_pipeline.cli import main
from billing_pipeline.settings import ROOT


def billing(*arguments: str) -> Result:
    """Run it; it ends by itself or by an exit status, never by an error that nobody caught."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def said(*arguments: str, exit_code: int = 0) -> str:
    """What it printed on stdout."""
    result = billing(*arguments)
    assert result.exit_code == exit_code, result.output
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


def run_apart(state: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """The same to its end in a process of its own, in this state folder and with these settings and no others."""
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith(("BILLING_", "DAGSTER_", "STRIPE_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "billing_pipeline.cli", *arguments],
        cwd=state,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**outside, "BILLING_STATE_DIR": str(state), **settings},
    )


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
