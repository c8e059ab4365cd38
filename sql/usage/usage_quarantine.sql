-- Grain: one row a customer, meter and dimensions of :month whose events no meter of the customer's book counts.
-- The same conditions as in usage_snapshots.sql, turned round; the gate usage_conserved counts both against the events.
-- Billed periods are looked at again too: usage that arrives late must not vanish because it cannot be billed. A customer
-- who left since then does not matter there. What was measured and cannot be billed is in pg_temp.unmeasurable.
-- :customer: of this one alone; null: of everybody, also of those that nobody knows.
WITH contracts AS MATERIALIZED (
    SELECT k.customer_id, k.starts_on, k.ends_on, k.contract_starts_on, k.contract_ends_on, k.left_as
    FROM billing.contracts AS k
    WHERE cast(:customer AS text) IS NULL OR k.customer_id = :customer
),

-- whose contract holds every day of the month, whatever the zone
covered AS MATERIALIZED (
    SELECT DISTINCT k.customer_id
    FROM contracts AS k
    WHERE k.contract_starts_on < cast(:month_start AS date) - 1
        AND (k.contract_ends_on IS NULL OR k.contract_ends_on > cast(:month_end AS date))
),

suspects AS MATERIALIZED (
    SELECT
        s.series_id,
        s.customer_id,
        s.meter,
        s.dimensions,
        c.customer_id IS NULL AS stranger,
        c.timezone,
        c.cycle_anchor,
        coalesce(m.aggregation IN ('last', 'max', 'time_weighted'), FALSE) AS keeps_level,
        m.property,
        CASE
            WHEN c.customer_id IS NULL THEN 'unknown customer'
            WHEN b.currency IS NULL THEN format('no price book in %s', c.currency)
            WHEN m.meter IS NULL THEN 'unknown meter'
            WHEN m.dimensions <> s.dimension_names
                THEN format('expected the dimensions [%s]', array_to_string(m.dimensions, ', '))
        END AS reason,
        c.status = 'inactive' AS left_us
    FROM billing.usage_series AS s
    LEFT JOIN billing.customers AS c USING (customer_id)
    LEFT JOIN billing.price_books AS b USING (currency)
    LEFT JOIN covered AS v USING (customer_id)
    LEFT JOIN billing.meters AS m ON m.currency = c.currency AND m.meter = s.meter
    WHERE (cast(:customer AS text) IS NULL OR s.customer_id = :customer)
        AND (
            c.customer_id IS NULL OR c.status = 'inactive' OR m.meter IS NULL OR m.dimensions <> s.dimension_names
            OR c.cycle_anchor IS NOT NULL OR v.customer_id IS NULL OR m.property IS NOT NULL
        )
),

placed AS (
    SELECT
        s.customer_id,
        s.meter,
        s.dimensions,
        p.period_id,
        e.quantity,
        CASE
            WHEN s.left_us AND NOT EXISTS (
                    SELECT FROM billing.invoices AS i WHERE i.period_id = p.period_id AND billing.is_final(i.status)
                ) THEN 'the customer is inactive'
            WHEN s.reason IS NOT NULL THEN s.reason
            WHEN p.period_id IS NULL AND NOT s.stranger THEN o.reason
            WHEN s.property IS NOT NULL AND NOT EXISTS (
                    SELECT FROM billing.usage_events AS u WHERE u.event_id = e.event_id AND u.properties ? s.property
                ) THEN format('expected the property %s', s.property)
        END AS reason
    FROM suspects AS s
    INNER JOIN billing.usage_events AS e USING (series_id)
    LEFT JOIN billing.billing_periods AS p
        ON s.customer_id = p.customer_id AND e.occurred_at >= p.period_start AND e.occurred_at < p.period_end
    -- a day on which no contract holds; a level of before a contract is in force on its first day
    LEFT JOIN LATERAL (
        SELECT
            CASE
                WHEN b.left_as IS NOT NULL AND NOT (s.keeps_level AND b.comes_again)
                    THEN CASE b.left_as WHEN 'paused' THEN 'contract_paused' ELSE 'after_contract' END
                WHEN b.left_as IS NULL AND NOT s.keeps_level THEN 'before_contract'
            END AS reason
        FROM (
            SELECT
                (
                    SELECT k.left_as FROM contracts AS k
                    WHERE k.customer_id = s.customer_id AND k.contract_ends_on < d.day
                    ORDER BY k.contract_ends_on DESC LIMIT 1
                ) AS left_as,
                exists(
                    SELECT FROM contracts AS k WHERE k.customer_id = s.customer_id AND k.starts_on > d.day
                ) AS comes_again
            FROM (SELECT cast(e.occurred_at AT TIME ZONE s.timezone AS date) AS day) AS d
            WHERE d.day < s.cycle_anchor OR NOT EXISTS (
                    SELECT FROM contracts AS k
                    WHERE k.customer_id = s.customer_id AND k.starts_on <= d.day
                        AND (k.ends_on IS NULL OR k.ends_on >= d.day)
                )
        ) AS b
        WHERE p.period_id IS NULL AND NOT s.stranger
    ) AS o ON TRUE
    WHERE e.occurred_at >= least(:first_start, :month_start) AND e.occurred_at < greatest(:last_end, :month_end)
        AND e.received_at <= :as_of
        AND NOT EXISTS (
            SELECT FROM billing.corrected_events AS c WHERE c.event_id = e.event_id AND c.corrected_at <= :as_of
        )
        AND (
            p.billing_month = :month
            OR (
                p.period_id IS NULL AND e.occurred_at >= :month_start AND e.occurred_at < :month_end
                AND (s.stranger OR o.reason IS NOT NULL)
            )
        )
)

SELECT
    cast(:month AS date) AS billing_month,
    'usage_snapshots' AS stage,
    customer_id,
    meter,
    dimensions,
    period_id,
    -- of one series in one month there may be usage before a contract and after one
    string_agg(DISTINCT reason, '+' ORDER BY reason) AS reason,
    sum(quantity) AS quantity,
    count(*) AS event_count,
    cast(:run_id AS text) AS run_id,
    cast(NULL AS bigint) AS worth_minor
FROM placed
WHERE reason IS NOT NULL
GROUP BY customer_id, meter, dimensions, period_id
UNION ALL
SELECT
    cast(:month AS date),
    'usage_snapshots',
    customer_id,
    meter,
    dimensions,
    period_id,
    reason,
    quantity,
    event_count,
    cast(:run_id AS text),
    NULL
FROM pg_temp.unmeasurable
