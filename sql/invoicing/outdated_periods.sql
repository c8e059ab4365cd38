-- Grain: one row a period of :month that is to be laid out anew, into pg_temp.relaid.
-- Dropped are a customer's periods from the first outdated one to the end of the month, never those before a finalised
-- invoice; and, where later months hang on them, only if the calendar has something to put in their place: the chain
-- would break otherwise. A change of cycle alone leaves a month alone that others follow.
CREATE TEMP TABLE relaid ON COMMIT DROP AS
WITH candidates AS (
    SELECT
        p.period_id,
        p.customer_id,
        p.period_start,
        p.period_end,
        p.previous_end,
        c.timezone,
        c.billing_cycle,
        c.cycle_anchor,
        p.currency <> c.currency OR p.timezone <> c.timezone AS moved,
        exists(SELECT 1 FROM billing.invoices AS i WHERE i.period_id = p.period_id AND i.status <> 'draft') AS finalised,
        (
            SELECT n.period_start FROM billing.billing_periods AS n
            WHERE n.customer_id = p.customer_id AND n.billing_month > :month ORDER BY n.period_start LIMIT 1
        ) AS next_start
    FROM billing.billing_periods AS p
    INNER JOIN billing.customers AS c USING (customer_id)
    WHERE p.billing_month = :month
),

matched AS (
    SELECT o.*, k.period_start AS calendar_start
    FROM candidates AS o
    LEFT JOIN pg_temp.calendar AS k
        ON (k.timezone, k.billing_cycle, k.period_end) = (o.timezone, o.billing_cycle, o.period_end)
            AND k.cycle_anchor IS NOT DISTINCT FROM o.cycle_anchor
),

outdated AS (
    SELECT DISTINCT ON (customer_id) *
    FROM matched AS m
    WHERE (
        moved
        OR (calendar_start IS NULL AND next_start IS NULL)
        OR (previous_end IS NULL AND calendar_start <> period_start) -- the anchor, a customer's first day, moved
    )
    AND NOT EXISTS (
        SELECT FROM candidates AS f
        WHERE f.customer_id = m.customer_id AND f.finalised AND f.period_start >= m.period_start
    )
    ORDER BY customer_id, period_start
)

SELECT o.period_id
FROM candidates AS o
INNER JOIN outdated AS h USING (customer_id)
WHERE o.period_start >= h.period_start
    AND (
        h.next_start IS NULL
        OR h.next_start <= :now AND EXISTS (
            SELECT FROM pg_temp.calendar AS k
            WHERE (k.timezone, k.billing_cycle, k.billing_month) = (h.timezone, h.billing_cycle, :month)
                AND k.cycle_anchor IS NOT DISTINCT FROM h.cycle_anchor
                AND k.period_start < h.next_start
                AND (h.previous_end IS NULL OR k.period_end > h.previous_end)
        )
    )
