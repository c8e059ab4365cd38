-- Refunds that Stripe could not carry out.

CREATE OR REPLACE FUNCTION billing.check_failed_refund() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.note_failed_refund() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.failed_refunds (refund_id, invoice_id, amount_minor, currency)
    VALUES (new.refund_id, new.invoice_id, new.amount_minor, new.currency)
    ON CONFLICT (refund_id) DO NOTHING;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.note_failed_refund IS 'Trigger: whoever learns that a refund failed, it waits for a person from then on';
