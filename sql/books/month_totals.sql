-- Grain: a currency of the invoices of :month or :before that are not void: drafts and final ones together.
SELECT
    f.currency,
    coalesce(sum(f.row_count) FILTER (WHERE f.billing_month = :month), 0)::bigint AS invoices,
    coalesce(sum(f.total) FILTER (WHERE f.billing_month = :month), 0)::bigint AS total_minor,
    coalesce(sum(f.total) FILTER (WHERE f.billing_month = :before), 0)::bigint AS before_minor
FROM billing.month_figures AS f
WHERE f.billing_month IN (:month, :before) AND f.subject = 'invoices' AND f.state <> 'void'
GROUP BY f.currency
HAVING sum(f.row_count) <> 0
ORDER BY f.currency
