-- An adjustment that is on no invoice yet may be revoked, and a void invoice's period may be left unbilled, on purpose.

CREATE TABLE billing.adjustment_revocations (
    adjustment_id uuid PRIMARY KEY REFERENCES billing.adjustments (adjustment_id),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.adjustment_revocations IS 'One row an adjustment that was revoked before any invoice had it: no invoice takes it any more';
COMMENT ON COLUMN billing.adjustment_revocations.adjustment_id IS 'The adjustment';
COMMENT ON COLUMN billing.adjustment_revocations.author IS 'Who revoked it';
COMMENT ON COLUMN billing.adjustment_revocations.reason IS 'Why';
COMMENT ON COLUMN billing.adjustment_revocations.revoked_at IS 'When';

CREATE FUNCTION billing.check_adjustment_revocation() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    taken text;
BEGIN
    -- whoever puts it on an invoice raises the guard too: of two at once the second sees the first
    UPDATE billing.adjustments SET guard = guard + 1 WHERE adjustment_id = new.adjustment_id;
    SELECT coalesce(i.number, 'the draft of ' || to_char(u.billing_month, 'YYYY-MM')) INTO taken
    FROM billing.invoice_adjustments AS u LEFT JOIN billing.invoices AS i ON i.invoice_id = u.invoice_id
    WHERE u.adjustment_id = new.adjustment_id AND i.status IS DISTINCT FROM 'void'
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'adjustment % is on %: another one takes it back', new.adjustment_id, taken
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_adjustment_revocation IS 'Trigger: an adjustment is revoked only while no live invoice has any of it';
CREATE TRIGGER adjustment_revocations_inserted AFTER INSERT ON billing.adjustment_revocations
FOR EACH ROW EXECUTE FUNCTION billing.check_adjustment_revocation();
CREATE TRIGGER adjustment_revocations_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.adjustment_revocations
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a revocation is final; another adjustment may be made');

CREATE FUNCTION billing.refuse_revoked_adjustments() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    revoked uuid;
BEGIN
    SELECT r.adjustment_id INTO revoked
    FROM billing.adjustment_revocations AS r JOIN changed_rows AS c USING (adjustment_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'adjustment % is revoked', revoked USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.refuse_revoked_adjustments IS 'Trigger: no invoice takes a revoked adjustment. Fires after the guards are raised, by the order of the names';
CREATE TRIGGER invoice_adjustments_not_revoked AFTER INSERT ON billing.invoice_adjustments
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_revoked_adjustments();

CREATE TABLE billing.unbilled_periods (
    unbilled_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period_id uuid NOT NULL REFERENCES billing.billing_periods (period_id),
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_by text CHECK (lifted_by ~ '\S'),
    lifted_at timestamptz,
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
);
CREATE UNIQUE INDEX unbilled_periods_one ON billing.unbilled_periods (period_id) WHERE lifted_at IS NULL;
COMMENT ON TABLE billing.unbilled_periods IS 'One row a decision not to bill a period again whose invoice is voided';
COMMENT ON COLUMN billing.unbilled_periods.unbilled_id IS 'Number of the decision';
COMMENT ON COLUMN billing.unbilled_periods.period_id IS 'The period; no draft of it while the decision stands';
COMMENT ON COLUMN billing.unbilled_periods.invoice_id IS 'The invoice that is voided without another one';
COMMENT ON COLUMN billing.unbilled_periods.author IS 'Who decided';
COMMENT ON COLUMN billing.unbilled_periods.reason IS 'Why';
COMMENT ON COLUMN billing.unbilled_periods.decided_at IS 'When';
COMMENT ON COLUMN billing.unbilled_periods.lifted_by IS 'Who decided otherwise later; null: it stands';
COMMENT ON COLUMN billing.unbilled_periods.lifted_at IS 'When';

CREATE FUNCTION billing.check_unbilled_period() RETURNS trigger
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
CREATE TRIGGER unbilled_periods_change BEFORE INSERT OR UPDATE ON billing.unbilled_periods
FOR EACH ROW EXECUTE FUNCTION billing.check_unbilled_period();
CREATE TRIGGER unbilled_periods_keep BEFORE DELETE OR TRUNCATE ON billing.unbilled_periods
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a decision not to bill is kept');

CREATE FUNCTION billing.refuse_unbilled_periods() RETURNS trigger
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
CREATE TRIGGER invoices_not_unbilled AFTER INSERT ON billing.invoices
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_unbilled_periods();

CREATE OR REPLACE FUNCTION billing.invoice_coverage(month date)
RETURNS TABLE (customer_id text, invoice_id uuid, reason text)
LANGUAGE sql STABLE AS $$
SELECT
    c.customer_id,
    i.invoice_id,
    CASE
        WHEN i.invoice_id IS NOT NULL OR l.customer_id IS NOT NULL THEN NULL
        WHEN w.customer_id IS NOT NULL THEN 'voided and not billed again'
        WHEN c.status = 'inactive' THEN 'inactive'
        WHEN p.customer_id IS NULL AND c.cycle_anchor >= (month + interval '1 month')::date THEN 'before the first billed day'
        WHEN p.customer_id IS NULL AND clock_timestamp() < (month + interval '1 month') AT TIME ZONE c.timezone
            THEN 'the period has not ended'
        WHEN p.customer_id IS NULL AND c.billing_cycle <> 'calendar_month' THEN 'no period ends in the month'
        WHEN q.customer_id IS NOT NULL AND s.customer_id IS NULL THEN 'all usage is in quarantine'
        WHEN p.customer_id IS NOT NULL AND s.customer_id IS NULL THEN 'no usage'
        WHEN p.customer_id IS NOT NULL AND q.customer_id IS NOT NULL THEN 'all usage is in quarantine'
    END
FROM billing.customers AS c
LEFT JOIN billing.invoices AS i ON i.customer_id = c.customer_id AND i.billing_month = month AND i.status <> 'void'
LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.billing_periods AS t WHERE t.billing_month = month) AS p
    ON p.customer_id = c.customer_id
LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.usage_snapshots AS t WHERE t.billing_month = month) AS s
    ON s.customer_id = c.customer_id
LEFT JOIN (
    SELECT DISTINCT t.customer_id FROM billing.invoice_line_items AS t
    WHERE t.billing_month = month
        AND NOT EXISTS (SELECT FROM billing.invoices AS v WHERE v.invoice_id = t.invoice_id AND v.status = 'void')
) AS l ON l.customer_id = c.customer_id
LEFT JOIN (SELECT DISTINCT t.customer_id FROM billing.usage_quarantine AS t WHERE t.billing_month = month) AS q
    ON q.customer_id = c.customer_id
LEFT JOIN (
    SELECT DISTINCT t.customer_id
    FROM billing.unbilled_periods AS u JOIN billing.billing_periods AS t USING (period_id)
    WHERE t.billing_month = month AND u.lifted_at IS NULL
) AS w ON w.customer_id = c.customer_id;
$$;
