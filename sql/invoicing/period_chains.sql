-- Grain: one row: the last month before :month, and the first after it, at which a customer's chain of periods ends.
SELECT
    min(latest) FILTER (WHERE latest < :month) AS behind,
    max(earliest) FILTER (WHERE earliest > :month) AS ahead
FROM (
    SELECT
        c.customer_id,
        (
            SELECT p.billing_month FROM billing.billing_periods AS p
            WHERE p.customer_id = c.customer_id ORDER BY p.period_end DESC LIMIT 1
        ) AS latest,
        (
            SELECT p.billing_month FROM billing.billing_periods AS p
            WHERE p.customer_id = c.customer_id ORDER BY p.period_end LIMIT 1
        ) AS earliest
    FROM billing.customers AS c
) AS chains
