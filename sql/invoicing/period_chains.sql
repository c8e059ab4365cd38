-- Grain: one row: the last month before :month, and the first after it, at which a customer's chain of periods ends though
-- a contract goes on.
SELECT
    min(latest) FILTER (WHERE latest < :month) AS behind,
    max(earliest) FILTER (WHERE earliest > :month) AS ahead
FROM (
    SELECT
        c.customer_id,
        (
            SELECT p.billing_month
            FROM (
                SELECT t.billing_month, t.end_date FROM billing.billing_periods AS t
                WHERE t.customer_id = c.customer_id ORDER BY t.period_end DESC LIMIT 1
            ) AS p
            WHERE EXISTS (
                    SELECT FROM pg_temp.contracts_now AS k
                    WHERE k.customer_id = c.customer_id AND k.starts_on < :month
                        AND (k.ends_on IS NULL OR k.ends_on >= p.end_date)
                )
        ) AS latest,
        (
            SELECT p.billing_month
            FROM (
                SELECT t.billing_month, t.start_date FROM billing.billing_periods AS t
                WHERE t.customer_id = c.customer_id ORDER BY t.period_end LIMIT 1
            ) AS p
            WHERE EXISTS (
                    SELECT FROM pg_temp.contracts_now AS k
                    WHERE k.customer_id = c.customer_id AND k.starts_on < p.start_date
                        AND (k.ends_on IS NULL OR k.ends_on >= :month)
                )
        ) AS earliest
    FROM (SELECT DISTINCT k.customer_id FROM pg_temp.contracts_now AS k) AS c
) AS chains
