-- Snapshots whose quantity is not covered exactly by lines (billed or allowance) or by quarantine, and lines without a
-- snapshot. A merged line covers all of its meter that has no line of its own. Lines of void invoices are not asked: their
-- period is billed again, or it is left unbilled on purpose.
WITH lines AS MATERIALIZED (
    SELECT
        b.period_id,
        b.customer_id,
        b.meter,
        b.dimensions,
        coalesce(p.lines = 'merged', FALSE) AS is_merged,
        sum(b.usage_quantity) AS usage_quantity
    FROM (SELECT * FROM {batch}) AS b
    LEFT JOIN billing.prices AS p USING (price_id)
    WHERE b.kind = 'usage'
        AND b.invoice_id NOT IN (
            SELECT v.invoice_id FROM billing.invoices AS v WHERE v.billing_month = '{month}' AND v.status = 'void'
        )
    GROUP BY b.period_id, b.customer_id, b.meter, b.dimensions, coalesce(p.lines = 'merged', FALSE)
),

aside AS MATERIALIZED (
    SELECT q.period_id, q.customer_id, q.meter, q.dimensions, q.quantity
    FROM billing.usage_quarantine AS q
    WHERE q.billing_month = '{month}' AND q.stage = 'invoice_line_items'
),

measured AS (
    SELECT
        s.period_id,
        s.customer_id,
        s.meter,
        s.quantity,
        CASE WHEN m.period_id IS NOT NULL AND o.period_id IS NULL THEN '{{}}' ELSE s.dimensions END AS dimensions
    FROM billing.usage_snapshots AS s
    LEFT JOIN (SELECT DISTINCT l.period_id, l.meter FROM lines AS l WHERE l.is_merged) AS m
        ON s.period_id = m.period_id AND s.meter = m.meter
    LEFT JOIN (
        SELECT l.period_id, l.meter, l.dimensions FROM lines AS l WHERE NOT l.is_merged
        UNION
        SELECT a.period_id, a.meter, a.dimensions FROM aside AS a
    ) AS o ON s.period_id = o.period_id AND s.meter = o.meter AND s.dimensions = o.dimensions
    WHERE s.billing_month = '{month}'
        AND s.period_id NOT IN (SELECT u.period_id FROM billing.unbilled_periods AS u WHERE u.lifted_at IS NULL)
)

SELECT customer_id, meter, dimensions, sum(measured) AS measured, sum(covered) AS covered
FROM (
    SELECT period_id, customer_id, meter, dimensions, sum(quantity) AS measured, 0 AS covered, 1 AS snapshots, 0 AS answers
    FROM measured
    GROUP BY period_id, customer_id, meter, dimensions
    UNION ALL
    SELECT period_id, customer_id, meter, dimensions, 0, usage_quantity, 0, 1 FROM lines
    UNION ALL
    SELECT period_id, customer_id, meter, dimensions, 0, quantity, 0, 1 FROM aside
) AS sides
GROUP BY period_id, customer_id, meter, dimensions
HAVING sum(measured) <> sum(covered) OR sum(snapshots) <> 1 OR sum(answers) <> 1
