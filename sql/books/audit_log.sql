-- Grain: an entry of the audit log, the newest first; :before is the log_id to go on from.
SELECT
    log_id,
    logged_at,
    actor,
    run_id,
    action,
    object_type,
    object_id,
    reason,
    state_before,
    state_after
FROM billing.automation_log
WHERE
    (cast(:actor AS text) IS NULL OR actor = :actor)
    AND (cast(:action AS text) IS NULL OR action = :action)
    AND (cast(:object_id AS text) IS NULL OR object_id = :object_id)
    AND (cast(:before AS bigint) IS NULL OR log_id < :before)
ORDER BY log_id DESC
LIMIT :row_limit
