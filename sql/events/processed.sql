-- Grain: an event that the run processed, those that came last first.
SELECT
    e.received_at,
    e.type,
    e.object_id,
    CASE w.state WHEN 'dead' THEN 'given up' WHEN 'pending' THEN 'to be tried again' ELSE w.state END AS outcome,
    w.last_error,
    e.event_id
FROM billing.stripe_event_work AS w INNER JOIN billing.stripe_events AS e USING (event_id)
WHERE w.run_id = :run_id
ORDER BY e.received_at DESC, e.event_id
LIMIT :row_count
