-- The charge intent and what is known of it at Stripe. core/charging.py names the same states and transitions; a test
-- holds the two against each other.

CREATE TABLE billing.charge_transitions (
    from_state text NOT NULL,
    to_state text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
COMMENT ON TABLE billing.charge_transitions IS 'One row an allowed step of stripe_charges.state';
COMMENT ON COLUMN billing.charge_transitions.from_state IS 'State before';
COMMENT ON COLUMN billing.charge_transitions.to_state IS 'State after';
INSERT INTO billing.charge_transitions (from_state, to_state)
SELECT f.state, t.state
FROM (
    VALUES
    ('intended', 0), ('drafted', 1), ('lines_added', 2), ('finalized', 3), ('refused', 3), ('parked', 3)
) AS f (state, stage)
CROSS JOIN (
    VALUES
    ('intended', 0), ('drafted', 1), ('lines_added', 2), ('finalized', 3), ('refused', 3), ('parked', 3),
    ('paid', 4), ('void', 4), ('uncollectible', 4)
) AS t (state, stage)
WHERE f.state <> t.state AND (t.stage >= f.stage OR f.state = 'parked')
UNION ALL
VALUES ('uncollectible', 'paid'), ('uncollectible', 'void');
CREATE TRIGGER charge_transitions_fixed
BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON billing.charge_transitions
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the transitions change by a migration');

CREATE TABLE billing.stripe_charges (
    invoice_id uuid PRIMARY KEY,
    billing_month billing.month_start NOT NULL,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    amount_minor bigint NOT NULL,
    currency billing.currency_code NOT NULL,
    request_body bytea NOT NULL,
    request_sha256 bytea NOT NULL GENERATED ALWAYS AS (sha256(request_body)) STORED,
    state text NOT NULL DEFAULT 'intended' CHECK (
        state IN (
            'intended', 'drafted', 'lines_added', 'finalized', 'refused', 'parked', 'paid', 'void', 'uncollectible'
        )
    ),
    reason_code text,
    reason text,
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    stripe_customer_id text,
    stripe_invoice_id text UNIQUE,
    stripe_total_minor bigint,
    outcome_unknown_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id text NOT NULL,
    FOREIGN KEY (invoice_id, customer_id, billing_month, amount_minor, currency)
    REFERENCES billing.invoices (invoice_id, customer_id, billing_month, total_minor, currency),
    CHECK (state IN ('intended', 'parked', 'void') OR stripe_invoice_id IS NOT NULL),
    CHECK (stripe_invoice_id IS NULL OR stripe_customer_id IS NOT NULL),
    CONSTRAINT stripe_total_equals_ours CHECK (
        state IN ('intended', 'drafted', 'parked', 'void') OR coalesce(stripe_total_minor = amount_minor, FALSE)
    ),
    CHECK ((state IN ('refused', 'parked')) <= (reason_code IS NOT NULL))
);
CREATE INDEX stripe_charges_month ON billing.stripe_charges (billing_month, state);
COMMENT ON TABLE billing.stripe_charges IS 'One row a finalised invoice: the intent to charge it, frozen, and its state at Stripe';
COMMENT ON COLUMN billing.stripe_charges.invoice_id IS 'The invoice; metadata.invoice_id at Stripe';
COMMENT ON COLUMN billing.stripe_charges.billing_month IS 'Partition, the invoice''s by foreign key';
COMMENT ON COLUMN billing.stripe_charges.customer_id IS 'Who pays, the invoice''s customer by foreign key';
COMMENT ON COLUMN billing.stripe_charges.amount_minor IS 'The invoice''s total, by foreign key';
COMMENT ON COLUMN billing.stripe_charges.currency IS 'The invoice''s currency, by foreign key';
COMMENT ON COLUMN billing.stripe_charges.request_body IS 'What Stripe is sent, as canonical JSON bytes, frozen with the intent';
COMMENT ON COLUMN billing.stripe_charges.request_sha256 IS 'Digest of request_body';
COMMENT ON COLUMN billing.stripe_charges.state IS 'intended, drafted, lines_added, finalized, refused, parked, paid, void or uncollectible';
COMMENT ON COLUMN billing.stripe_charges.reason_code IS 'Why it is refused or parked: a code of the closed error table';
COMMENT ON COLUMN billing.stripe_charges.reason IS 'The same in words, with evidence';
COMMENT ON COLUMN billing.stripe_charges.attempt IS 'Number of the payment attempt; part of its idempotency key';
COMMENT ON COLUMN billing.stripe_charges.stripe_customer_id IS 'Customer at Stripe that is charged; set once';
COMMENT ON COLUMN billing.stripe_charges.stripe_invoice_id IS 'Invoice at Stripe; set once';
COMMENT ON COLUMN billing.stripe_charges.stripe_total_minor IS 'Total that Stripe computed; finalised there only when equal to ours';
COMMENT ON COLUMN billing.stripe_charges.outcome_unknown_since IS 'When a call was lost without an answer; null once Stripe was asked';
COMMENT ON COLUMN billing.stripe_charges.created_at IS 'When the intent was written';
COMMENT ON COLUMN billing.stripe_charges.updated_at IS 'Last change';
COMMENT ON COLUMN billing.stripe_charges.run_id IS 'Run that finalised the invoice';

CREATE FUNCTION billing.check_charge() RETURNS trigger
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
        new.created_at, new.run_id)
        IS DISTINCT FROM
        (old.invoice_id, old.billing_month, old.customer_id, old.amount_minor, old.currency, old.request_body,
        old.created_at, old.run_id)
    THEN
        RAISE EXCEPTION 'charge %: the intent is frozen', old.invoice_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.stripe_invoice_id IS DISTINCT FROM coalesce(old.stripe_invoice_id, new.stripe_invoice_id)
        OR new.stripe_customer_id IS DISTINCT FROM coalesce(old.stripe_customer_id, new.stripe_customer_id)
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
    IF new.state <> old.state AND new.state IN ('paid', 'void', 'uncollectible') THEN
        UPDATE billing.invoices SET status = new.state WHERE invoice_id = new.invoice_id;
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_charge IS 'Trigger: a charge needs a finalised invoice, its intent and ids are frozen, its state moves along charge_transitions, and the invoice''s status follows';
CREATE TRIGGER stripe_charges_change BEFORE INSERT OR UPDATE ON billing.stripe_charges
FOR EACH ROW EXECUTE FUNCTION billing.check_charge();
CREATE TRIGGER stripe_charges_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_charges
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('charges are kept');

CREATE FUNCTION billing.check_status_is_the_charges() RETURNS trigger
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
CREATE CONSTRAINT TRIGGER invoices_status_is_the_charges AFTER UPDATE OF status ON billing.invoices
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (old.status <> new.status)
EXECUTE FUNCTION billing.check_status_is_the_charges();

CREATE TABLE billing.invoice_numbering (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    last_number bigint NOT NULL CHECK (last_number >= 0)
);
COMMENT ON TABLE billing.invoice_numbering IS 'The last invoice number given out; whoever finalises locks the row, so numbers have no gaps';
COMMENT ON COLUMN billing.invoice_numbering.only_row IS 'There is one row';
COMMENT ON COLUMN billing.invoice_numbering.last_number IS 'Number of the invoice finalised last';
INSERT INTO billing.invoice_numbering (last_number) VALUES (0);
CREATE TRIGGER invoice_numbering_keep BEFORE DELETE OR TRUNCATE ON billing.invoice_numbering
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('invoice numbers go on');
