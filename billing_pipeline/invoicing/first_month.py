"""The first month that there is something to bill in, kept in a small file for those who may not ask the database.

Dagster's partitions begin with it, and a code location must load without a database.
"""

import os
from contextlib import suppress
from datetime import date
from pathlib import Path

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings
from billing_pipeline.settings.environment import private_folder

FILE = "first_month"
"""In the state folder; holds a month such as 2026-10."""


def first_month(warehouse: Warehouse) -> date | None:
    """The month of the first usage event, or the first month that was built, whichever is earlier; None: neither is."""
    found: date | None = warehouse.scalar(_FIRST)
    return found


def keep_first_month(warehouse: Warehouse, settings: Settings) -> None:
    """Write the database's first month to the file, unless BILLING_FIRST_MONTH says which it is.

    Where the folder cannot be written, the partitions begin with what they began with before: that fails nothing.
    """
    found = first_month(warehouse) if settings.invoicing.first_month is None else None
    if found is None or found == kept_first_month(settings.state_dir):
        return
    path = settings.state_dir / FILE
    # by renaming: another process may read it meanwhile
    complete = path.with_name(f"{FILE}.{os.getpid()}")
    with suppress(OSError):
        private_folder(path.parent)
        complete.write_text(f"{found:%Y-%m}\n", encoding="utf-8")
        complete.replace(path)


def kept_first_month(state_dir: Path) -> date | None:
    """The month in the file; None if there is none to read."""
    try:
        return date.fromisoformat(f"{(state_dir / FILE).read_text(encoding='utf-8').strip()}-01")
    except (OSError, ValueError):
        return None


# A customer's day begins at most twelve hours after UTC's, so usage early in a UTC month may be of the month before.
_FIRST = """
SELECT least(
    (SELECT date_trunc('month', min(occurred_at) AT TIME ZONE 'UTC' - interval '12 hours')::date
     FROM billing.usage_events),
    (SELECT min(billing_month) FROM billing.asset_months)
)
"""
