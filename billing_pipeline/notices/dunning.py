"""Dunning: the steps that follow from an unpaid invoice are taken when they are due, each once.

When a step is due is decided in rules/dunning.py; whether it may still be taken in Postgres
(sql/functions/dunning.sql), where the payment of an invoice closes its case in the same transaction.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text

from billing_pipeline.charging.rules.refusals import Refusal
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.timezones import start_of_day
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.rules.dunning import Case, Pause, planned_steps, steps_due
from billing_pipeline.notices.rules.dunning_policy import Policy, Step
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

PROMISE_MAX = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case, and what people want to read beside it."""

    case: Case
    number: str
    total_minor: int
    currency: str
    level: str
    charge_state: str
    reason_code: str | None
    next_retry_at: datetime | None


def open_cases(warehouse: Warehouse, *, customer_id: str | None = None, refused_only: bool = False) -> list[OpenCase]:
    """Unpaid invoices in dunning, the oldest first."""
    rows = warehouse.rows(load_sql("notices/dunning_cases.sql"), customer_id=customer_id, refused_only=refused_only)
    return [_case(row) for row in rows]


def case_rows(warehouse: Warehouse, policy: Policy, now: datetime, customer_id: str | None) -> list[dict[str, Any]]:
    """The open cases as people read them: how far each has come, and what is next."""
    rows = []
    for one in open_cases(warehouse, customer_id=customer_id):
        coming = next(iter(planned_steps(policy, one.case, now)), None)
        rows.append(
            {
                "invoice": one.number,
                "customer_id": one.case.refusal.customer,
                "total_minor": one.total_minor,
                "currency": one.currency,
                "level": one.level,
                "charge": one.charge_state,
                "reason_code": one.reason_code,
                "cause": one.case.refusal.cause,
                "course": policy.course_of(one.case.refusal).name,
                "counted_from": one.case.begins_at,
                "next_step": coming and (coming.step.kind or coming.step.action),
                "next_at": coming and max(coming.due_at, now),
            }
        )
    return rows


def due_cases(warehouse: Warehouse, policy: Policy, now: datetime) -> int:
    """In how many of them a step is due, or which are not counted yet."""
    uncounted = int(warehouse.scalar(_UNCOUNTED))
    return uncounted + sum(bool(steps_due(policy, one.case, now)) for one in open_cases(warehouse, refused_only=True))


def count_from_now(warehouse: Warehouse, now: datetime) -> int:
    """Count refusals that nobody counts yet, such as those from before there was dunning; returns how many."""
    with warehouse.transaction() as connection:
        return connection.execute(text(_OPEN), {"now": now}).rowcount


def take_steps(
    warehouse: Warehouse, policy: Policy, run_id: str, now: datetime, log: Callable[[str], None]
) -> Counter[str]:
    """Take what is due, and return how many steps of which action there were."""
    count_from_now(warehouse, now)
    taken: Counter[str] = Counter()
    for one in open_cases(warehouse, refused_only=True):
        for count, step in enumerate(steps_due(policy, one.case, now), start=len(one.case.done)):
            if not _take(warehouse, policy, one.case, step, count + 1, run_id, now):
                break  # it is paid, or another run goes on with it: what comes next is planned anew
            taken[step.kind or step.action] += 1
            log(f"{one.number} of {one.case.refusal.customer}, day {step.day}: {step.kind or step.action}")
    return taken


def promise(warehouse: Warehouse, customer_id: str, until: date, now: datetime, signature: Signature) -> datetime:
    """The customer promised to pay until the end of that day; its clock stands until then. Returns when that ends.

    The newest promise counts, so one until today takes an older one back.

    Raises:
        UserError: there is no such customer, or the day is past or too far away.
    """
    timezone = read_customer(warehouse, customer_id)["timezone"]
    ends = start_of_day(until + timedelta(days=1), timezone)
    today = now.astimezone(ZoneInfo(timezone)).date()
    if not now < ends <= now + PROMISE_MAX:
        raise UserError(f"--until {until}: expected a day from {today} to {(now + PROMISE_MAX).date()}")
    parameters = {
        "customer_id": customer_id, "until": ends, "author": signature.author, "reason": signature.reason, "now": now,
    }  # fmt: skip
    with warehouse.transaction() as connection:
        connection.execute(text(_PROMISE), parameters)
    return ends


