-- A void invoice's period that is left unbilled on purpose.

CREATE OR REPLACE FUNCTION billing.check_unbilled_period() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'UPDATE' AND ((to_jsonb(new) - '{lifted_by,lifted_at}'::text[])
        IS DISTINCT FROM (to_jsonb(old) - '{lifted_by,lifted_at}'::text[]) OR old.lifted_at IS NOT NULL)
    THEN
        RAISE EXCEPTION 'a decision not to bill is lifted once, otherwise it stands' USING ERRCODE = 'restrict_violation';
    END IF;
    IF tg_op = 'INSERT' THEN
        PERFORM billing.lock_month('invoices', i.billing_month) FROM billing.invoices AS i WHERE i.invoice_id = new.invoice_id;
        IF NOT EXISTS (
            SELECT FROM billing.invoices AS i
            WHERE i.invoice_id = new.invoice_id AND i.period_id = new.period_id AND i.supplement_no = 0 AND i.status <> 'draft'
        ) THEN
            RAISE EXCEPTION 'invoice % is not the period''s own final one: what a supplementary one carried waits for the next',
                new.invoice_id USING ERRCODE = 'restrict_violation';
        END IF;
        IF EXISTS (
            SELECT FROM billing.invoices AS i
            WHERE i.period_id = new.period_id AND i.supplement_no = 0 AND i.status <> 'void' AND i.invoice_id <> new.invoice_id
        ) THEN
            RAISE EXCEPTION 'the period of invoice % is billed again already', new.invoice_id
                USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_unbilled_period IS 'Trigger: a period is left unbilled by its final invoice, while no other one of it stands; the decision is only lifted';

CREATE OR REPLACE FUNCTION billing.refuse_unbilled_periods() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM changed_rows AS c JOIN billing.unbilled_periods AS u USING (period_id)
        WHERE u.lifted_at IS NULL AND c.supplement_no = 0
    ) THEN
        RAISE EXCEPTION 'a period that is left unbilled gets no invoice' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.refuse_unbilled_periods IS 'Trigger: no draft of a period that somebody decided not to bill again';

CREATE OR REPLACE FUNCTION billing.await_decision_on_void() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.unbilled_periods (period_id, invoice_id, author, reason, decided)
    SELECT i.period_id, i.invoice_id, 'Stripe', new.reason, FALSE
    FROM billing.invoices AS i
    WHERE i.invoice_id = new.invoice_id AND i.supplement_no = 0
    ON CONFLICT (period_id) WHERE lifted_at IS NULL DO NOTHING;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.await_decision_on_void IS 'Trigger: a void that we did not ask for opens nothing; its period stays unbilled until a person decides';
