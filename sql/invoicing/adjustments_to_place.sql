-- Grain: one row an adjustment for a next invoice, with what of it is on no live invoice but the drafts of :month, which
-- are being drafted anew.
SELECT
    a.adjustment_id::text AS adjustment_id,
    a.customer_id,
    a.currency,
    a.description,
    (a.amount_minor - coalesce(sum(u.amount_minor), 0))::bigint AS left_minor
FROM billing.adjustments AS a
LEFT JOIN (
    SELECT ia.adjustment_id, ia.amount_minor
    FROM billing.invoice_adjustments AS ia
    INNER JOIN billing.invoices AS i USING (invoice_id)
    WHERE i.status <> 'void' AND NOT (i.status = 'draft' AND i.billing_month = :month AND i.supplement_no = 0)
) AS u USING (adjustment_id)
WHERE NOT a.on_supplement AND a.adjustment_id NOT IN (SELECT r.adjustment_id FROM billing.adjustment_revocations AS r)
GROUP BY a.adjustment_id
HAVING a.amount_minor <> coalesce(sum(u.amount_minor), 0)
ORDER BY a.created_at, a.adjustment_id
