"""What is wrong just now, as the database and this machine show it. Changes nothing and asks nobody."""

import shutil
from datetime import datetime

from billing_pipeline.books.months import overdue_months
from billing_pipeline.core.money import format_minor
from billing_pipeline.notices.rules.alert_policy import AlertPolicy
from billing_pipeline.notices.rules.alert_rules import RULES, Signal
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

OF_DAGSTER = frozenset({"run_failed", "run_late", "tick_failed"})
"""Rules that only Dagster's own records can answer: defs/alerts.py reads them."""
ASKED_FOR = frozenset({"certificate_expires"})
"""Rules that only another machine can answer: certificates.py asks."""
LOOKED_AT = frozenset(RULES) - OF_DAGSTER - ASKED_FOR
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
    found += _revenue(warehouse, policy, now)
    found += _disk(settings, policy)
    return [signal for signal in found if signal.rule not in policy.off]


def _revenue(warehouse: Warehouse, policy: AlertPolicy, now: datetime) -> list[Signal]:
    rule = "revenue_unusual"
    thresholds = {name: policy.threshold(rule, name) for name in ("within_d", "spreads")}
    rows = warehouse.rows(load_sql("notices/unusual_revenue_now.sql"), now=now, **thresholds)
    return [
        Signal(
            rule,
            f"{row['month']:%Y-%m}",
            row["count"],
            f"customer {row['customer_id']}: {format_minor(row['amount_minor'], row['currency'])}, usually"
            f" {format_minor(row['usual_minor'], row['currency'])}",
            row["month"],
        )
        for row in rows
        if row["count"] >= policy.threshold(rule, "at_least")
    ]


def _disk(settings: Settings, policy: AlertPolicy) -> list[Signal]:
    """The state folder's disk, and that of the embedded database where it is another one."""
    found: dict[int, Signal] = {}
    for folder in (settings.state_dir, settings.state_dir / "postgres"):
        if not folder.exists():
            continue
        usage = shutil.disk_usage(folder)
        percent = 100 * usage.free // usage.total
        if percent < policy.threshold("disk_full", "free_percent"):
            found.setdefault(folder.stat().st_dev, Signal("disk_full", str(folder), example=f"{percent} % free"))
    return list(found.values())
