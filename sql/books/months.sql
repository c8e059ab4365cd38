-- Grain: one row a month that has ended everywhere by :last, from the first one that was ever drafted: where it stands.
-- Where nothing was drafted yet, the month :last alone is owed, if there is usage.
WITH built AS (
    SELECT m.billing_month, m.run_id
    FROM billing.asset_months AS m
    WHERE m.asset = 'invoices' AND m.run_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT i.billing_month, NULL
    FROM billing.invoices AS i
),

months AS (
    SELECT n.month::date AS billing_month
    FROM generate_series(
            coalesce(
                (SELECT min(b.billing_month) FROM built AS b),
                CASE WHEN EXISTS (SELECT FROM billing.usage_imports) THEN cast(:last AS date) END
            )::timestamp,
            cast(:last AS timestamp),
            interval '1 month'
        ) AS n (month)
),

drafts AS (
    SELECT
        i.billing_month,
        count(*) AS drafts,
        count(*) FILTER (
            WHERE c.status = 'on_hold' OR billing.is_held(i.customer_id, i.invoice_id, i.billing_month)
        ) AS on_hold
    FROM billing.invoices AS i
    INNER JOIN billing.customers AS c ON i.customer_id = c.customer_id
    WHERE i.status = 'draft'
    GROUP BY i.billing_month
),

unanswered AS (
    SELECT c.billing_month, count(*) AS unanswered
    FROM billing.stripe_charges AS c
    WHERE c.state IN ('intended', 'drafted', 'lines_added', 'finalized')
    GROUP BY c.billing_month
)

SELECT
    m.billing_month,
    coalesce(d.drafts, 0) AS drafts,
    coalesce(d.on_hold, 0) AS on_hold,
    coalesce(u.unanswered, 0) AS unanswered,
    CASE
        WHEN NOT EXISTS (SELECT FROM built AS b WHERE b.billing_month = m.billing_month) THEN 'not_billed'
        WHEN d.drafts > d.on_hold THEN 'not_charged'
        WHEN u.unanswered > 0 THEN 'charging'
        WHEN d.drafts > 0 THEN 'on_hold'
        ELSE 'done'
    END AS state
FROM months AS m
LEFT JOIN drafts AS d ON m.billing_month = d.billing_month
LEFT JOIN unanswered AS u ON m.billing_month = u.billing_month
ORDER BY m.billing_month
