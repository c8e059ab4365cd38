-- Grain: one charge, only if it is still in :from_state and :from_attempt; its entry in the audit log with it, and where
-- its customer finds it at Stripe, once that is known.
-- Not by billing.log_action(): every step of every charge comes here, and takes Postgres a seventh longer by it.
WITH given AS (
    SELECT
        cast(:invoice_id AS uuid) AS invoice_id,
        cast(:from_state AS text) AS from_state,
        cast(:from_attempt AS integer) AS from_attempt,
        cast(:state AS text) AS state,
        cast(:attempt AS integer) AS attempt,
        cast(:reason_code AS text) AS reason_code,
        cast(:reason AS text) AS reason,
        cast(:stripe_customer_id AS text) AS stripe_customer_id,
        cast(:stripe_invoice_id AS text) AS stripe_invoice_id,
        cast(:stripe_total_minor AS bigint) AS stripe_total_minor,
        cast(:stripe_currency AS text) AS stripe_currency,
        cast(:outcome_unknown AS boolean) AS outcome_unknown,
        cast(:bank_payment_id AS text) AS bank_payment_id
),

changed AS (
    UPDATE billing.stripe_charges AS c
    SET
        state = g.state,
        attempt = g.attempt,
        reason_code = g.reason_code,
        reason = g.reason,
        stripe_customer_id = coalesce(g.stripe_customer_id, c.stripe_customer_id),
        stripe_invoice_id = coalesce(g.stripe_invoice_id, c.stripe_invoice_id),
        stripe_total_minor = coalesce(g.stripe_total_minor, c.stripe_total_minor),
        stripe_currency = coalesce(g.stripe_currency, c.stripe_currency),
        outcome_unknown_since = CASE
            WHEN g.outcome_unknown IS NULL THEN c.outcome_unknown_since
            WHEN g.outcome_unknown THEN coalesce(c.outcome_unknown_since, clock_timestamp())
        END,
        -- another attempt has no payment yet
        bank_payment_id = coalesce(g.bank_payment_id, CASE WHEN g.attempt = c.attempt THEN c.bank_payment_id END)
    FROM given AS g
    WHERE c.invoice_id = g.invoice_id AND c.state = g.from_state AND c.attempt = g.from_attempt
    RETURNING g.*
),

pages AS (
    INSERT INTO billing.invoice_pages (invoice_id, page_url, pdf_url)
    SELECT
        changed.invoice_id,
        cast(:page_url AS text),
        cast(:pdf_url AS text)
    FROM changed
    WHERE cast(:page_url AS text) IS NOT NULL
    ON CONFLICT (invoice_id) DO NOTHING
)

INSERT INTO billing.automation_log (
    actor, run_id, action, object_type, object_id, reason, state_before, state_after
)
SELECT
    :actor,
    :run_id,
    :action,
    'invoice',
    changed.invoice_id::text,
    coalesce(changed.reason, :note),
    jsonb_build_object('state', changed.from_state, 'attempt', changed.from_attempt),
    jsonb_build_object('state', changed.state, 'attempt', changed.attempt) || cast(:evidence AS jsonb)
FROM changed
