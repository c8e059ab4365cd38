"""What tests of the demo share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_pipeline_tests.sandbox.demo_process import stop_database


@pytest.fixture
def state() -> Iterator[Path]:
    """Not below pytest's folder: another pytest of root's closes that one to the user that PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="billing-demo-") as folder:
        yield Path(folder) / "state"
        stop_database(Path(folder) / "state")
