-- Grain: one row a stored period whose predecessor is another one by now: a period of pg_temp.laid that comes before it, or
-- what is left where one was removed.
WITH touched AS (
    SELECT l.customer_id, min(l.period_start) AS since FROM pg_temp.laid AS l GROUP BY l.customer_id
    UNION
    SELECT r.customer_id, min(r.period_start) FROM pg_temp.relaid AS r GROUP BY r.customer_id
),

later AS (
    SELECT
        n.customer_id,
        n.period_start,
        (
            SELECT max(b.period_end)
            FROM (
                SELECT p.period_end, p.period_start FROM billing.billing_periods AS p WHERE p.customer_id = n.customer_id
                UNION ALL
                SELECT l.period_end, l.period_start FROM pg_temp.laid AS l WHERE l.customer_id = n.customer_id
            ) AS b
            WHERE b.period_start < n.period_start
        ) AS before
    FROM billing.billing_periods AS n
    WHERE EXISTS (SELECT FROM touched AS t WHERE t.customer_id = n.customer_id AND n.period_start > t.since)
)

UPDATE billing.billing_periods AS p
SET
    previous_end = CASE WHEN l.before = l.period_start THEN l.before END,
    follows_end = CASE WHEN l.before < l.period_start THEN l.before END
FROM later AS l
WHERE p.customer_id = l.customer_id AND p.period_start = l.period_start
    AND (p.previous_end, p.follows_end) IS DISTINCT FROM (
        CASE WHEN l.before = l.period_start THEN l.before END,
        CASE WHEN l.before < l.period_start THEN l.before END
    )
