"""A month's run in a process of its own, for doors that cannot wait for it: `start` returns when it is claimed.

The process is `python -m billing_pipeline.defs.background_runs RUN_ID`. It executes the job as `billing run` does,
under the id that was claimed, in the process group of who asked: it ends with that, and the next run goes on from what
was done. What it says goes to the state folder's `runs/RUN_ID.log`.
"""

import subprocess
import sys
import threading
from datetime import date

from billing_pipeline.books.started_runs import Job, StartedRun, alive, claim_run, end_run, read_run
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.customer_drafts import require_draftable
from billing_pipeline.postgres.engine import open_warehouse, require_dagster_storage
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import load_settings
from billing_pipeline.settings.environment import private_folder

_THROUGH = {"snapshot_month": "usage_snapshots", "bill_month": "invoices", "whole_month": "stripe_charges"}
"""The last asset of a job that begins with usage."""


def start(warehouse: Warehouse, month: date, job: Job, signature: Signature, customer: str | None = None) -> StartedRun:
    """Start the job for the month, or return its run that has not ended, whoever started that.

    `customer`: whose drafts `bill_customer` builds; None for the other jobs.

    Raises:
        NotFound: there is no such customer.
        UserError: Dagster's storage does not answer; or the customer cannot be drafted alone, for one because a run of
            the whole month is under way.
    """
    require_dagster_storage(warehouse.dagster_url)
    if customer is not None:
        with warehouse.transaction() as connection:
            require_draftable(connection, month, customer)
    claimed = claim_run(warehouse, month, job, signature, customer)
    if claimed.is_new:
        folder = private_folder(load_settings().state_dir / "runs")
        with (folder / f"{claimed.run_id}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, claimed.run_id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        threading.Thread(target=_wait, args=(warehouse, process, claimed.run_id), daemon=True).start()
    return claimed


def _wait(warehouse: Warehouse, process: "subprocess.Popen[bytes]", run_id: str) -> None:
    """A process that ended before it could say so has ended all the same."""
    if process.wait() != 0:
        end_run(warehouse, run_id)


def main(run_id: str) -> None:
    """Execute the run."""
    settings = load_settings()
    warehouse = open_warehouse(settings)
    claimed = read_run(warehouse, run_id)
    with alive(warehouse, run_id):
        from billing_pipeline.defs.instance import dagster_instance
        from billing_pipeline.defs.running import STARTED_BY, charge_month, run_customer, run_month
        from billing_pipeline.stripe_gateway.local_emulator import stripe_for

        url = warehouse.dagster_url.render_as_string(hide_password=False)
        tags = {STARTED_BY: claimed.author}
        with (
            stripe_for(settings, needed=claimed.job in ("charge_month", "whole_month")),
            dagster_instance(url) as instance,
        ):
            if claimed.job == "charge_month":
                charge_month(instance, claimed.billing_month, tags=tags, run_id=run_id)
            elif claimed.customer_id is not None:
                run_customer(instance, claimed.billing_month, claimed.customer_id, tags=tags, run_id=run_id)
            else:
                run_month(instance, claimed.billing_month, _THROUGH[claimed.job], tags=tags, run_id=run_id)


if __name__ == "__main__":
    main(sys.argv[1])
