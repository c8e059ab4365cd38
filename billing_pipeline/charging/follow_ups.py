"""The queue of charges that are looked at again: those without a definite answer, and refused ones that are due.

The queue is derived from stripe_charges, so losing it loses nothing. When something is due is decided in
charging/rules/retry_schedule.py and charging/rules/unknown_outcomes.py; doing it is follow_up_runs.py's.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.charging.rules.refusals import Refusal
from billing_pipeline.charging.rules.retry_schedule import RETRY_DAYS, next_retry
from billing_pipeline.charging.rules.unknown_outcomes import next_question
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

RetryDays = Callable[[Refusal], Sequence[int]]
"""The schedule of a refusal: days after the first one, rising."""
OFFER_AGAIN_AFTER = timedelta(minutes=10)
"""A run that was asked for and never did its work is asked for again after so long."""


def default_days(_: Refusal) -> Sequence[int]:
    """The schedule where nobody says another."""
    return RETRY_DAYS


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A charge that is due. `attempt` is the one that is asked about or was refused."""

    invoice_id: str
    kind: str
    attempt: int
    step: int
    due_at: datetime
    cause: str
    billing_month: date


@dataclass(frozen=True, slots=True)
class Offer:
    """Follow-ups that a run is asked for; `key` differs from every earlier offer's."""

    key: str
    asks: int
    retries: int


def make_due(
    connection: Connection, customer_id: str, *, cause: str = "new payment method", at: datetime | None = None
) -> int:
    """Make the customer's refused charges due at once, whatever they were refused for; returns how many there are.

    For whoever learns of a newly attached or newly default payment method; twice is as good as once. Nothing is paid
    here: the next tick of the sensor asks for a run, and that asks Stripe first. What follows from another refusal is
    counted anew, with this retry as the first.

    Args:
        connection: an open transaction, so that this and marking an event as done are one.
        customer_id: the platform's key, not Stripe's.
        cause: why, for operators.
        at: the instant; default: now.
    """
    parameters = {"customer_id": customer_id, "cause": cause, "due_at": at or datetime.now(UTC)}
    return connection.execute(text(load_sql("charging/charge_make_due.sql")), parameters).rowcount


def plan(warehouse: Warehouse, retry_days: RetryDays, busy_months: Collection[date] = ()) -> None:
    """Bring the queue up to date: a follow-up for every charge that needs one, none for those that have an answer.

    Charges of `busy_months` without an answer are left to the runs that charge them.
    """
    with warehouse.transaction() as connection:
        # two planners at once would both count a retry
        connection.execute(text("LOCK TABLE billing.charge_follow_ups IN SHARE ROW EXCLUSIVE MODE"))
        connection.execute(text(load_sql("charging/charge_follow_ups_done.sql")))
        connection.execute(text(load_sql("charging/charge_follow_ups_begun.sql")))
        unplanned = text(load_sql("charging/charge_follow_ups_unplanned.sql"))
        found = connection.execute(unplanned, {"busy_months": list(busy_months)}).mappings().all()
        planned = [_planned(dict(row), retry_days) for row in found]
        if planned:
            connection.execute(text(_UPSERT), planned)


def _planned(row: dict[str, Any], retry_days: RetryDays) -> dict[str, Any]:
    if row["kind"] == "ask":
        question = next_question(row["since"], 0, unknown=row["outcome_unknown"])
        due_at, cause = question.due_at, question.cause
    else:
        days = retry_days(Refusal.of_row(row))
        retry = next_retry(row["reason_code"], row["since"], row["retries_made"], days, by_bank=row["by_bank"])
        due_at, cause = retry.due_at, retry.cause
    return {
        "invoice_id": row["invoice_id"],
        "kind": row["kind"],
        "attempt": row["attempt"],
        "step": row["retries_made"],
        "due_at": due_at,
        "cause": cause,
    }


def offer(warehouse: Warehouse, now: datetime, busy_months: Collection[date] = ()) -> Offer | None:
    """What a run should be asked for now, if anything; the same is not offered again for a while.

    `busy_months` are left to the runs that charge them.
    """
    parameters = {"now": now, "offered_before": now - OFFER_AGAIN_AFTER, "busy_months": list(busy_months)}
    with warehouse.transaction() as connection:
        found = connection.execute(text(load_sql("charging/charge_follow_ups_offer.sql")), parameters).all()
    if not found:
        return None
    first = min(found, key=lambda row: (row.due_at, row.invoice_id, row.kind))
    retries = sum(row.kind == "pay" for row in found)
    return Offer(
        f"{first.kind}:{first.invoice_id}:{first.step}:{first.due_at.isoformat()}:{first.offers}",
        asks=len(found) - retries,
        retries=retries,
    )


def due(warehouse: Warehouse, now: datetime) -> list[FollowUp]:
    """All that is due, oldest first."""
    return [FollowUp(**row) for row in warehouse.rows(_DUE, now=now)]


def postpone(warehouse: Warehouse, follow_ups: Iterable[FollowUp], due_at: datetime, cause: str) -> None:
    """Do these later; that does not count as done."""
    rows = [{"invoice_id": one.invoice_id, "kind": one.kind, "due_at": due_at, "cause": cause} for one in follow_ups]
    if rows:
        with warehouse.transaction() as connection:
            connection.execute(text(_POSTPONE), rows)


def count_question(warehouse: Warehouse, follow_up: FollowUp, due_at: datetime, cause: str) -> None:
    """It was asked about and nothing is settled: again at `due_at`."""
    with warehouse.transaction() as connection:
        connection.execute(
            text(_COUNT),
            {"invoice_id": follow_up.invoice_id, "step": follow_up.step, "due_at": due_at, "cause": cause},
        )


def hasten(warehouse: Warehouse, now: datetime) -> int:
    """Ask about everything without an answer at once, because what held it back is gone; returns how many there are."""
    with warehouse.transaction() as connection:
        return connection.execute(
            text(
                "UPDATE billing.charge_follow_ups SET due_at = :now, offered_at = NULL"
                " WHERE kind = 'ask' AND due_at > :now"
            ),
            {"now": now},
        ).rowcount


_UPSERT = """
INSERT INTO billing.charge_follow_ups (invoice_id, kind, attempt, step, due_at, cause)
VALUES (:invoice_id, :kind, :attempt, :step, :due_at, :cause)
ON CONFLICT (invoice_id, kind) DO UPDATE
SET attempt = excluded.attempt, step = excluded.step, due_at = excluded.due_at, cause = excluded.cause,
    offered_at = NULL
"""
_DUE = """
SELECT f.invoice_id::text AS invoice_id, f.kind, f.attempt, f.step, f.due_at, f.cause, c.billing_month
FROM billing.charge_follow_ups AS f JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE f.due_at <= :now ORDER BY f.due_at, f.invoice_id
"""
_POSTPONE = """
UPDATE billing.charge_follow_ups SET due_at = :due_at, cause = :cause, offered_at = NULL
WHERE invoice_id = :invoice_id AND kind = :kind
"""
_COUNT = """
UPDATE billing.charge_follow_ups SET step = step + 1, due_at = :due_at, cause = :cause, offered_at = NULL
WHERE invoice_id = :invoice_id AND kind = 'ask' AND step = :step
"""
