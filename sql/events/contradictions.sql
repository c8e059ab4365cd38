-- Grain: a copy that contradicts the stored event of its id and that nobody has acknowledged since it came.
WITH acknowledged AS (
    SELECT
        a.object_id AS event_id,
        max(a.logged_at) AS at
    FROM billing.automation_log AS a
    WHERE a.action = 'stripe_event.acknowledge' AND a.object_type = 'stripe_event'
    GROUP BY a.object_id
)

SELECT
    c.event_id,
    c.type,
    c.object_id,
    c.source,
    c.received_at
FROM billing.stripe_event_conflicts AS c LEFT JOIN acknowledged AS a USING (event_id)
WHERE a.at IS NULL OR c.received_at > a.at
ORDER BY c.received_at DESC, c.event_id
