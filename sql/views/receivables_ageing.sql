-- Grain: one row a currency and age of what is due.
CREATE VIEW billing.receivables_ageing AS
SELECT
    r.currency,
    a.age,
    count(*) AS invoices,
    count(DISTINCT r.customer_id) AS customers,
    sum(r.remaining_minor)::bigint AS remaining_minor
FROM billing.receivables AS r
CROSS JOIN
    LATERAL (
        SELECT CASE width_bucket(extract(EPOCH FROM clock_timestamp() - r.finalised_at) / 86400, ARRAY[0, 31, 61, 91]::numeric[])
            WHEN 0 THEN '0-30 days'
            WHEN 1 THEN '0-30 days'
            WHEN 2 THEN '31-60 days'
            WHEN 3 THEN '61-90 days'
            ELSE 'over 90 days'
        END AS age
    ) AS a
WHERE r.remaining_minor > 0
GROUP BY r.currency, a.age;

COMMENT ON VIEW billing.receivables_ageing IS 'One row a currency and age: what is due, by the days since its invoice was finalised';
COMMENT ON COLUMN billing.receivables_ageing.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.receivables_ageing.age IS '0-30 days, 31-60 days, 61-90 days or over 90 days';
COMMENT ON COLUMN billing.receivables_ageing.invoices IS 'Invoices';
COMMENT ON COLUMN billing.receivables_ageing.customers IS 'Customers';
COMMENT ON COLUMN billing.receivables_ageing.remaining_minor IS 'What is due of them, in minor units';
