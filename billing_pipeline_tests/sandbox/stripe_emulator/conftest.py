"""An emulator over real HTTP for every test: one shared, and fresh ones for tests that bend it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from billing_pipeline.sandbox.stripe_emulator import running_emulator
from billing_pipeline_tests.sandbox.stripe_emulator.emulated import NO_LIMITS, Emulated


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulated]:
    """The shared emulator: don't move its clock and leave no faults behind."""
    with running_emulator(**NO_LIMITS) as running:
        emulated = Emulated(running)
        yield emulated
        emulated.http.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Emulated]]:
    """Starts fresh emulators: ``start(path=…, **settings)``."""
    opened: list[tuple[Any, Emulated]] = []

    def begin(**settings: Any) -> Emulated:
        context = running_emulator(settings.pop("path", None), **{**NO_LIMITS, **settings})
        emulated = Emulated(context.__enter__())
        opened.append((context, emulated))
        return emulated

    yield begin
    for context, emulated in reversed(opened):
        emulated.http.close()
        context.__exit__(None, None, None)


@pytest.fixture
def fresh(start: Callable[..., Emulated]) -> Emulated:
    """An emulator of the test's own."""
    return start()
