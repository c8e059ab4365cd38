-- Lines of terms that are not in use, not in force at the period's start, or another customer's; commitments whose meters
-- do not come to what is committed, or are lifted above it; discounts of more than they say; invoices that discounts take
-- below zero.
WITH own AS MATERIALIZED (
    SELECT b.*, p.start_date, p.plan, p.end_date - p.start_date AS days, p.full_days AS cycle_days
    FROM (SELECT * FROM {batch}) AS b
    INNER JOIN billing.billing_periods AS p USING (period_id)
    WHERE NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = b.invoice_id AND i.status <> 'draft')
        AND b.invoice_id IN (SELECT x.invoice_id FROM (SELECT * FROM {batch}) AS x WHERE x.term_id IS NOT NULL)
)

SELECT o.customer_id, t.kind, t.name, s.base_minor, d.amount_minor AS agreed_minor, o.amount_minor
FROM own AS o
INNER JOIN billing.terms AS t USING (term_id)
CROSS JOIN
    LATERAL (
        SELECT coalesce(sum(l.amount_minor), 0)::bigint AS base_minor
        FROM own AS l
        WHERE l.invoice_id = o.invoice_id AND (
                (l.term_id IS NULL AND (t.meters IS NULL OR l.meter = any(t.meters)))
                OR (t.kind = 'discount' AND t.meters IS NULL AND l.kind = 'commitment')
            )
    ) AS s
CROSS JOIN
    LATERAL (
        SELECT CASE
            WHEN t.percent IS NOT NULL THEN ceil(s.base_minor * t.percent / 100 + billing.rounding_step_minor(o.currency))
            ELSE billing.to_minor(
                    billing.prorated(
                        t.amount, CASE WHEN t.prorate IS DISTINCT FROM 'none' AND o.cycle_days IS NOT NULL THEN o.days END,
                        CASE WHEN t.prorate IS DISTINCT FROM 'none' THEN o.cycle_days END
                    ),
                    o.currency
                )
        END AS amount_minor
    ) AS d
LEFT JOIN LATERAL (
    SELECT v.version_id
    FROM billing.price_versions AS v
    WHERE v.currency = o.currency AND v.effective_from <= o.start_date
    ORDER BY v.effective_from DESC
    LIMIT 1
) AS f ON TRUE
WHERE t.retired_at IS NOT NULL OR t.currency <> o.currency
    OR t.version_id <> f.version_id OR t.effective_from > o.start_date OR t.until_on < o.start_date
    OR t.customer_id <> o.customer_id OR (t.plan IS NOT NULL AND t.plan IS DISTINCT FROM o.plan)
    OR (t.kind = 'commitment' AND s.base_minor + o.amount_minor <> d.amount_minor)
    OR (t.kind = 'discount' AND -o.amount_minor > least(d.amount_minor, s.base_minor))
UNION ALL
SELECT l.customer_id, 'invoice', l.invoice_id::text, sum(l.amount_minor)::bigint, 0, 0
FROM own AS l
GROUP BY l.customer_id, l.invoice_id
HAVING sum(l.amount_minor) < 0
