"""A pass over the charges that are due: asks about them, tries refused payments again, parks what stays unclear.

Each goes through month.charge_month, so every lock, brake and question to Stripe is the same as in a month's run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby

from billing_pipeline.charging import follow_ups as queue
from billing_pipeline.charging.brakes import PAUSED, UNAVAILABLE
from billing_pipeline.charging.circuit_breaker import guarded, utc_now
from billing_pipeline.charging.follow_ups import FollowUp
from billing_pipeline.charging.invoice import Retry
from billing_pipeline.charging.month import WORKERS, ChargeReport, charge_month
from billing_pipeline.charging.rules.brakes import Brake, Limits, distinct
from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.charging.rules.retry_schedule import RETRY_DAYS
from billing_pipeline.charging.rules.unknown_outcomes import next_question
from billing_pipeline.charging.store import ChargeMoved, ChargeStore
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeApi
from billing_pipeline.stripe_gateway.rules.errors import TABLE, Outcome

HELD_BACK_FOR = timedelta(minutes=5)
"""What a brake held back is looked at again after so long."""

_UNANSWERED = {
    PAUSED,
    UNAVAILABLE,
    *(row.reason_code for row in TABLE.values() if row.outcome in (Outcome.UNKNOWN, Outcome.RETRY)),
}


@dataclass(frozen=True, slots=True)
class FollowUpReport:
    """What a pass did: charges asked about, payments tried again, charges parked, and the report of each month."""

    asked: int = 0
    retried: int = 0
    parked: tuple[str, ...] = ()
    months: dict[date, ChargeReport] = field(default_factory=dict)

    @property
    def brakes(self) -> list[Brake]:
        """The brakes that held something back."""
        return distinct(brake for report in self.months.values() for brake in report.brakes)


def follow_up(
    warehouse: Warehouse,
    api: StripeApi,
    run_id: str,
    *,
    log: Callable[[str], None],
    limits: Limits = Limits(),  # noqa: B008 - immutable
    retry_days: Sequence[int] = RETRY_DAYS,
    clock: Callable[[], datetime] = utc_now,
    workers: int = WORKERS,
) -> FollowUpReport:
    """Do what is due by the clock.

    Args:
        warehouse: the billing database.
        api: Stripe.
        run_id: for the audit log.
        log: takes a line on progress.
        limits: as in a month's run.
        retry_days: the schedule of retries.
        clock: what time it is.
        workers: threads.

    Raises:
        StripeFailure: Stripe does not accept the key.
    """
    queue.plan(warehouse, retry_days)
    due = queue.due(warehouse, clock())
    guard = guarded(api, warehouse, clock)
    months: dict[date, ChargeReport] = {}
    parked: list[str] = []
    for month, rows in groupby(sorted(due, key=lambda one: one.billing_month), key=lambda one: one.billing_month):
        follow_ups = list(rows)
        report = charge_month(
            warehouse,
            guard,
            month,
            run_id,
            log=log,
            workers=workers,
            limits=limits,
            clock=clock,
            only=frozenset(one.invoice_id for one in follow_ups),
            retries={one.invoice_id: Retry(one.attempt, one.cause) for one in follow_ups if one.kind == "pay"},
        )
        months[month] = report
        parked += _after(warehouse, follow_ups, report, run_id, clock())
    queue.plan(warehouse, retry_days)
    retried = sum(one.kind == "pay" for one in due)
    return FollowUpReport(len(due) - retried, retried, tuple(parked), months)


def _after(
    warehouse: Warehouse, follow_ups: Sequence[FollowUp], report: ChargeReport, run_id: str, now: datetime
) -> list[str]:
    """Plan what comes next for those that are where they were; returns the ids of those that were parked."""
    standing = {
        row["invoice_id"]: row for row in warehouse.rows(_STANDING, invoices=[one.invoice_id for one in follow_ups])
    }
    held = any(report.pending.get(code) for code in (PAUSED, UNAVAILABLE))
    unanswered = any(code.removeprefix("customer_") in _UNANSWERED for code in report.pending)
    later: list[FollowUp] = []
    parked = []
    for one in follow_ups:
        now_is = standing[one.invoice_id]
        if one.kind == "pay":
            if now_is["state"] == "refused" and now_is["attempt"] == one.attempt:
                later.append(one)
        elif now_is["state"] in WORKABLE:
            unknown = now_is["outcome_unknown_since"] is not None
            question = next_question(now, one.step + 1, unknown=unknown)
            if held or (unanswered and not unknown):
                # nobody was asked, or nobody answered: what only waits goes on as soon as Stripe does
                later.append(one)
            elif question.due_at is not None:
                queue.count_question(warehouse, one, question.due_at, question.cause)
            elif _park(warehouse, one, now_is["outcome_unknown_since"], question.cause, run_id):
                parked.append(one.invoice_id)
            else:
                later.append(one)
    why = "; ".join(map(str, report.brakes)) or ", ".join(report.pending) or "in other hands"
    queue.postpone(warehouse, later, now + HELD_BACK_FOR, f"held back: {why}")
    return parked


def _park(warehouse: Warehouse, follow_up: FollowUp, since: datetime, cause: str, run_id: str) -> bool:
    """A person decides from here on; False: somebody works on it, or it has moved."""
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        store = ChargeStore(connection, run_id, "charge-janitor")
        with store.locked(follow_up.invoice_id) as mine:
            if not mine:
                return False
            charge = store.read(follow_up.invoice_id).charge
            if charge.state not in WORKABLE:
                return False
            try:
                store.change(
                    charge,
                    "charge.park",
                    state="parked",
                    reason_code="outcome_unknown",
                    reason=f"{cause}, since {since:%Y-%m-%d %H:%M} UTC",
                    outcome_unknown=None,
                )
            except ChargeMoved:
                return False
    return True


_STANDING = """
SELECT invoice_id::text AS invoice_id, state, attempt, outcome_unknown_since
FROM billing.stripe_charges WHERE invoice_id = ANY(CAST(:invoices AS uuid[]))
"""
