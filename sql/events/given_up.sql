-- Grain: an event that was given up, those that came last first; in_all counts them all.
SELECT
    count(*) OVER () AS in_all,
    w.event_id,
    e.type,
    e.object_id,
    w.last_error,
    e.received_at
FROM billing.stripe_event_work AS w INNER JOIN billing.stripe_events AS e USING (event_id)
WHERE w.state = 'dead'
ORDER BY e.received_at DESC
LIMIT :row_count
