"""The folder that DAGSTER_HOME names: it holds dagster.yaml."""

import os
from pathlib import Path

from billing_pipeline.settings.environment import IS_INSTALLED, PROJECT_FILES, ROOT


def dagster_home(state_dir: Path) -> Path:
    """The checkout; of an installed wheel a folder of the state, made here: nothing writes into the wheel."""
    if not IS_INSTALLED:
        return ROOT
    home = state_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    fresh = home / f"dagster.yaml.{os.getpid()}"
    fresh.write_bytes((PROJECT_FILES / "dagster.yaml").read_bytes())
    fresh.replace(home / "dagster.yaml")  # in one step: another process may be reading it
    return home
