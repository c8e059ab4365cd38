"""The folder that DAGSTER_HOME names: it holds dagster.yaml, and what Dagster writes to disk is below it."""

import json
import os
import re
from pathlib import Path

from billing_pipeline.settings.environment import PROJECT_FILES, private_folder


def dagster_home(state_dir: Path) -> Path:
    """A folder of the state, for its owner alone: compute logs may hold what a step printed.

    Its dagster.yaml is the project's with whole paths, so that it does not matter in which folder Dagster is started.
    """
    home = private_folder(state_dir / "dagster")
    text = (PROJECT_FILES / "dagster.yaml").read_text(encoding="utf-8")
    fresh = home / f"dagster.yaml.{os.getpid()}"
    fresh.write_text(
        re.sub(r"(?<=base_dir: )\.billing/dagster(\S*)", lambda found: json.dumps(f"{home}{found[1]}"), text),
        encoding="utf-8",
    )
    fresh.replace(home / "dagster.yaml")  # in one step: another process may be reading it
    return home
