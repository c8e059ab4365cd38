-- Grain: an entry of the audit log about the invoice :invoice_id or a credit note of it, the oldest first.
SELECT
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
    (g.object_type = 'invoice' AND g.object_id = :invoice_id)
    OR (
        g.object_type = 'credit_note'
        AND g.object_id IN (
            SELECT n.credit_note_id::text FROM billing.credit_notes AS n WHERE n.invoice_id = cast(:invoice_id AS uuid)
        )
    )
ORDER BY g.log_id
