-- Grain: a currency of the invoices of :month or :before that are not void: drafts and final ones together.
SELECT
    i.currency,
    count(*) FILTER (WHERE i.billing_month = :month) AS invoices,
    coalesce(sum(i.total_minor) FILTER (WHERE i.billing_month = :month), 0)::bigint AS total_minor,
    coalesce(sum(i.total_minor) FILTER (WHERE i.billing_month = :before), 0)::bigint AS before_minor
FROM billing.invoices AS i
WHERE i.billing_month IN (:month, :before) AND i.status <> 'void'
GROUP BY i.currency
ORDER BY i.currency
