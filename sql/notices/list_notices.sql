-- Grain: one row a notice, the newest first. `held`: why it waits, if somebody holds it.
SELECT
    n.notice_id,
    n.written_at,
    n.kind,
    n.customer_id,
    i.number AS invoice,
    n.channel,
    n.recipient,
    s.state,
    s.due_at,
    s.sent_at,
    s.attempts,
    s.doubts,
    s.last_error,
    billing.held_notice(n.notice_id, n.customer_id, n.kind) AS held,
    n.facts
FROM billing.notices AS n
INNER JOIN billing.notice_sendings AS s ON n.notice_id = s.notice_id
LEFT JOIN billing.invoices AS i ON n.invoice_id = i.invoice_id
WHERE
    (cast(:notice_id AS bigint) IS NULL OR n.notice_id = :notice_id)
    AND (cast(:customer_id AS text) IS NULL OR n.customer_id = :customer_id)
    AND (cast(:kind AS text) IS NULL OR n.kind = :kind)
    AND (cast(:state AS text) IS NULL OR s.state = :state)
    AND (cast(:after AS bigint) IS NULL OR n.notice_id < :after)
ORDER BY n.notice_id DESC
LIMIT :row_limit