def simulate(warehouse: Warehouse, policy: Policy, now: datetime, days: int) -> list[dict[str, Any]]:
    """What would be done in the next days if nobody paid: at, customer_id, invoice, course, step, day; by time.

    Retries that are planned already are among them; what one that succeeds would spare is not.
    """
    end = now + timedelta(days=days)
    found: list[dict[str, Any]] = []
    for one in open_cases(warehouse):
        refusal = one.case.refusal
        common = {"customer_id": refusal.customer, "invoice": one.number, "course": policy.course_of(refusal).name}
        if one.next_retry_at is not None and one.next_retry_at <= end:
            found.append({"at": max(one.next_retry_at, now), **common, "step": "retry", "day": None})
        for due in planned_steps(policy, one.case, now):
            at = max(due.due_at, now)
            if at <= end:
                found.append({"at": at, **common, "step": due.step.kind or due.step.action, "day": due.step.day})
    return sorted(found, key=lambda row: (row["at"], row["customer_id"], row["invoice"]))


def standings(warehouse: Warehouse, state: str | None = None) -> list[dict[str, Any]]:
    """Where the customers stand who were ever in dunning: customer_id, name, state, since; the newest change first."""
    return warehouse.rows(
        "SELECT s.customer_id, c.name, s.state, s.since FROM billing.customer_standings AS s"
        " JOIN billing.customers AS c USING (customer_id)"
        " WHERE CAST(:state AS text) IS NULL OR s.state = :state ORDER BY s.since DESC, s.customer_id",
        state=state,
    )


def history(warehouse: Warehouse, customer_id: str) -> list[dict[str, Any]]:
    """Everything that dunning did with a customer, the oldest first: at, what, invoice, detail.

    Raises:
        UserError: there is no such customer.
    """
    read_customer(warehouse, customer_id)
    return warehouse.rows(load_sql("notices/dunning_history.sql"), customer_id=customer_id)


def wrongly_suspended(warehouse: Warehouse) -> list[str]:
    """Customers who are suspended though no case of theirs says so: none, unless rows were tampered with."""
    rows = warehouse.rows(
        "SELECT customer_id FROM billing.customer_standings"
        " WHERE state = 'suspended' AND billing.standing_of(customer_id, state) <> 'suspended' ORDER BY 1"
    )
    return [row["customer_id"] for row in rows]


def _take(
    warehouse: Warehouse, policy: Policy, case: Case, step: Step, ordinal: int, run_id: str, now: datetime
) -> bool:
    facts: dict[str, str] = {}
    if step.kind == "final_notice":
        coming = [due for due in planned_steps(policy, case, now) if due.step.action == "suspend"]
        if coming:
            facts["suspends_on"] = coming[0].due_at.astimezone(ZoneInfo(case.timezone)).date().isoformat()
    parameters = {
        "invoice_id": case.invoice_id, "ordinal": ordinal, "day": step.day, "action": step.action, "kind": step.kind,
        "now": now, "policy": policy.name, "course": policy.course_of(case.refusal).name, "run_id": run_id,
        "facts": json.dumps(facts),
    }  # fmt: skip
    with warehouse.transaction() as connection:
        return bool(connection.execute(text(_TAKE), parameters).scalar())


def _case(row: dict[str, Any]) -> OpenCase:
    pauses = [(datetime.fromisoformat(a), datetime.fromisoformat(b) if b else None) for a, b in row["pauses"]]
    case = Case(
        row["invoice_id"],
        Refusal.of_row(row),
        row["timezone"],
        row["track"],
        row["begins_at"],
        tuple(Step(*done) for done in row["done"]),
        row["last_done_at"],
        row["suspends_on"],
        tuple(Pause(since, until) for since, until in pauses),
    )
    names = ("number", "total_minor", "currency", "level", "charge_state", "reason_code", "next_retry_at")
    return OpenCase(case, **{name: row[name] for name in names})


_UNCOUNTED = """
SELECT count(*) FROM billing.stripe_charges AS c
WHERE c.state = 'refused' AND NOT EXISTS (SELECT FROM billing.dunning_cases AS d WHERE d.invoice_id = c.invoice_id)
"""
_OPEN = """
SELECT billing.open_dunning_case(c.invoice_id, :now) FROM billing.stripe_charges AS c
WHERE c.state = 'refused' AND NOT EXISTS (SELECT FROM billing.dunning_cases AS d WHERE d.invoice_id = c.invoice_id)
"""
_TAKE = """
SELECT billing.take_dunning_step(
    CAST(:invoice_id AS uuid), :ordinal, :day, :action, :kind, :now, :policy, :course, :run_id, CAST(:facts AS jsonb)
)
"""
_PROMISE = """
WITH promised AS (
    INSERT INTO billing.dunning_promises (customer_id, until, author, reason, promised_at)
    VALUES (:customer_id, :until, :author, :reason, :now)
    RETURNING *
)
SELECT billing.log_action(
    author, 'dunning.promise', 'customer', customer_id, reason, state_after => jsonb_build_object('until', until)
) FROM promised
"""
