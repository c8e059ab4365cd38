-- Refunds that Stripe could not carry out, often days after they succeeded: the money is back in the account and not with the
-- customer. Each waits for a person. https://docs.stripe.com/refunds#failed-refunds

CREATE TABLE billing.failed_refunds (
    -- no foreign key: rows of stripe_refunds are kept by a trigger, which says so itself
    refund_id text PRIMARY KEY,
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency billing.currency_code NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'intended', 'settled')),
    method text CHECK (method IN ('balance', 'card', 'elsewhere')),
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    author text CHECK (author ~ '\S'),
    reason text CHECK (reason ~ '\S'),
    stripe_id text UNIQUE,
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    CONSTRAINT decided_by_somebody CHECK (
        (state = 'open') = (method IS NULL) AND (method IS NULL) = (author IS NULL) AND (method IS NULL) = (reason IS NULL)
    ),
    CONSTRAINT settled_where_it_says CHECK (
        (state = 'settled') = (settled_at IS NOT NULL)
        AND (stripe_id IS NOT NULL) = (state = 'settled' AND method IN ('balance', 'card'))
    )
);
CREATE INDEX failed_refunds_invoice ON billing.failed_refunds (invoice_id);
COMMENT ON TABLE billing.failed_refunds IS 'One row a refund that failed or was canceled at Stripe, and how the customer got the money after all';
COMMENT ON COLUMN billing.failed_refunds.refund_id IS 'The refund (re_…)';
COMMENT ON COLUMN billing.failed_refunds.invoice_id IS 'The invoice whose payment was to go back';
COMMENT ON COLUMN billing.failed_refunds.amount_minor IS 'What the customer did not get, in minor units';
COMMENT ON COLUMN billing.failed_refunds.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.failed_refunds.state IS 'open: a person decides; intended: decided, without a definite answer from Stripe; settled';
COMMENT ON COLUMN billing.failed_refunds.method IS 'balance: the customer''s balance at Stripe; card: another refund; elsewhere: paid outside Stripe, the reason says how';
COMMENT ON COLUMN billing.failed_refunds.attempt IS 'Part of the idempotency key; rises when Stripe refused one';
COMMENT ON COLUMN billing.failed_refunds.author IS 'Who decided';
COMMENT ON COLUMN billing.failed_refunds.reason IS 'Why, in the author''s words';
COMMENT ON COLUMN billing.failed_refunds.stripe_id IS 'The balance transaction (cbtxn_…) or the other refund (re_…)';
COMMENT ON COLUMN billing.failed_refunds.noticed_at IS 'When it was first known here';
COMMENT ON COLUMN billing.failed_refunds.settled_at IS 'When it was settled';

CREATE FUNCTION billing.check_failed_refund() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (new.refund_id, new.invoice_id, new.amount_minor, new.currency, new.noticed_at)
        IS DISTINCT FROM (old.refund_id, old.invoice_id, old.amount_minor, old.currency, old.noticed_at)
    THEN
        RAISE EXCEPTION 'refund %: what failed does not change', old.refund_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF old.state = 'settled' THEN
        RAISE EXCEPTION 'refund % is settled', old.refund_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.state = old.state AND to_jsonb(new) IS DISTINCT FROM to_jsonb(old) THEN
        RAISE EXCEPTION 'refund %: a decision is changed only when Stripe has refused it', old.refund_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF old.state = 'intended' AND new.state = 'settled' AND new.method <> old.method THEN
        RAISE EXCEPTION 'refund %: decided was %', old.refund_id, old.method USING ERRCODE = 'restrict_violation';
    END IF;
    IF (old.state, new.state, new.method) = ('open', 'settled', 'balance')
        OR (old.state, new.state, new.method) = ('open', 'settled', 'card')
    THEN
        RAISE EXCEPTION 'refund %: Stripe is asked for what is intended', old.refund_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.attempt <> old.attempt + (old.state = 'intended' AND new.state = 'open')::integer THEN
        RAISE EXCEPTION 'refund %: an attempt ends when Stripe has refused it', old.refund_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_failed_refund IS 'Trigger: a failed refund is settled once, as it was decided, and counts its attempts';
CREATE TRIGGER failed_refunds_change BEFORE UPDATE ON billing.failed_refunds
FOR EACH ROW EXECUTE FUNCTION billing.check_failed_refund();
CREATE TRIGGER failed_refunds_keep BEFORE DELETE OR TRUNCATE ON billing.failed_refunds
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a refund that failed is kept');

CREATE FUNCTION billing.note_failed_refund() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.failed_refunds (refund_id, invoice_id, amount_minor, currency)
    VALUES (new.refund_id, new.invoice_id, new.amount_minor, new.currency)
    ON CONFLICT (refund_id) DO NOTHING;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.note_failed_refund IS 'Trigger: whoever learns that a refund failed, it waits for a person from then on';
CREATE TRIGGER stripe_refunds_failed AFTER INSERT OR UPDATE ON billing.stripe_refunds
FOR EACH ROW WHEN (new.status IN ('failed', 'canceled')) EXECUTE FUNCTION billing.note_failed_refund();

INSERT INTO billing.failed_refunds (refund_id, invoice_id, amount_minor, currency)
SELECT refund_id, invoice_id, amount_minor, currency FROM billing.stripe_refunds WHERE status IN ('failed', 'canceled');
