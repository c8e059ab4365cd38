-- Grain: an event that is due, claimed until :lease_s from :now. Whoever is killed leaves events that come due again.
-- A run takes an event once, or one that fails at once would keep it busy for ever.
WITH due AS (
    SELECT w.event_id
    FROM billing.stripe_event_work AS w
    WHERE w.state IN ('pending', 'waiting') AND w.due_at <= :now AND w.run_id IS DISTINCT FROM :run_id
    ORDER BY w.due_at, w.event_id
    LIMIT :batch
    FOR UPDATE SKIP LOCKED
),

claimed AS (
    UPDATE billing.stripe_event_work AS w
    SET attempts = w.attempts + 1, due_at = cast(:now AS timestamptz) + :lease_s * interval '1 second', run_id = :run_id
    FROM due
    WHERE w.event_id = due.event_id
    RETURNING w.event_id, w.attempts, w.failures, w.pending_since, w.replays
)

SELECT c.event_id, e.type, e.object_id, e.created, c.attempts, c.failures, c.pending_since, c.replays
FROM claimed AS c INNER JOIN billing.stripe_events AS e USING (event_id)
ORDER BY e.created, e.event_id
