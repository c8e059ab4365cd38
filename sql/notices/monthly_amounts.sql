-- Grain: one row a customer and currency with an invoice of :month: what the month comes to, the days that it bills, and what
-- each month before came to a day, the newest first; null: there is none before.
WITH months AS (
    SELECT
        i.customer_id,
        i.currency,
        i.billing_month,
        sum(i.total_minor) AS amount_minor,
        sum(p.end_date - p.start_date) AS days
    FROM billing.invoices AS i
    INNER JOIN billing.billing_periods AS p ON i.period_id = p.period_id
    WHERE
        i.status <> 'void' AND i.supplement_no = 0
        AND i.billing_month <= :month AND i.billing_month > cast(:month AS date) - interval '24 months'
    GROUP BY i.customer_id, i.currency, i.billing_month
)

SELECT
    m.customer_id,
    m.currency,
    cast(max(m.amount_minor) FILTER (WHERE m.billing_month = :month) AS bigint) AS amount_minor,
    cast(max(m.days) FILTER (WHERE m.billing_month = :month) AS integer) AS days,
    array_agg(cast(m.amount_minor AS double precision) / m.days ORDER BY m.billing_month DESC)
    FILTER (WHERE m.billing_month < :month) AS a_day_before
FROM months AS m
GROUP BY m.customer_id, m.currency
HAVING bool_or(m.billing_month = :month)
ORDER BY m.customer_id, m.currency
