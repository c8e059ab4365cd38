-- Events behind billed snapshots: one index probe a series, whatever the length of history. Two unions inside a lateral join
-- made the planner read all events of the time for each series: sealing and explaining took the square of a month.

CREATE OR REPLACE FUNCTION billing.billed_events(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, meter text, dimensions jsonb, place bigint, event_id text, quantity numeric, occurred_at timestamptz,
    received_at timestamptz, corrects_event_id text, corrected_by text
)
LANGUAGE sql STABLE AS $$
WITH series AS MATERIALIZED (
    SELECT b.*, md5(b.customer_id || chr(31) || b.meter || chr(31) || b.dimensions::text)::uuid AS series_id
    FROM billing.billed_snapshots(ids) AS b
),
events AS (
    SELECT s.invoice_id, s.meter, s.dimensions, s.as_of, u.event_id, u.quantity, u.occurred_at, u.received_at
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT e.event_id, e.quantity, e.occurred_at, e.received_at FROM billing.usage_events AS e
        WHERE e.series_id = s.series_id AND e.occurred_at >= s.period_start AND e.occurred_at < s.period_end
        OFFSET 0 -- with the cut-off inside, usage_events_level looks dear and all events of the time are read instead
    ) AS u
    WHERE u.received_at <= s.as_of
    UNION ALL
    SELECT s.invoice_id, s.meter, s.dimensions, s.as_of, u.event_id, u.quantity, u.occurred_at, u.received_at
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT e.event_id, e.quantity, e.occurred_at, e.received_at FROM billing.usage_events AS e
        WHERE e.series_id = s.series_id AND e.occurred_at < s.period_start AND e.received_at <= s.as_of
            AND coalesce((
                SELECT (SELECT ce.received_at FROM billing.usage_events AS ce WHERE ce.event_id = c.event_id)
                FROM billing.usage_corrections AS c
                WHERE c.corrects_event_id = e.event_id
            ) > s.as_of, TRUE)
        ORDER BY e.occurred_at DESC, e.received_at DESC, e.event_id DESC
        LIMIT 1
    ) AS u
    WHERE s.aggregation IN ('last', 'max', 'time_weighted')
)
SELECT e.invoice_id, e.meter, e.dimensions,
    row_number() OVER (
        PARTITION BY e.invoice_id, e.meter, e.dimensions ORDER BY e.occurred_at, e.received_at, e.event_id
    ),
    e.event_id, e.quantity, e.occurred_at, e.received_at, x.corrects_event_id, (
        SELECT c.event_id FROM billing.usage_corrections AS c JOIN billing.usage_events AS ce USING (event_id)
        WHERE c.corrects_event_id = e.event_id AND ce.received_at <= e.as_of
    )
FROM events AS e LEFT JOIN billing.usage_corrections AS x ON x.event_id = e.event_id;
$$;
COMMENT ON FUNCTION billing.billed_events IS 'One row an event behind a billed snapshot: those of the period known at its cut-off, corrected ones too, and the level in force before the period';
