-- The one way into the audit log. It returns the entry's number, so that a statement can write what it changed:
-- WITH changed AS (UPDATE … RETURNING …) SELECT billing.log_action(…) FROM changed.
CREATE OR REPLACE FUNCTION billing.log_action(
    actor text,
    action text,
    object_type text,
    object_id text,
    reason text DEFAULT NULL,
    state_before jsonb DEFAULT NULL,
    state_after jsonb DEFAULT NULL,
    run_id text DEFAULT NULL
) RETURNS bigint
LANGUAGE sql AS $$
INSERT INTO billing.automation_log (actor, action, object_type, object_id, reason, state_before, state_after, run_id)
VALUES (
    log_action.actor, log_action.action, log_action.object_type, log_action.object_id, log_action.reason,
    log_action.state_before, log_action.state_after, log_action.run_id
)
RETURNING log_id;
$$;
COMMENT ON FUNCTION billing.log_action IS 'Writes one entry of the audit log and returns its log_id';
