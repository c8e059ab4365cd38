-- When a customer's contract begins where nobody said so. The same days as in invoicing/rules/periods.py: a test holds both
-- together.

CREATE OR REPLACE FUNCTION billing.cycle_start(billing_cycle text, cycle_anchor date, day date) RETURNS date
LANGUAGE sql IMMUTABLE AS $$
SELECT CASE
    WHEN cycle_anchor >= day THEN cycle_anchor
    WHEN billing_cycle = 'calendar_month' THEN greatest(date_trunc('month', day)::date, cycle_anchor)
    WHEN billing_cycle LIKE '%\_days' THEN
        day - (day - cycle_anchor) % split_part(billing_cycle, '_', 1)::integer
    ELSE (
        SELECT max(b.boundary)
        FROM (SELECT CASE WHEN billing_cycle = 'monthly' THEN 1 ELSE split_part(billing_cycle, '_', 1)::integer END AS n) AS c
        CROSS JOIN LATERAL (
            SELECT (cycle_anchor + make_interval(months => k * c.n))::date AS boundary
            FROM (
                SELECT (
                    12 * (extract(YEAR FROM day) - extract(YEAR FROM cycle_anchor))
                    + extract(MONTH FROM day) - extract(MONTH FROM cycle_anchor)
                )::integer / c.n AS nearest
            ) AS m
            CROSS JOIN LATERAL generate_series(greatest(m.nearest - 1, 0), m.nearest + 1) AS k
        ) AS b
        WHERE b.boundary <= day
    )
END;
$$;
COMMENT ON FUNCTION billing.cycle_start IS 'First day of the period of a billing cycle that holds the day; the anchor for days before it';
