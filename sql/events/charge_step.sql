-- Grain: one charge, whose row the caller has locked; its entry in the audit log with it.
WITH given AS (
    SELECT
        cast(:invoice_id AS uuid) AS invoice_id,
        cast(:from_state AS text) AS from_state,
        cast(:state AS text) AS state,
        cast(:reason_code AS text) AS reason_code,
        cast(:reason AS text) AS reason,
        cast(:stripe_customer_id AS text) AS stripe_customer_id,
        cast(:stripe_invoice_id AS text) AS stripe_invoice_id,
        cast(:stripe_total_minor AS bigint) AS stripe_total_minor,
        cast(:stripe_currency AS text) AS stripe_currency
),

changed AS (
    UPDATE billing.stripe_charges AS c
    SET
        state = g.state,
        reason_code = g.reason_code,
        reason = g.reason,
        stripe_customer_id = g.stripe_customer_id,
        stripe_invoice_id = g.stripe_invoice_id,
        stripe_total_minor = g.stripe_total_minor,
        stripe_currency = g.stripe_currency,
        outcome_unknown_since = NULL
    FROM given AS g
    WHERE c.invoice_id = g.invoice_id
    RETURNING g.*, c.attempt
)

INSERT INTO billing.automation_log (
    actor, run_id, action, object_type, object_id, reason, state_before, state_after
)
SELECT
    'stripe-events',
    :run_id,
    'stripe.invoice.event',
    'invoice',
    changed.invoice_id::text,
    changed.reason,
    jsonb_build_object('state', changed.from_state, 'attempt', changed.attempt),
    jsonb_build_object('state', changed.state, 'attempt', changed.attempt) || cast(:evidence AS jsonb)
FROM changed
