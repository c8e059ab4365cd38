-- Grain: one row a notice of :channel that is due at :now, nobody has and nobody holds; it is claimed until :claimed_until.
-- One that was being handed over when its run died may have gone out: a doubt is counted.
WITH due AS (
    SELECT s.notice_id
    FROM billing.notice_sendings AS s
    INNER JOIN billing.notices AS n ON s.notice_id = n.notice_id
    WHERE
        s.state IN ('pending', 'claimed', 'handing_over')
        AND s.due_at <= :now
        AND (s.claimed_until IS NULL OR s.claimed_until < :now)
        AND n.channel = :channel
        AND billing.held_notice(n.notice_id, n.customer_id, n.kind) IS NULL
        AND NOT billing.awaits_page(n.kind, n.channel, n.invoice_id, least(n.written_at, s.due_at), :now, :page_wait)
        -- an endpoint hears of a customer in order, and a pager of alerts: what is behind one that it has not taken waits
        AND (
            n.channel NOT IN ('webhook', 'pagerduty') OR NOT EXISTS (
                SELECT FROM billing.notices AS b
                INNER JOIN billing.notice_sendings AS before ON b.notice_id = before.notice_id
                WHERE
                    (b.customer_id = n.customer_id OR (b.customer_id IS NULL AND n.customer_id IS NULL))
                    AND b.notice_id < n.notice_id
                    AND (b.channel, b.recipient) = (n.channel, n.recipient)
                    AND before.state IN ('pending', 'claimed', 'handing_over')
            )
        )
    ORDER BY s.due_at, s.notice_id
    LIMIT :batch_size
    FOR UPDATE OF s SKIP LOCKED
),

claimed AS (
    UPDATE billing.notice_sendings AS s
    SET
        state = 'claimed', claimed_until = :claimed_until,
        doubts = s.doubts + cast(s.state = 'handing_over' AS integer)
    FROM due
    WHERE s.notice_id = due.notice_id
    RETURNING s.notice_id, s.attempts
)

SELECT
    n.notice_id,
    n.kind,
    n.fact,
    n.recipient,
    n.facts,
    n.written_at,
    coalesce(n.customer_id, '') AS customer_id,
    coalesce(c.name, '') AS customer_name,
    c.language,
    coalesce(c.timezone, 'UTC') AS timezone,
    cast(n.invoice_id AS text) AS invoice_id,
    i.status AS invoice_status,
    p.page_url,
    p.pdf_url,
    h.begins,
    h.ends,
    h.on_weekends,
    (
        SELECT b.reason
        FROM billing.bounced_addresses AS b
        WHERE b.released_at IS NULL AND lower(b.email) = lower(n.recipient)
    ) AS bounced,
    claimed.attempts
FROM claimed
INNER JOIN billing.notices AS n ON claimed.notice_id = n.notice_id
LEFT JOIN billing.customers AS c ON n.customer_id = c.customer_id
LEFT JOIN billing.invoices AS i ON n.invoice_id = i.invoice_id
LEFT JOIN billing.invoice_pages AS p ON n.invoice_id = p.invoice_id
LEFT JOIN LATERAL (
    SELECT o.begins, o.ends, o.on_weekends
    FROM billing.notice_hours AS o
    WHERE
        o.released_at IS NULL
        AND (o.customer_id IS NULL OR o.customer_id = n.customer_id)
        AND (o.email IS NULL OR lower(o.email) = lower(n.recipient))
    ORDER BY o.email IS NULL, o.customer_id IS NULL
    LIMIT 1
) AS h ON TRUE
ORDER BY n.notice_id
