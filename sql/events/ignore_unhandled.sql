-- Grain: an event that is due and of a type that is kept only.
WITH due AS (
    SELECT w.event_id
    FROM billing.stripe_event_work AS w INNER JOIN billing.stripe_events AS e USING (event_id)
    WHERE
        w.state IN ('pending', 'waiting') AND w.due_at <= :now
        AND e.type <> all(:handled) AND e.type <> 'unreadable'
    ORDER BY w.event_id
    FOR UPDATE OF w SKIP LOCKED
)

UPDATE billing.stripe_event_work AS w
SET state = 'ignored', attempts = w.attempts + 1, run_id = :run_id, last_error = 'a type that is kept and not processed'
FROM due
WHERE w.event_id = due.event_id
