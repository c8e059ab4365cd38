-- How a charge may move. charging/rules names the same.

-- Stripe keeps a key for 24 hours at least; clocks differ.
CREATE OR REPLACE FUNCTION billing.key_may_be_gone(attempt_began_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT coalesce(attempt_began_at < clock_timestamp() - interval '23 hours', FALSE)
$$;
COMMENT ON FUNCTION billing.key_may_be_gone IS 'Whether Stripe may have forgotten the key of an attempt that began then: the same call would be executed again';

CREATE OR REPLACE FUNCTION billing.check_charge() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        IF new.state <> 'intended' OR new.attempt <> 1 OR new.stripe_invoice_id IS NOT NULL THEN
            RAISE EXCEPTION 'a charge starts as an intent' USING ERRCODE = 'restrict_violation';
        END IF;
        PERFORM FROM billing.invoices WHERE invoice_id = new.invoice_id AND status = 'open' FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'invoice % is not finalised and cannot be charged', new.invoice_id
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN new;
    END IF;
    IF (new.invoice_id, new.billing_month, new.customer_id, new.amount_minor, new.currency, new.request_body,
        new.request_version, new.created_at, new.run_id)
        IS DISTINCT FROM
        (old.invoice_id, old.billing_month, old.customer_id, old.amount_minor, old.currency, old.request_body,
        old.request_version, old.created_at, old.run_id)
    THEN
        RAISE EXCEPTION 'charge %: the intent is frozen', old.invoice_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF (new.stripe_invoice_id IS DISTINCT FROM coalesce(old.stripe_invoice_id, new.stripe_invoice_id)
        OR new.stripe_customer_id IS DISTINCT FROM coalesce(old.stripe_customer_id, new.stripe_customer_id))
        AND NOT billing.is_relinked(old, new)
    THEN
        RAISE EXCEPTION 'charge %: ids at Stripe are set once', old.invoice_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.attempt NOT IN (old.attempt, old.attempt + 1) THEN
        RAISE EXCEPTION 'charge %: attempts are counted one by one', old.invoice_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.state <> old.state AND NOT EXISTS (
        SELECT FROM billing.charge_transitions WHERE from_state = old.state AND to_state = new.state
    ) THEN
        RAISE EXCEPTION 'charge %: state does not go from % to %', old.invoice_id, old.state, new.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    new.updated_at = clock_timestamp();
    IF new.state = 'finalized' AND (old.state <> 'finalized' OR new.attempt > old.attempt) THEN
        new.attempt_began_at = new.updated_at;
    END IF;
    IF new.bank_payment_id IS DISTINCT FROM old.bank_payment_id THEN
        new.bank_payment_since = CASE WHEN new.bank_payment_id IS NOT NULL THEN new.updated_at END;
    END IF;
    IF new.state <> old.state AND new.state IN ('paid', 'void', 'uncollectible') THEN
        UPDATE billing.invoices SET status = new.state WHERE invoice_id = new.invoice_id;
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_charge IS 'Trigger: a charge needs a finalised invoice, its intent and ids are frozen, its state moves along charge_transitions, and the invoice''s status follows';

CREATE OR REPLACE FUNCTION billing.check_attempt() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF new.attempt > old.attempt AND NOT (
        (old.state = 'refused' AND new.state = 'finalized')
        OR old.state = 'parked'
        OR (new.state = old.state AND old.outcome_unknown_since IS NOT NULL AND new.outcome_unknown_since IS NULL)
    ) THEN
        RAISE EXCEPTION 'charge %: an attempt rises only after a definite answer to the one before', old.invoice_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.attempt > old.attempt AND old.state = 'finalized' AND old.bank_payment_id IS NOT NULL THEN
        RAISE EXCEPTION 'charge %: payment % waits for a bank, nothing else is asked for meanwhile',
            old.invoice_id, old.bank_payment_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF old.state = 'refused' AND new.state = 'finalized' AND new.attempt = old.attempt THEN
        RAISE EXCEPTION 'charge %: what was refused is tried again as another attempt', old.invoice_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_attempt IS 'Trigger: a new attempt, and so a new idempotency key, needs a refusal, a person''s decision, or an unknown outcome that Stripe was asked about';

CREATE OR REPLACE FUNCTION billing.check_status_is_the_charges() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    at_commit record;
BEGIN
    SELECT i.status, c.state INTO at_commit
    FROM billing.invoices AS i LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
    WHERE i.invoice_id = new.invoice_id;
    IF at_commit.state IS NULL THEN
        RAISE EXCEPTION 'invoice % was finalised without its charge intent', new.invoice_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF at_commit.status <> 'open' AND at_commit.status <> at_commit.state THEN
        RAISE EXCEPTION 'invoice % is %, its charge %: the status follows the charge',
            new.invoice_id, at_commit.status, at_commit.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_status_is_the_charges IS 'Trigger at commit: finalising and the intent to charge are one transaction, and no invoice is paid or void while its charge may still be tried';

-- now() is when the transaction began: what it wrote into the log is not older.
CREATE OR REPLACE FUNCTION billing.check_charge_evidence() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM billing.automation_log AS l
    WHERE l.object_type = 'invoice' AND l.object_id = new.invoice_id::text AND l.logged_at >= now()
        AND l.state_after ->> 'state' = new.state
        AND CASE
            WHEN new.state = old.state THEN TRUE
            WHEN new.state IN ('paid', 'uncollectible')
                THEN (l.state_after ->> 'stripe_invoice', l.state_after ->> 'status') = (new.stripe_invoice_id, new.state)
            WHEN new.state = 'void' THEN l.state_after ? 'at_stripe' OR l.state_after ->> 'status' = 'void'
            ELSE TRUE
        END;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'charge %: from % to %, and the audit log does not say in this transaction what was seen of it',
            new.invoice_id, old.state, new.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_charge_evidence IS 'Trigger at commit: a charge moves with its entry in the audit log. Paid and uncollectible need Stripe''s invoice as it was seen, void what became of it there';
