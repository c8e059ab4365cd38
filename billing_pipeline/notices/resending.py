"""What a person does about a notice: tell it again, or try one again that was given up."""

from sqlalchemy import text

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.reading import read_notice
from billing_pipeline.postgres.warehouse import Warehouse


def resend(warehouse: Warehouse, notice_id: int, signature: Signature) -> int:
    """Send a notice once more; returns the number of the notice that is sent.

    One that was given up goes on itself. One that was sent is told again by another notice, to the customer's address
    of today, since a mail that went out is never sent again.

    Raises:
        UserError: there is no such notice, or it is still on its way.
    """
    state = read_notice(warehouse, notice_id)["state"]
    if state not in ("sent", "overtaken", "failed"):
        raise UserError(f"notice {notice_id} is {state}: it is still on its way")
    with warehouse.transaction() as connection:
        parameters = {"notice_id": notice_id, "author": signature.author, "reason": signature.reason}
        found = connection.execute(text(_RETRY if state == "failed" else _AGAIN), parameters).scalar()
    if found is None:
        raise UserError(f"notice {notice_id}: somebody else was quicker, look at it again")
    return int(found)


_RETRY = """
WITH due AS (
    UPDATE billing.notice_sendings SET state = 'pending', due_at = clock_timestamp()
    WHERE notice_id = :notice_id AND state = 'failed'
    RETURNING notice_id
),
logged AS (
    SELECT billing.log_action(:author, 'notice.resend', 'notice', notice_id::text, :reason) FROM due
)
SELECT d.notice_id FROM due AS d CROSS JOIN logged
"""
_AGAIN = """
WITH again AS (
    INSERT INTO billing.notices (kind, customer_id, invoice_id, fact, channel, recipient, facts)
    SELECT n.kind, n.customer_id, n.invoice_id,
        n.fact || ':again:' || (SELECT count(*) FROM billing.notices AS o WHERE starts_with(o.fact, n.fact)),
        n.channel, CASE n.channel WHEN 'mail' THEN c.email ELSE n.recipient END, n.facts
    FROM billing.notices AS n LEFT JOIN billing.customers AS c USING (customer_id)
    WHERE n.notice_id = :notice_id
    ON CONFLICT ON CONSTRAINT notices_once_a_fact DO NOTHING
    RETURNING notice_id
),
logged AS (
    SELECT billing.log_action(
        :author, 'notice.resend', 'notice', CAST(:notice_id AS text), :reason,
        state_after => jsonb_build_object('notice_id', notice_id)
    ) FROM again
)
SELECT a.notice_id FROM again AS a CROSS JOIN logged
"""
