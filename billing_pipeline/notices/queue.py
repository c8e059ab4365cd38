"""The queue of notices in Postgres: claimed by lease, moved on step by step, each step committed at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from billing_pipeline.notices.letters import Notice
from billing_pipeline.notices.rules.kinds import overtaken_by
from billing_pipeline.notices.rules.sending import next_attempt
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

BATCH = 20
PAGE_WAIT = timedelta(minutes=30)
"""So long the mail of an invoice waits for Stripe's page of it, then it goes out without."""
LEASE = timedelta(minutes=15)
"""What a run that died had claimed is free again after so long: longer than a batch of letters takes at its slowest."""


class Overtaken(Exception):  # noqa: N818 - reads as what happened
    """The notice is no longer so; nothing was given away."""


class TakenOver(Exception):  # noqa: N818 - reads as what happened
    """The lease ended and somebody else has the notice; nothing was given away."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A notice that is ours until then."""

    notice: Notice
    attempts: int
    claimed_until: datetime
    channel: str


def due_count(warehouse: Warehouse, now: datetime) -> int:
    """How many could be sent now, over all channels."""
    return int(warehouse.scalar(_DUE, now=now, page_wait=PAGE_WAIT))


def claim(
    warehouse: Warehouse,
    now: datetime,
    channel: str = "mail",
    batch: int = BATCH,
    page_wait: timedelta = timedelta(0),
) -> list[Claim]:
    """Take the next ones; nobody else takes them before the lease ends."""
    until = now + LEASE
    parameters = {
        "now": now,
        "claimed_until": until,
        "channel": channel,
        "batch_size": batch,
        "page_wait": page_wait,
    }
    with warehouse.transaction() as connection:
        rows = connection.execute(text(load_sql("notices/claim_notices.sql")), parameters).mappings().all()
    return [
        Claim(
            Notice(**{name: value for name, value in row.items() if name != "attempts"}),
            row["attempts"],
            until,
            channel,
        )
        for row in rows
    ]


def begin_handing_over(warehouse: Warehouse, claim: Claim) -> None:
    """From now on the other side may have it.

    Raises:
        Overtaken: its invoice is another one now than when it was claimed.
        TakenOver: somebody else has it.
    """
    with warehouse.transaction() as connection:
        row = connection.execute(text(_BEGIN), _key(claim)).first()
    if row is None:
        raise TakenOver
    if row.state == "overtaken":
        raise Overtaken(row.last_error)


def sent(warehouse: Warehouse, claim: Claim, now: datetime) -> None:
    """The other side has it.

    Everybody sees it at once; on the disk it is with the next letter's `handing_over`, which waits for it, or within a
    second. A database that loses power before has `handing_over`: a doubt, which is counted.
    """
    with warehouse.transaction() as connection:
        connection.execute(text(_SENT), {**_key(claim), "at": now})


def overtaken(warehouse: Warehouse, claim: Claim, why: str) -> None:
    """It is no longer so."""
    _move(warehouse, claim, "state = 'overtaken', last_error = :why", why=why)


def postpone(warehouse: Warehouse, claim: Claim, due_at: datetime, why: str | None = None) -> None:
    """Not now, for a reason that is not this notice's."""
    _move(warehouse, claim, "state = 'pending', due_at = :due_at, last_error = :why", due_at=due_at, why=why)


def not_taken(warehouse: Warehouse, claim: Claim, now: datetime, why: str, *, for_good: bool, doubt: bool) -> bool:
    """It was refused, or nobody knows: later again, or given up; returns whether it was given up."""
    attempts = claim.attempts + 1
    due_at = None if for_good else next_attempt(attempts, now)
    _move(
        warehouse,
        claim,
        "state = CASE WHEN CAST(:due_at AS timestamptz) IS NULL THEN 'failed' ELSE 'pending' END,"
        " due_at = coalesce(:due_at, due_at), attempts = :attempts, doubts = doubts + :doubt, last_error = :why",
        due_at=due_at,
        attempts=attempts,
        doubt=int(doubt),
        why=why,
    )
    return due_at is None


def release(warehouse: Warehouse, claims: Iterable[Claim], due_at: datetime, why: str) -> None:
    """Nobody could be told anything: all of these later, and none of them counts an attempt."""
    for claim in claims:
        postpone(warehouse, claim, due_at, why)


def _move(warehouse: Warehouse, claim: Claim, change: str, **values: object) -> None:
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                f"UPDATE billing.notice_sendings SET {change}, claimed_until = NULL WHERE notice_id = :notice_id"
                " AND state IN ('claimed', 'handing_over') AND claimed_until = :claimed_until"
            ),
            {**_key(claim), **values},
        )


def _key(claim: Claim) -> dict[str, object]:
    if claim.channel != "mail":  # what happened is told to a program whatever has happened since
        return {"notice_id": claim.notice.notice_id, "claimed_until": claim.claimed_until, "wrong_statuses": []}
    wrong_if = {status: overtaken_by(claim.notice.kind, status) for status in ("open", "paid", "void", "uncollectible")}
    return {
        "notice_id": claim.notice.notice_id,
        "claimed_until": claim.claimed_until,
        "wrong_statuses": [status for status, why in wrong_if.items() if why],
    }


_SENT = """
UPDATE billing.notice_sendings SET state = 'sent', sent_at = :at, last_error = NULL, claimed_until = NULL
WHERE notice_id = :notice_id AND state = 'handing_over' AND claimed_until = :claimed_until
RETURNING set_config('synchronous_commit', 'off', TRUE)
"""
_DUE = """
SELECT count(*) FROM billing.notice_sendings AS s JOIN billing.notices AS n USING (notice_id)
WHERE s.state IN ('pending', 'claimed', 'handing_over') AND s.due_at <= :now
    AND (s.claimed_until IS NULL OR s.claimed_until < :now)
    AND billing.held_notice(n.notice_id, n.customer_id, n.kind) IS NULL
    AND NOT billing.awaits_page(n.kind, n.channel, n.invoice_id, least(n.written_at, s.due_at), :now, :page_wait)
"""
_BEGIN = """
UPDATE billing.notice_sendings AS s
SET state = CASE WHEN i.status = ANY(:wrong_statuses) THEN 'overtaken' ELSE 'handing_over' END,
    claimed_until = CASE WHEN i.status = ANY(:wrong_statuses) THEN NULL ELSE s.claimed_until END,
    attempts = s.attempts + 1,
    last_error = CASE WHEN i.status = ANY(:wrong_statuses) THEN 'the invoice is ' || i.status END
FROM billing.notices AS n LEFT JOIN billing.invoices AS i USING (invoice_id)
WHERE s.notice_id = :notice_id AND n.notice_id = s.notice_id AND s.state = 'claimed'
    AND s.claimed_until = :claimed_until
RETURNING s.state, s.last_error
"""
