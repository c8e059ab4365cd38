-- Grain: one row: what there is to approve of :month.
SELECT
    billing.month_rows(:month) AS rows, coalesce(sum(d.count), 0)::integer AS drafts,
    jsonb_object_agg(d.currency, d.total) FILTER (WHERE d.currency IS NOT NULL) AS totals,
    (SELECT count(*) FROM billing.unmet_gates(:month)) AS unmet
FROM (
    SELECT i.currency, count(*) AS count, sum(i.total_minor) AS total
    FROM billing.invoices AS i
    WHERE i.billing_month = :month AND i.status = 'draft'
    GROUP BY i.currency
) AS d
