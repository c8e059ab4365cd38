-- Grain: one row a period of :month that is to be laid out anew, into pg_temp.relaid; of :customer alone, if it is not null.
-- Dropped are a customer's periods from the first outdated one to the end of the month, never those before a finalised
-- invoice; and, where later months hang on them, only if there is something to put in their place, for a contract's
-- chain would break otherwise, or if the contract does not bill them any more. A change of cycle alone leaves a month alone
-- that others follow.
CREATE TEMP TABLE relaid ON COMMIT DROP AS
WITH candidates AS (
    SELECT
        p.period_id,
        p.customer_id,
        p.period_start,
        p.period_end,
        p.previous_end,
        p.currency <> c.currency OR p.timezone <> c.timezone AS moved,
        -- no stretch of a contract holds all of its days on its plan, in its trial or not
        NOT EXISTS (
            SELECT 1 FROM pg_temp.contracts_now AS k
            WHERE k.customer_id = p.customer_id AND k.plan IS NOT DISTINCT FROM p.plan AND k.in_trial = p.in_trial
                AND k.starts_on <= p.start_date AND (k.ends_on IS NULL OR k.ends_on >= p.end_date - 1)
        ) AS off_contract,
        exists(SELECT 1 FROM billing.invoices AS i WHERE i.period_id = p.period_id AND i.status <> 'draft') AS finalised,
        (
            SELECT n.period_start FROM billing.billing_periods AS n
            WHERE n.customer_id = p.customer_id AND n.billing_month > :month ORDER BY n.period_start LIMIT 1
        ) AS next_start
    FROM billing.billing_periods AS p
    INNER JOIN billing.customers AS c USING (customer_id)
    WHERE p.billing_month = :month AND (cast(:customer AS text) IS NULL OR p.customer_id = :customer)
),

matched AS (
    SELECT
        o.*,
        k.period_start AS part_start,
        bool_or(o.off_contract) OVER (PARTITION BY o.customer_id) AS recut
    FROM candidates AS o
    LEFT JOIN pg_temp.contract_parts AS k ON o.customer_id = k.customer_id AND o.period_end = k.period_end
),

outdated AS (
    SELECT DISTINCT ON (customer_id) *
    FROM matched AS m
    WHERE (
        moved
        OR off_contract
        OR (part_start IS NULL AND (next_start IS NULL OR recut))
        OR (previous_end IS NULL AND part_start <> period_start) -- the first day of a customer or contract moved
    )
    AND NOT EXISTS (
        SELECT FROM candidates AS f
        WHERE f.customer_id = m.customer_id AND f.finalised AND f.period_start >= m.period_start
    )
    ORDER BY customer_id, period_start
)

SELECT o.period_id, o.customer_id, o.period_start
FROM candidates AS o
INNER JOIN outdated AS h USING (customer_id)
WHERE o.period_start >= h.period_start
    AND (
        h.next_start IS NULL
        OR h.recut
        OR h.next_start <= :now AND EXISTS (
            SELECT FROM pg_temp.contract_parts AS k
            WHERE k.customer_id = h.customer_id AND k.billing_month = :month
                AND k.period_start < h.next_start
                AND (h.previous_end IS NULL OR k.period_end > h.previous_end)
        )
    )
