-- Money that a bank took back for good.

CREATE OR REPLACE FUNCTION billing.check_dispute_decision() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    dispute record;
BEGIN
    -- waits for an event that is being applied to it
    SELECT d.status, d.taken_back_minor, d.currency, d.invoice_id, i.customer_id INTO dispute
    FROM billing.stripe_disputes AS d INNER JOIN billing.invoices AS i ON d.invoice_id = i.invoice_id
    WHERE d.dispute_id = new.dispute_id
    FOR SHARE OF d;
    IF dispute.status IS DISTINCT FROM 'lost' THEN
        RAISE EXCEPTION 'dispute % is not lost: there is nothing to decide', new.dispute_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (dispute.taken_back_minor, dispute.currency, dispute.invoice_id, dispute.customer_id)
        IS DISTINCT FROM (new.amount_minor, new.currency, new.invoice_id, new.customer_id)
    THEN
        RAISE EXCEPTION 'dispute %: decided is about what the bank took back, % of customer %',
            new.dispute_id, dispute.taken_back_minor, dispute.customer_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.adjustment_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM billing.adjustments AS a
        WHERE a.adjustment_id = new.adjustment_id AND a.amount_minor = new.amount_minor
    ) THEN
        RAISE EXCEPTION 'dispute %: collected again is what the bank took back', new.dispute_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_dispute_decision IS 'Trigger: decided is about a dispute that is lost, and about all that the bank took back';
