-- Grain: a difference that the newest comparison with Stripe found.
SELECT
    d.difference_no,
    d.object_type,
    d.kind,
    i.number,
    d.stripe_id,
    d.ours,
    d.theirs,
    d.proposed_action,
    r.finished_at AS compared_at
FROM billing.stripe_differences AS d
INNER JOIN billing.stripe_reconciliations AS r USING (reconciliation_id)
LEFT JOIN billing.invoices AS i ON d.invoice_id = i.invoice_id
WHERE d.reconciliation_id = (SELECT max(n.reconciliation_id) FROM billing.stripe_reconciliations AS n)
ORDER BY d.difference_no
LIMIT 200
