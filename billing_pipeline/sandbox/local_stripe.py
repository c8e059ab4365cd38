"""The emulator for a run without a Stripe key: started on a free port for as long as the run takes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from billing_pipeline.sandbox.stripe_emulator.server import running_emulator
from billing_pipeline.settings import EMULATOR_KEY, Settings


@contextmanager
def stripe_for(settings: Settings, *, needed: bool = True) -> Iterator[None]:
    """Point STRIPE_API_BASE and STRIPE_SECRET_KEY at an emulator, unless the environment names a Stripe."""
    if not needed or not settings.uses_emulator or settings.stripe_api_base is not None:
        yield
        return
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with running_emulator(settings.state_dir / "stripe.sqlite") as emulator:
        before = {name: os.environ.get(name) for name in ("STRIPE_API_BASE", "STRIPE_SECRET_KEY")}
        os.environ.update(STRIPE_API_BASE=emulator.base_url, STRIPE_SECRET_KEY=EMULATOR_KEY)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
