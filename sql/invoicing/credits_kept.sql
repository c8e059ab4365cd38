-- Grain: one final invoice, locked, with what it drew of prepaid credits and did not give back; 0 of a void one.
SELECT
    CASE WHEN i.status = 'void' THEN 0 ELSE coalesce((
                SELECT -sum(e.amount_minor) FROM billing.credit_entries AS e WHERE e.invoice_id = i.invoice_id
            ), 0)
    END::bigint AS kept_minor
FROM billing.invoices AS i
WHERE i.invoice_id = cast(:id AS uuid)
FOR NO KEY UPDATE
