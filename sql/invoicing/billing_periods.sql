-- Grain: one row a customer and period billed in :months that is not laid out yet; :month is the last of them.
-- What a contract and its cycle bill is in pg_temp.contract_parts; a customer's periods of other months, and those behind
-- a finalised invoice, stay where they are and the new ones are fitted between them, within one contract without a gap.
WITH customers AS (
    SELECT
        c.customer_id,
        earlier.period_end AS previous_end,
        earlier.end_date AS previous_date,
        later.period_start AS next_start,
        later.start_date AS next_date
    FROM billing.customers AS c
    LEFT JOIN LATERAL (
        SELECT p.period_end, p.end_date
        FROM billing.billing_periods AS p
        WHERE p.customer_id = c.customer_id AND p.billing_month <= :month AND p.period_id NOT IN (
                SELECT g.period_id FROM pg_temp.relaid AS g
            )
        ORDER BY p.period_end DESC
        LIMIT 1
    ) AS earlier ON TRUE
    LEFT JOIN LATERAL (
        SELECT p.period_start, p.start_date
        FROM billing.billing_periods AS p
        WHERE p.customer_id = c.customer_id AND p.billing_month > :month
        ORDER BY p.period_start
        LIMIT 1
    ) AS later ON TRUE
    WHERE c.customer_id IN (SELECT k.customer_id FROM pg_temp.contract_parts AS k WHERE k.billing_month = any(:months))
        AND (
            :bridging IS FALSE
            OR (earlier.period_end IS NOT NULL AND :month < :target)
            OR (later.period_start IS NOT NULL AND :month > :target)
        )
),

fitted AS (
    SELECT
        c.previous_end,
        c.next_start,
        -- neighbours of another contract are left where they are, with the time between the two
        c.previous_date > k.contract_starts_on AS goes_on,
        c.next_date <= coalesce(k.contract_ends_on, 'infinity') AS is_followed,
        k.*,
        row_number() OVER (PARTITION BY c.customer_id ORDER BY k.period_start) AS nth,
        count(*) OVER (PARTITION BY c.customer_id) AS of_them
    FROM customers AS c
    INNER JOIN pg_temp.contract_parts AS k ON c.customer_id = k.customer_id
    WHERE k.billing_month = any(:months)
        AND (c.previous_end IS NULL OR k.period_end > c.previous_end)
        AND (c.next_start IS NULL OR k.period_start < c.next_start)
),

placed AS (
    SELECT
        f.*,
        CASE
            WHEN f.nth = 1 AND (f.goes_on OR f.previous_end > f.period_start) THEN f.previous_end ELSE f.period_start
        END AS starts_at,
        CASE
            WHEN f.nth = f.of_them AND (f.is_followed OR f.next_start < f.period_end) THEN f.next_start ELSE f.period_end
        END AS ends_at
    FROM fitted AS f
),

laid AS (
    SELECT
        p.*,
        CASE
            WHEN p.starts_at = p.period_start THEN p.start_date ELSE cast(p.starts_at AT TIME ZONE p.timezone AS date)
        END AS first_date,
        CASE WHEN p.ends_at = p.period_end THEN p.end_date ELSE cast(p.ends_at AT TIME ZONE p.timezone AS date) END AS last_date,
        coalesce(lag(p.ends_at) OVER (PARTITION BY p.customer_id ORDER BY p.period_start), p.previous_end) AS ends_before
    FROM placed AS p
    WHERE p.starts_at < p.ends_at
)

SELECT
    l.customer_id,
    l.billing_month,
    l.currency,
    l.starts_at AS period_start,
    l.ends_at AS period_end,
    l.first_date AS start_date,
    l.last_date AS end_date,
    l.timezone,
    CASE WHEN l.ends_before = l.starts_at THEN l.ends_before END AS previous_end,
    CASE WHEN l.ends_before < l.starts_at THEN l.ends_before END AS follows_end,
    l.plan,
    CASE WHEN l.full_days > l.last_date - l.first_date THEN l.full_days END AS full_days,
    l.in_trial
FROM laid AS l
WHERE l.ends_at <= :now
