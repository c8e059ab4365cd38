"""A Stripe for a run without a key: the emulator, in a process of its own for as long as the run takes.

By its name only: nothing that runs with a key imports the sandbox.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from billing_pipeline.settings import EMULATOR_KEY, Settings
from billing_pipeline.settings.environment import private_folder

EMULATOR = "billing_pipeline.sandbox.stripe_emulator"
STOPPED_WITHIN_S = 10.0


@contextmanager
def stripe_for(settings: Settings, *, needed: bool = True) -> Iterator[None]:
    """Point STRIPE_API_BASE and STRIPE_SECRET_KEY at an emulator, unless the environment names a Stripe."""
    if not needed or settings.stripe.is_configured:
        yield
        return
    private_folder(settings.state_dir)
    with _running(settings.state_dir / "stripe.sqlite") as base_url:
        before = {name: os.environ.get(name) for name in ("STRIPE_API_BASE", "STRIPE_SECRET_KEY")}
        os.environ.update(STRIPE_API_BASE=base_url, STRIPE_SECRET_KEY=EMULATOR_KEY)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextmanager
def _running(path: Path) -> Iterator[str]:
    """The emulator's address. It ends when its standard input does, so it does not outlive a process that is killed."""
    # a session of its own: Ctrl-C is for the run, which still has calls to finish
    with subprocess.Popen(
        [sys.executable, "-m", EMULATOR, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            base_url = process.stdout.readline().strip() if process.stdout else ""
            if not base_url:
                raise RuntimeError("the Stripe emulator did not start")
            yield base_url
        finally:
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
