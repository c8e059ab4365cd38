"""When things happen by themselves. All crons are in UTC."""

import os
from dataclasses import dataclass
from typing import Self

from billing_pipeline.settings.environment import positive


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """Cron expressions; whether they are any is for the schedules to say."""

    bill_month_cron: str
    """BILL_MONTH_CRON; default: the 1st at 12:00, when the month has ended in every time zone."""
    charge_month_cron: str
    """CHARGE_MONTH_CRON; default: a day later, so that drafts can be looked at."""
    sweep_cron: str
    """SWEEP_CRON: when Stripe's own list is searched for events that never arrived; default: every 15 min."""
    prune_cron: str
    """PRUNE_CRON: when old logs of Dagster's are deleted; default: daily at 04:15."""
    audit_cron: str
    """AUDIT_CRON: when the audit chain is sealed; default: hourly, at 20 past."""
    credits_cron: str
    """CREDITS_CRON: when prepaid credits that expired are booked; default: daily at 12:30."""
    log_days: int
    """BILLING_LOG_DAYS: runs of the small jobs, and the output of all, are kept so many days."""
    reconcile_cron: str
    """RECONCILE_CRON: when our books are compared with Stripe's; default: daily at 06:30."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        return cls(
            bill_month_cron=os.environ.get("BILL_MONTH_CRON") or "0 12 1 * *",
            charge_month_cron=os.environ.get("CHARGE_MONTH_CRON") or "0 12 2 * *",
            sweep_cron=os.environ.get("SWEEP_CRON") or "*/15 * * * *",
            prune_cron=os.environ.get("PRUNE_CRON") or "15 4 * * *",
            audit_cron=os.environ.get("AUDIT_CRON") or "20 * * * *",
            credits_cron=os.environ.get("CREDITS_CRON") or "30 12 * * *",
            log_days=positive("BILLING_LOG_DAYS", 90),
            reconcile_cron=os.environ.get("RECONCILE_CRON") or "30 6 * * *",
        )
