-- Grain: an event that an operator puts back, with its entry in the audit log. What is pending and never failed stays as it is.
WITH chosen AS (
    SELECT w.event_id, w.state, w.last_error
    FROM billing.stripe_event_work AS w INNER JOIN billing.stripe_events AS e USING (event_id)
    WHERE
        (w.state <> 'pending' OR w.failures > 0)
        AND (cast(:event_id AS text) IS NULL OR w.event_id = :event_id)
        AND (cast(:state AS text) IS NULL OR w.state = :state)
        AND (cast(:type AS text) IS NULL OR e.type LIKE :type)
        AND (cast(:object_id AS text) IS NULL OR e.object_id = :object_id)
        AND (cast(:since AS timestamptz) IS NULL OR e.received_at >= :since)
    ORDER BY w.event_id
    FOR UPDATE OF w
),

replayed AS (
    UPDATE billing.stripe_event_work AS w
    SET
        state = 'pending',
        attempts = 0,
        failures = 0,
        replays = w.replays + 1,
        due_at = clock_timestamp(),
        pending_since = clock_timestamp(),
        applied_at = NULL,
        run_id = NULL
    FROM chosen
    WHERE w.event_id = chosen.event_id
    RETURNING chosen.event_id, chosen.state, chosen.last_error
)

SELECT
    billing.log_action(
        :author, 'stripe_event.replay', 'stripe_event', event_id, :reason,
        jsonb_build_object('state', state, 'last_error', last_error), jsonb_build_object('state', 'pending')
    )
FROM replayed
