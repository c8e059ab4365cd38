-- Grain: a difference of the newest comparison with Stripe.
SELECT
    d.object_type,
    d.kind,
    d.stripe_id,
    d.invoice_id::text AS invoice_id,
    d.ours,
    d.theirs,
    d.proposed_action
FROM billing.stripe_differences AS d
WHERE d.reconciliation_id = :reconciliation_id
ORDER BY d.difference_no
