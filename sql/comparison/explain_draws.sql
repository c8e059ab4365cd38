-- Grain: one row a draw of prepaid credits by the invoices :ids, in the order of their lines.
SELECT
    e.invoice_id::text AS invoice_id,
    e.line_no,
    e.entry_id,
    e.grant_id::text AS grant_id,
    g.kind,
    g.description,
    e.amount_minor
FROM billing.credit_entries AS e
INNER JOIN billing.credit_grants AS g USING (grant_id)
WHERE e.invoice_id IN (SELECT unnest(cast(:ids AS uuid[]))) AND e.kind = 'draw'
ORDER BY e.invoice_id, e.line_no
