-- Grain: one row a customer and period billed in :month that is not laid out yet.
-- The calendar of each zone and cycle is in pg_temp.calendar; a customer's periods of other months, and those behind
-- a finalised invoice, stay where they are and the new ones are fitted between them.
WITH customers AS (
    SELECT
        c.customer_id,
        c.currency,
        c.timezone,
        c.billing_cycle,
        c.cycle_anchor,
        earlier.period_end AS previous_end,
        later.period_start AS next_start
    FROM billing.customers AS c
    LEFT JOIN LATERAL (
        SELECT p.period_end
        FROM billing.billing_periods AS p
        WHERE p.customer_id = c.customer_id AND p.billing_month <= :month AND p.period_id NOT IN (
                SELECT g.period_id FROM pg_temp.relaid AS g
            )
        ORDER BY p.period_end DESC
        LIMIT 1
    ) AS earlier ON TRUE
    LEFT JOIN LATERAL (
        SELECT p.period_start
        FROM billing.billing_periods AS p
        WHERE p.customer_id = c.customer_id AND p.billing_month > :month
        ORDER BY p.period_start
        LIMIT 1
    ) AS later ON TRUE
    WHERE :bridging IS FALSE
        OR (earlier.period_end IS NOT NULL AND :month < :target)
        OR (later.period_start IS NOT NULL AND :month > :target)
),

fitted AS (
    SELECT
        c.*,
        k.billing_month,
        k.period_start AS calendar_start,
        k.period_end AS calendar_end,
        k.start_date,
        k.end_date,
        row_number() OVER (PARTITION BY c.customer_id ORDER BY k.period_start) AS nth,
        count(*) OVER (PARTITION BY c.customer_id) AS of_them
    FROM customers AS c
    INNER JOIN pg_temp.calendar AS k
        ON c.timezone = k.timezone AND c.billing_cycle = k.billing_cycle
            AND k.cycle_anchor IS NOT DISTINCT FROM c.cycle_anchor
    WHERE k.billing_month = :month
        AND (c.previous_end IS NULL OR k.period_end > c.previous_end)
        AND (c.next_start IS NULL OR k.period_start < c.next_start)
),

laid AS (
    SELECT
        f.*,
        CASE WHEN f.nth = 1 THEN coalesce(f.previous_end, f.calendar_start) ELSE f.calendar_start END AS period_start,
        CASE WHEN f.nth = f.of_them THEN coalesce(f.next_start, f.calendar_end) ELSE f.calendar_end END AS period_end
    FROM fitted AS f
)

SELECT
    l.customer_id,
    l.billing_month,
    l.currency,
    l.period_start,
    l.period_end,
    CASE
        WHEN l.period_start = l.calendar_start THEN l.start_date
        ELSE cast(l.period_start AT TIME ZONE l.timezone AS date)
    END AS start_date,
    CASE
        WHEN l.period_end = l.calendar_end THEN l.end_date
        ELSE cast(l.period_end AT TIME ZONE l.timezone AS date)
    END AS end_date,
    l.timezone,
    CASE WHEN l.nth > 1 OR l.previous_end IS NOT NULL THEN l.period_start END AS previous_end
FROM laid AS l
WHERE l.period_start < l.period_end AND l.period_end <= :now
