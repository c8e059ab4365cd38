-- Periods that end after the usage feed does, unless an operator released the month, or the customer, with carry-forward.
WITH open_periods AS MATERIALIZED (
    SELECT p.customer_id, p.period_end, coalesce(o.as_of, 'infinity') AS as_of
    FROM billing.billing_periods AS p
    INNER JOIN billing.customers AS c ON p.customer_id = c.customer_id AND c.status <> 'inactive'
    LEFT JOIN LATERAL billing.cut_off('usage_snapshots', '{month}', p.customer_id) AS o ON TRUE
    WHERE p.billing_month = '{month}'
        AND o.carried_forward_from IS NULL
        AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.period_id = p.period_id AND i.status NOT IN ('draft', 'void'))
),

-- what came in after the cut-off was not counted, so it completes nothing
reaches AS (
    SELECT
        d.as_of,
        (SELECT max(u.complete_through) FROM billing.usage_imports AS u WHERE u.received_at <= d.as_of) AS complete_through
    FROM (SELECT DISTINCT t.as_of FROM open_periods AS t) AS d
)

SELECT p.customer_id, p.period_end, f.complete_through
FROM open_periods AS p
INNER JOIN reaches AS f ON p.as_of = f.as_of
WHERE f.complete_through IS NULL OR f.complete_through < p.period_end
