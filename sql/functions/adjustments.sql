-- One-off amounts: frozen, on one live invoice, or revoked.

CREATE OR REPLACE FUNCTION billing.check_adjustment_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(new) - 'guard') IS DISTINCT FROM (to_jsonb(old) - 'guard') OR new.guard < old.guard THEN
        RAISE EXCEPTION 'adjustment % is frozen; another one takes it back', old.adjustment_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_adjustment_change IS 'Trigger: of an adjustment only its guard moves';

CREATE OR REPLACE FUNCTION billing.check_invoice_adjustments() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    over record;
BEGIN
    INSERT INTO billing.asset_months AS m (asset, billing_month, version)
    SELECT 'invoices', billing_month, 1 FROM changed_rows GROUP BY billing_month ORDER BY billing_month
    ON CONFLICT (asset, billing_month) DO UPDATE SET version = m.version + 1;
    IF EXISTS (SELECT FROM changed_rows AS c JOIN billing.invoices AS i USING (invoice_id)) THEN
        RAISE EXCEPTION 'lines of an existing invoice are not changed; a draft is dropped first'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF tg_op = 'DELETE' THEN
        RETURN NULL;
    END IF;
    UPDATE billing.adjustments SET guard = guard + 1 WHERE adjustment_id IN (SELECT c.adjustment_id FROM changed_rows AS c);
    SELECT a.adjustment_id, a.amount_minor, sum(u.amount_minor) AS used INTO over
    FROM billing.adjustments AS a
    JOIN billing.invoice_adjustments AS u USING (adjustment_id)
    LEFT JOIN billing.invoices AS i ON i.invoice_id = u.invoice_id
    WHERE a.adjustment_id IN (SELECT c.adjustment_id FROM changed_rows AS c) AND i.status IS DISTINCT FROM 'void'
    GROUP BY a.adjustment_id
    HAVING abs(sum(u.amount_minor)) > abs(a.amount_minor)
        OR bool_or(sign(u.amount_minor) <> sign(a.amount_minor))
        OR (a.amount_minor > 0 AND sum(u.amount_minor) <> a.amount_minor)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'adjustment % over % is on invoices with %', over.adjustment_id, over.amount_minor, over.used
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_invoice_adjustments IS 'Trigger: an adjustment is on one live invoice, a credit on as many as it takes, never with more than its amount; and it joins no invoice that exists';

CREATE OR REPLACE FUNCTION billing.check_adjustment_revocation() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    taken text;
BEGIN
    -- whoever puts it on an invoice raises the guard too: of two at once the second sees the first
    UPDATE billing.adjustments SET guard = guard + 1 WHERE adjustment_id = new.adjustment_id;
    IF EXISTS (SELECT FROM billing.dispute_decisions AS e WHERE e.adjustment_id = new.adjustment_id) THEN
        RAISE EXCEPTION 'adjustment % collects a lost dispute again: another one takes it back', new.adjustment_id
            USING ERRCODE = 'restrict_violation';
    END IF;
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

CREATE OR REPLACE FUNCTION billing.refuse_revoked_adjustments() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.is_passed_over(customer text, invoice uuid, month date, revision integer, oldest date)
RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT month < oldest
    OR billing.is_draft_held(customer, invoice, month)
    OR (revision = 0 AND EXISTS (
        SELECT FROM billing.invoices AS i
        WHERE i.customer_id = customer AND i.billing_month > month AND i.supplement_no = 0 AND billing.is_final(i.status)
    ));
$$;
COMMENT ON FUNCTION billing.is_passed_over IS 'Whether no run charges this draft by itself: its month is before the oldest that is charged, it is on hold, or a later month of the customer is final and it replaces no void invoice';
