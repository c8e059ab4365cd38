"""A run over the charges that are due: asks about them, tries refused payments again, parks what stays unclear.

Each goes through month.charge_invoices_of_month, so locks, brakes and questions to Stripe are those of a month's run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby

from billing_pipeline.charging import follow_ups
from billing_pipeline.charging.brakes import PAUSED, UNAVAILABLE
from billing_pipeline.charging.circuit_breaker import guarded, utc_now
from billing_pipeline.charging.exclusive import InvoiceBusy, exclusive
from billing_pipeline.charging.follow_ups import FollowUp, RetryDays, default_days
from billing_pipeline.charging.invoice import Retry
from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.report import ChargeReport
from billing_pipeline.charging.rules.brakes import Brake, Limits, distinct
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.charging.rules.unknown_outcomes import next_question
from billing_pipeline.charging.run_options import WORKERS, RunOptions
from billing_pipeline.charging.store import ChargeMoved
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeApi
from billing_pipeline.stripe_gateway.rules.errors import TABLE, Outcome

JANITOR = "charge-janitor"
"""The actor in the audit log of what parks by itself."""
HELD_BACK_FOR = timedelta(minutes=5)
"""What a brake held back is looked at again after so long."""

_UNANSWERED = {
    PAUSED,
    UNAVAILABLE,
    *(row.reason_code for row in TABLE.values() if row.outcome in (Outcome.UNKNOWN, Outcome.RETRY)),
}


@dataclass(frozen=True, slots=True)
class _Present:
    """Where a charge is after the pass."""

    invoice_id: str
    state: str
    attempt: int
    outcome_unknown_since: datetime | None


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
    retry_days: RetryDays = default_days,
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
        retry_days: the schedule of a refusal's retries.
        clock: what time it is.
        workers: threads.

    Raises:
        StripeFailure: Stripe does not accept the key.
    """
    follow_ups.plan(warehouse, retry_days)
    all_due = follow_ups.due(warehouse, clock())
    guard = guarded(api, warehouse, clock)
    months: dict[date, ChargeReport] = {}
    parked: list[str] = []
    for month, rows in groupby(sorted(all_due, key=_month_of), key=_month_of):
        of_month = list(rows)
        options = RunOptions(
            log=log,
            workers=workers,
            limits=limits,
            clock=clock,
            only=frozenset(due.invoice_id for due in of_month),
            retries={due.invoice_id: Retry(due.attempt, due.cause) for due in of_month if due.kind == "pay"},
        )
        report = charge_invoices_of_month(warehouse, guard, month, run_id, options)
        months[month] = report
        parked += _after(warehouse, of_month, report, run_id, clock())
    follow_ups.plan(warehouse, retry_days)
    retried = sum(due.kind == "pay" for due in all_due)
    return FollowUpReport(len(all_due) - retried, retried, tuple(parked), months)


def _month_of(due: FollowUp) -> date:
    return due.billing_month


def _after(
    warehouse: Warehouse, worked: Sequence[FollowUp], report: ChargeReport, run_id: str, now: datetime
) -> list[str]:
    """Plan what comes next for those that are where they were; returns the ids of those that were parked."""
    rows = warehouse.rows(_PRESENT, invoices=[due.invoice_id for due in worked])
    present = {row["invoice_id"]: _Present(**row) for row in rows}
    held = any(report.pending.get(code) for code in (PAUSED, UNAVAILABLE))
    unanswered = any(code.removeprefix("customer_") in _UNANSWERED for code in report.pending)
    later: list[FollowUp] = []
    parked = []
    for due in worked:
        charge = present[due.invoice_id]
        if due.kind == "pay":
            if charge.state == "refused" and charge.attempt == due.attempt:
                later.append(due)
        elif charge.state in WORKABLE:
            unknown = charge.outcome_unknown_since is not None
            question = next_question(now, due.step + 1, unknown=unknown)
            if held or (unanswered and not unknown):
                # nobody was asked, or nobody answered: what only waits goes on as soon as Stripe does
                later.append(due)
            elif question.due_at is not None:
                follow_ups.count_question(warehouse, due, question.due_at, question.cause)
            elif _park(warehouse, due, charge.outcome_unknown_since, question.cause, run_id):
                parked.append(due.invoice_id)
            else:
                later.append(due)
    why = "; ".join(map(str, report.brakes)) or ", ".join(report.pending) or "in other hands"
    follow_ups.postpone(warehouse, later, now + HELD_BACK_FOR, f"held back: {why}")
    return parked


def _park(warehouse: Warehouse, follow_up: FollowUp, since: datetime | None, cause: str, run_id: str) -> bool:
    """A person decides from here on; False: somebody works on it, or it has moved."""
    try:
        with exclusive(warehouse, follow_up.invoice_id, JANITOR, run_id=run_id) as store:
            charge = store.read(follow_up.invoice_id).charge
            if charge.state not in WORKABLE:
                return False
            parked = ChargeChange(
                "charge.park",
                "parked",
                reason_code="outcome_unknown",
                reason=f"{cause}, since {since:%Y-%m-%d %H:%M} UTC",
                outcome_unknown=None,
            )
            store.change(charge, parked)
    except (InvoiceBusy, ChargeMoved):
        return False
    return True


_PRESENT = """
SELECT invoice_id::text AS invoice_id, state, attempt, outcome_unknown_since
FROM billing.stripe_charges WHERE invoice_id = ANY(CAST(:invoices AS uuid[]))
"""
