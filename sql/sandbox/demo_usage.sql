-- Events and where they went, by customer and meter: those that lie in a period of the month, or, for a customer
-- who is not in the file, in the UTC month.
WITH events AS (
    SELECT e.customer_id, e.meter, count(*) AS events
    FROM billing.usage_events AS e
    INNER JOIN billing.billing_periods AS p
        ON p.customer_id = e.customer_id AND e.occurred_at >= p.period_start AND e.occurred_at < p.period_end
    WHERE p.billing_month = :month
        AND e.event_id NOT IN (SELECT c.event_id FROM billing.corrected_events AS c)
    GROUP BY e.customer_id, e.meter
    UNION ALL
    SELECT e.customer_id, e.meter, count(*)
    FROM billing.usage_events AS e
    WHERE NOT EXISTS (SELECT FROM billing.customers AS k WHERE k.customer_id = e.customer_id)
        AND date_trunc('month', e.occurred_at AT TIME ZONE 'UTC')::date = :month
    GROUP BY e.customer_id, e.meter
),

accounted AS (
    SELECT customer_id, meter, sum(event_count) AS events
    FROM (
        SELECT customer_id, meter, event_count FROM billing.usage_snapshots WHERE billing_month = :month
        UNION ALL
        SELECT customer_id, meter, event_count FROM billing.usage_quarantine
        WHERE billing_month = :month AND stage = 'usage_snapshots'
    ) AS both_places
    GROUP BY customer_id, meter
)

SELECT customer_id, meter, coalesce(e.events, 0) AS events, coalesce(a.events, 0) AS accounted
FROM events AS e FULL JOIN accounted AS a USING (customer_id, meter)
ORDER BY customer_id, meter
