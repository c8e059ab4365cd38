-- Grain: one row: the refund, if it is still in :from_state, with its entry in the audit log.
WITH moved AS (
    UPDATE billing.failed_refunds SET
        state = :state, method = :method, author = :author, reason = :reason, stripe_id = :made,
        attempt = attempt + (state = 'intended' AND cast(:state AS text) = 'open')::integer,
        settled_at = CASE WHEN cast(:state AS text) = 'settled' THEN clock_timestamp() END
    WHERE refund_id = :id AND state = :from_state
    RETURNING *
)

SELECT billing.log_action(
    :actor, :action, 'refund', refund_id, :why, jsonb_build_object('state', cast(:from_state AS text)),
    jsonb_build_object('state', state, 'method', method, 'amount_minor', amount_minor, 'stripe_id', stripe_id)
) FROM moved
