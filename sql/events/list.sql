-- Grain: an event of the chosen ones, newest first.
SELECT
    e.event_id, e.type, e.object_id, e.created, e.received_at, e.source, w.state, w.attempts, w.failures, w.replays,
    w.due_at, w.applied_at, w.last_error, w.run_id
FROM billing.stripe_events AS e INNER JOIN billing.stripe_event_work AS w USING (event_id)
WHERE
    (cast(:event_id AS text) IS NULL OR e.event_id = :event_id)
    AND (cast(:state AS text) IS NULL OR w.state = :state)
    AND (cast(:type AS text) IS NULL OR e.type LIKE :type)
    AND (cast(:object_id AS text) IS NULL OR e.object_id = :object_id)
    AND (cast(:since AS timestamptz) IS NULL OR e.received_at >= :since)
    AND (
        cast(:after_received_at AS timestamptz) IS NULL
        OR e.received_at < :after_received_at
        OR (e.received_at = :after_received_at AND e.event_id > :after_event_id)
    )
ORDER BY e.received_at DESC, e.event_id
LIMIT :row_count
