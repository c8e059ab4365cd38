-- Grain: one row a month that has ended everywhere by :last, from the first one that was ever drafted: where it stands.
-- Where nothing was drafted yet, the month :last alone is owed, if there is usage.
-- Over very many invoices: they are counted when they change (month_figures), and holds are few.
WITH first AS (
    SELECT
        least(
            (SELECT min(m.billing_month) FROM billing.asset_months AS m WHERE m.asset = 'invoices' AND m.run_id IS NOT NULL),
            (SELECT min(i.billing_month) FROM billing.invoices AS i)
        ) AS month
),

months AS (
    SELECT n.month::date AS billing_month
    FROM generate_series(
            coalesce(
                (SELECT f.month FROM first AS f),
                CASE WHEN EXISTS (SELECT FROM billing.usage_imports) THEN cast(:last AS date) END
            )::timestamp,
            cast(:last AS timestamp),
            interval '1 month'
        ) AS n (month)
),

figures AS (
    SELECT
        f.billing_month,
        sum(f.row_count) FILTER (WHERE f.state = 'draft') AS drafts,
        sum(f.row_count) FILTER (WHERE f.state IN ('intended', 'drafted', 'lines_added', 'finalized')) AS unanswered
    FROM billing.month_figures AS f
    WHERE f.subject = 'invoices'
    GROUP BY f.billing_month
),

held AS (
    SELECT h.subject_type, h.subject
    FROM billing.holds AS h
    WHERE h.released_at IS NULL
),

held_drafts AS (
    SELECT i.invoice_id, i.billing_month
    FROM (
        SELECT c.customer_id::text AS customer_id FROM billing.customers AS c WHERE c.status = 'on_hold'
        UNION ALL
        SELECT h.subject FROM held AS h WHERE h.subject_type = 'customer'
    ) AS k
    INNER JOIN billing.invoices AS i ON k.customer_id = i.customer_id
    WHERE i.status = 'draft'
    UNION
    SELECT i.invoice_id, i.billing_month
    FROM held AS h
    INNER JOIN billing.invoices AS i ON i.invoice_id = CASE WHEN h.subject_type = 'invoice' THEN h.subject::uuid END
    WHERE i.status = 'draft'
),

stands AS (
    SELECT
        f.billing_month,
        coalesce(f.drafts, 0)::bigint AS drafts,
        CASE
            WHEN f.billing_month::text IN (SELECT h.subject FROM held AS h WHERE h.subject_type = 'month')
                THEN coalesce(f.drafts, 0)::bigint
            ELSE (SELECT count(*) FROM held_drafts AS d WHERE d.billing_month = f.billing_month)
        END AS on_hold,
        coalesce(f.unanswered, 0)::bigint AS unanswered
    FROM figures AS f
)

SELECT
    m.billing_month,
    coalesce(d.drafts, 0) AS drafts,
    coalesce(d.on_hold, 0) AS on_hold,
    coalesce(d.unanswered, 0) AS unanswered,
    CASE
        WHEN
            NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.billing_month = m.billing_month)
            AND NOT EXISTS (
                SELECT
                FROM billing.asset_months AS a
                WHERE a.asset = 'invoices' AND a.billing_month = m.billing_month AND a.run_id IS NOT NULL
            )
            THEN 'not_billed'
        WHEN d.drafts > d.on_hold THEN 'not_charged'
        WHEN d.unanswered > 0 THEN 'charging'
        WHEN d.drafts > 0 THEN 'on_hold'
        ELSE 'done'
    END AS state
FROM months AS m
LEFT JOIN stands AS d ON m.billing_month = d.billing_month
ORDER BY m.billing_month
