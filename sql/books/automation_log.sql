-- Grain: an entry of the audit log, the newest first.
SELECT
    g.log_id,
    g.logged_at,
    g.actor,
    g.run_id,
    g.action,
    g.object_type,
    g.object_id,
    g.reason,
    g.state_before,
    g.state_after
FROM billing.automation_log AS g
WHERE
    (cast(:after AS bigint) IS NULL OR g.log_id < :after)
    AND (cast(:actor AS text) IS NULL OR g.actor = :actor)
    AND (cast(:action AS text) IS NULL OR g.action = :action)
    AND (cast(:object_type AS text) IS NULL OR g.object_type = :object_type)
    AND (cast(:object_id AS text) IS NULL OR g.object_id = :object_id)
    AND (cast(:since AS timestamptz) IS NULL OR g.logged_at >= :since)
    AND (cast(:until AS timestamptz) IS NULL OR g.logged_at < :until)
    AND (
        cast(:month AS date) IS NULL
        OR (g.object_type = 'month' AND g.object_id = cast(:month AS text))
        OR (
            g.object_type = 'invoice'
            AND g.object_id IN (SELECT i.invoice_id::text FROM billing.invoices AS i WHERE i.billing_month = :month)
        )
    )
ORDER BY g.log_id DESC
LIMIT :row_limit
