-- How much of the month is in quarantine, where it is more than the allowance: a row for the customers, and one a currency
-- for what their usage is worth. Customers who left are not asked.
WITH aside AS (
    SELECT
        q.customer_id,
        c.currency,
        coalesce(sum(q.worth_minor), 0) AS worth_minor
    FROM billing.usage_quarantine AS q
    LEFT JOIN billing.customers AS c ON q.customer_id = c.customer_id
    WHERE q.billing_month = '{month}' AND q.stage IN ('usage_snapshots', 'invoice_line_items')
        AND (c.customer_id IS NULL OR (q.period_id IS NOT NULL AND c.status <> 'inactive'))
    GROUP BY q.customer_id, c.currency
),

everybody AS (
    SELECT a.customer_id FROM aside AS a
    UNION
    SELECT p.customer_id FROM billing.billing_periods AS p WHERE p.billing_month = '{month}'
),

revenue AS (
    SELECT
        b.currency,
        sum(b.amount_minor) AS amount_minor
    FROM (SELECT * FROM {batch}) AS b
    GROUP BY b.currency
)

SELECT
    'customers' AS share_of,
    NULL AS currency,
    count(*) AS set_aside,
    (SELECT count(*) FROM everybody) AS of_all
FROM aside
HAVING count(*) > {set_aside_customers_free}
    AND count(*) * 100 > (SELECT count(*) FROM everybody) * {set_aside_customers_max_percent}
UNION ALL
SELECT
    'revenue',
    a.currency,
    sum(a.worth_minor),
    coalesce(r.amount_minor, 0) + sum(a.worth_minor)
FROM aside AS a
LEFT JOIN revenue AS r ON a.currency = r.currency
WHERE a.worth_minor > 0
GROUP BY a.currency, r.amount_minor
HAVING count(*) > {set_aside_customers_free}
    AND sum(a.worth_minor) * 100
    > (coalesce(r.amount_minor, 0) + sum(a.worth_minor)) * {set_aside_revenue_max_percent}
