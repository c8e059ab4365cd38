"""The Dagster job `charge_month`, run in this process on an instance in Postgres, with a warehouse and an API of ours."""

import os
import shutil
from pathlib import Path
from typing import Any

from billing_pipeline.defs import resources
from billing_pipeline.defs.instance import dagster_instance
from billing_pipeline.defs.running import charge_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.charging.world import MONTH

AGE_MAX_DAYS = "36500"
"""The month of the proof is always the same one, and gets older."""


def prepare_home(folder: Path) -> None:
    """A DAGSTER_HOME, whose folders are relative to where the run is."""
    shutil.copy(ROOT / "dagster.yaml", folder)


def charge_by_job(home: Path, dagster_url: str, database: str, warehouse: Warehouse, api: Any) -> dict[str, Any]:
    """Run the job for the month; what its asset reported."""
    os.chdir(home)
    os.environ.update(DAGSTER_HOME=str(home), BILLING_DATABASE_URL=database, BILLING_STATE_DIR=str(home / "state"))
    os.environ["BILLING_CHARGE_AGE_MAX_DAYS"] = AGE_MAX_DAYS
    resources._open = lambda _settings: warehouse  # type: ignore[assignment]
    resources.open_gateway = lambda *_: api  # type: ignore[attr-defined]
    with dagster_instance(dagster_url) as instance:
        outcome = charge_month(instance, MONTH)
    shown = outcome.metadata.get("stripe_charges", {})
    return {
        "success": outcome.success,
        "errors": outcome.errors,
        "finalised": shown.get("finalised_now"),
        "worked_on": shown.get("charged_now"),
        "in_other_hands": shown.get("in_other_hands"),
    }
