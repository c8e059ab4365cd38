-- Grain: one credit note, only if it is still in :from_state and :from_attempt; its entry in the audit log with it.
WITH changed AS (
    UPDATE billing.credit_notes AS n
    SET
        state = cast(:state AS text),
        attempt = cast(:attempt AS integer),
        reason_code = cast(:reason_code AS text),
        state_reason = cast(:reason AS text),
        stripe_credit_note_id = coalesce(cast(:stripe_credit_note_id AS text), n.stripe_credit_note_id),
        outcome_unknown_since = CASE
            WHEN cast(:outcome_unknown AS boolean) IS NULL THEN n.outcome_unknown_since
            WHEN cast(:outcome_unknown AS boolean) THEN coalesce(n.outcome_unknown_since, clock_timestamp())
        END
    WHERE n.credit_note_id = cast(:credit_note_id AS uuid) AND n.state = :from_state AND n.attempt = :from_attempt
    RETURNING n.credit_note_id, n.state, n.attempt, n.state_reason, n.stripe_credit_note_id
)

SELECT
    billing.log_action(
        cast(:actor AS text),
        cast(:action AS text),
        'credit_note',
        changed.credit_note_id::text,
        coalesce(changed.state_reason, cast(:note AS text)),
        jsonb_build_object('state', cast(:from_state AS text), 'attempt', cast(:from_attempt AS integer)),
        jsonb_build_object(
            'state', changed.state, 'attempt', changed.attempt, 'stripe_credit_note', changed.stripe_credit_note_id
        ) || cast(:evidence AS jsonb)
    )
FROM changed
