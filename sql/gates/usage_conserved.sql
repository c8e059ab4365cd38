-- Customers and meters for which the month's events are not all in a snapshot or in quarantine.
-- Counted from the events alone, not by the conditions of the build. Periods with a finalised invoice were counted before.
WITH batch AS (SELECT * FROM {batch}),

-- a customer who was drafted alone since the month was has a later one than the others
own_cut_off AS MATERIALIZED (
    SELECT b.customer_id, o.as_of
    FROM billing.customer_builds AS b
    CROSS JOIN LATERAL billing.cut_off(b.asset, b.billing_month, b.customer_id) AS o
    WHERE b.asset = 'usage_snapshots' AND b.billing_month = '{month}'
),

cut_off AS MATERIALIZED (
    SELECT coalesce(max(o.as_of), clock_timestamp()) AS as_of
    FROM billing.cut_off('usage_snapshots', '{month}', NULL) AS o
),

open_periods AS (
    SELECT p.period_id, p.customer_id, p.period_start, p.period_end
    FROM billing.billing_periods AS p
    WHERE p.billing_month = '{month}'
        AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.period_id = p.period_id AND i.status NOT IN ('draft', 'void'))
),

counting AS (
    SELECT e.event_id, e.customer_id, e.meter, e.occurred_at
    FROM billing.usage_events AS e
    LEFT JOIN own_cut_off AS w ON e.customer_id = w.customer_id
    WHERE e.received_at <= coalesce(w.as_of, (SELECT o.as_of FROM cut_off AS o))
        AND e.occurred_at >= (
            SELECT least(min(p.period_start), timestamptz '{month} 00:00:00Z') FROM open_periods AS p
        )
        AND e.occurred_at < (
            SELECT greatest(max(p.period_end), (timestamp '{month}' + interval '1 month') AT TIME ZONE 'UTC')
            FROM open_periods AS p
        )
        AND NOT EXISTS (SELECT FROM billing.usage_corrections AS r WHERE r.event_id = e.event_id AND r.removes)
        AND NOT EXISTS (
            SELECT FROM billing.usage_corrections AS c
            WHERE c.corrects_event_id = e.event_id AND (
                    SELECT ce.received_at FROM billing.usage_events AS ce WHERE ce.event_id = c.event_id
                ) <= coalesce(w.as_of, (SELECT o.as_of FROM cut_off AS o))
        )
),

expected AS (
    SELECT c.customer_id, c.meter, count(*) AS event_count
    FROM counting AS c
    INNER JOIN open_periods AS p
        ON c.customer_id = p.customer_id AND c.occurred_at >= p.period_start AND c.occurred_at < p.period_end
    GROUP BY c.customer_id, c.meter
    UNION ALL
    SELECT c.customer_id, c.meter, count(*)
    FROM counting AS c
    WHERE c.occurred_at >= timestamptz '{month} 00:00:00Z'
        AND c.occurred_at < (timestamp '{month}' + interval '1 month') AT TIME ZONE 'UTC'
        AND NOT EXISTS (SELECT FROM billing.customers AS k WHERE k.customer_id = c.customer_id)
    GROUP BY c.customer_id, c.meter
),

accounted AS (
    SELECT b.customer_id, b.meter, sum(b.event_count) AS event_count
    FROM batch AS b INNER JOIN open_periods AS p ON b.period_id = p.period_id
    GROUP BY b.customer_id, b.meter
    UNION ALL
    SELECT q.customer_id, q.meter, sum(q.event_count)
    FROM billing.usage_quarantine AS q
    WHERE q.billing_month = '{month}' AND q.stage = 'usage_snapshots'
        AND (
            q.period_id IN (SELECT p.period_id FROM open_periods AS p)
            OR NOT EXISTS (SELECT FROM billing.customers AS k WHERE k.customer_id = q.customer_id)
        )
    GROUP BY q.customer_id, q.meter
)

SELECT customer_id, meter, sum(events) AS events, sum(in_snapshots_or_quarantine) AS in_snapshots_or_quarantine
FROM (
    SELECT customer_id, meter, event_count AS events, 0 AS in_snapshots_or_quarantine FROM expected
    UNION ALL
    SELECT customer_id, meter, 0, event_count FROM accounted
) AS both_sides
GROUP BY customer_id, meter
HAVING sum(events) <> sum(in_snapshots_or_quarantine)
