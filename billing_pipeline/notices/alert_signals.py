"""What is wrong just now, as the database and this machine show it. Changes nothing and asks nobody."""

import shutil
from datetime import datetime

from billing_pipeline.books.months import overdue_months
from billing_pipeline.notices.rules.alert_policy import AlertPolicy
from billing_pipeline.notices.rules.alert_rules import RULES, Signal
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

OF_DAGSTER = frozenset({"run_failed", "run_late", "tick_failed"})
"""Rules that only Dagster's own records can answer: defs/alerts.py reads them."""
LOOKED_AT = frozenset(RULES) - OF_DAGSTER
"""Rules that `signals_now` answers."""


def signals_now(warehouse: Warehouse, settings: Settings, policy: AlertPolicy, now: datetime) -> list[Signal]:
    """Everything of LOOKED_AT that is so at `now` and is not switched off."""
    rows = warehouse.rows(load_sql("notices/alert_signals.sql"), now=now, **dict(policy.parameters()))
    found = [Signal(**row) for row in rows]
    overdue = overdue_months(warehouse, now, settings.charging.charged_within_days)
    found += [
        Signal("month_not_billed", f"{month.billing_month:%Y-%m}", example=str(month), month=month.billing_month)
        for month in overdue
    ]
    found += _disk(settings, policy)
    return [signal for signal in found if signal.rule not in policy.off]


def _disk(settings: Settings, policy: AlertPolicy) -> list[Signal]:
    folder = settings.state_dir
    if not folder.exists():
        return []
    usage = shutil.disk_usage(folder)
    percent = 100 * usage.free // usage.total
    if percent >= policy.threshold("disk_full", "free_percent"):
        return []
    return [Signal("disk_full", str(folder), example=f"{percent} % free")]
