-- Grain: one row a month that has ended everywhere by :last, from the first one that was ever drafted: where it stands.
-- Where nothing was drafted yet, the month :last alone is owed, if there is usage.
-- What is owed is decided here, so it is counted from the rows themselves, not from month_figures.
-- Over very many invoices: drafts are counted in their index, and looked at one by one only where somebody is on hold.
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

held AS MATERIALIZED (
    SELECT h.subject_type, h.subject FROM billing.draft_holds() AS h
),

drafts AS (
    SELECT i.billing_month, count(*) AS drafts
    FROM billing.invoices AS i
    WHERE i.status = 'draft'
    GROUP BY i.billing_month
),

kept AS (
    SELECT k.billing_month, count(*) AS kept
    FROM (
        SELECT i.invoice_id, i.billing_month
        FROM held AS h
        INNER JOIN billing.invoices AS i ON h.subject = i.customer_id::text
        WHERE h.subject_type = 'customer' AND i.status = 'draft'
        UNION
        SELECT i.invoice_id, i.billing_month
        FROM held AS h
        INNER JOIN billing.invoices AS i ON CASE h.subject_type WHEN 'invoice' THEN h.subject::uuid END = i.invoice_id
        WHERE i.status = 'draft'
    ) AS k
    GROUP BY k.billing_month
),

standing AS (
    SELECT
        d.billing_month,
        d.drafts,
        CASE
            WHEN EXISTS (SELECT FROM held AS h WHERE h.subject_type = 'month' AND h.subject = d.billing_month::text)
                THEN d.drafts
            ELSE coalesce(k.kept, 0)
        END AS on_hold
    FROM drafts AS d
    LEFT JOIN kept AS k USING (billing_month)
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
        WHEN
            NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.billing_month = m.billing_month)
            AND NOT EXISTS (
                SELECT
                FROM billing.asset_months AS a
                WHERE a.asset = 'invoices' AND a.billing_month = m.billing_month AND a.run_id IS NOT NULL
            )
            THEN 'not_billed'
        WHEN d.drafts > d.on_hold THEN 'not_charged'
        WHEN u.unanswered > 0 THEN 'charging'
        WHEN d.drafts > 0 THEN 'on_hold'
        ELSE 'done'
    END AS state
FROM months AS m
LEFT JOIN standing AS d ON m.billing_month = d.billing_month
LEFT JOIN unanswered AS u ON m.billing_month = u.billing_month
ORDER BY m.billing_month
