-- Grain: an event of :event_ids, only where it is still the attempt of :attempts that claimed it.
UPDATE billing.stripe_event_work AS w
SET
    state = g.state,
    failures = g.failures,
    due_at = g.due_at,
    last_error = g.last_error,
    applied_at = CASE WHEN g.state = 'applied' THEN clock_timestamp() END,
    run_id = :run_id
FROM unnest(
        cast(:event_ids AS text[]), cast(:attempts AS integer[]), cast(:states AS text[]),
        cast(:failures AS integer[]), cast(:due_ats AS timestamptz[]), cast(:errors AS text[])
    ) AS g (event_id, attempt, state, failures, due_at, last_error)
WHERE w.event_id = g.event_id AND w.attempts = g.attempt AND w.state IN ('pending', 'waiting')
