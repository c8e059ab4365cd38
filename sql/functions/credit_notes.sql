-- What may be credited, and how a credit note moves.

CREATE OR REPLACE FUNCTION billing.check_credit_note_lines(checked uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT n.number, n.amount_minor, sum(l.amount_minor) AS total INTO wrong
    FROM billing.credit_notes AS n LEFT JOIN billing.credit_note_lines AS l USING (credit_note_id)
    WHERE n.credit_note_id = checked
    GROUP BY n.credit_note_id
    HAVING (n.amount_minor, n.line_count) IS DISTINCT FROM (sum(l.amount_minor), count(l.line_no));
    IF FOUND THEN
        RAISE EXCEPTION 'credit note %: amount % is not the sum of its lines %', wrong.number, wrong.amount_minor, wrong.total
            USING ERRCODE = 'check_violation';
    END IF;
END;
$$;
COMMENT ON FUNCTION billing.check_credit_note_lines IS 'Refuses a credit note whose amount and count are not those of its lines';

CREATE OR REPLACE FUNCTION billing.check_credit_note_line() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.check_credit_note_lines(new.credit_note_id);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_credit_note_line IS 'Trigger at commit: no line joins a credit note that adds up without it';

CREATE OR REPLACE FUNCTION billing.check_new_credit_note() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    credited text;
    over record;
BEGIN
    IF new.state <> 'intended' OR new.attempt <> 1 OR new.stripe_credit_note_id IS NOT NULL THEN
        RAISE EXCEPTION 'a credit note starts as an intent' USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT status INTO credited FROM billing.invoices WHERE invoice_id = new.invoice_id FOR SHARE;
    IF credited IS NULL OR credited NOT IN ('open', 'paid', 'uncollectible') THEN
        RAISE EXCEPTION 'invoice % is % and is not credited', new.invoice_id, coalesce(credited, 'unknown')
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (credited = 'paid' AND new.reduction_minor > 0) OR (credited <> 'paid' AND new.refund_minor + new.elsewhere_minor > 0) THEN
        RAISE EXCEPTION 'invoice % is %: what is paid is refunded or goes to the balance, what is not paid is reduced',
            new.invoice_id, credited USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO billing.invoice_credits AS c (invoice_id, total_minor, paid_minor, credited_minor, refunded_minor)
    VALUES (new.invoice_id, new.invoice_total_minor, new.paid_minor, new.amount_minor, new.refund_minor)
    ON CONFLICT (invoice_id) DO UPDATE SET
        paid_minor = greatest(c.paid_minor, excluded.paid_minor),
        credited_minor = c.credited_minor + excluded.credited_minor,
        refunded_minor = c.refunded_minor + excluded.refunded_minor;
    PERFORM billing.check_credit_note_lines(new.credit_note_id);
    SELECT i.line_no, i.amount_minor, sum(l.amount_minor) AS credited INTO over
    FROM billing.credit_note_lines AS l
    JOIN billing.credit_notes AS n USING (credit_note_id)
    JOIN billing.invoice_line_items AS i ON (i.invoice_id, i.line_no) = (l.invoice_id, l.invoice_line_no)
    WHERE l.invoice_id = new.invoice_id AND n.state <> 'refused'
    GROUP BY i.line_no, i.amount_minor
    HAVING sum(l.amount_minor) > i.amount_minor
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice %: line % over % is not credited with %',
            new.invoice_id, over.line_no, over.amount_minor, over.credited USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_new_credit_note IS 'Trigger: a credit note credits a final invoice by what its lines add up to; all together never more than was invoiced, than a line holds or, refunded, than was paid';

CREATE OR REPLACE FUNCTION billing.check_credit_note_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{state,reason_code,state_reason,attempt,stripe_credit_note_id,outcome_unknown_since,updated_at,number,previous_number,request_sha256}';
BEGIN
    IF (to_jsonb(new) - moving) IS DISTINCT FROM (to_jsonb(old) - moving) THEN
        RAISE EXCEPTION 'credit note % is frozen', old.number USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.stripe_credit_note_id IS DISTINCT FROM coalesce(old.stripe_credit_note_id, new.stripe_credit_note_id) THEN
        RAISE EXCEPTION 'credit note %: its id at Stripe is set once', old.number USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.attempt NOT IN (old.attempt, old.attempt + 1) THEN
        RAISE EXCEPTION 'credit note %: attempts are counted one by one', old.number USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.state <> old.state AND (old.state, new.state) NOT IN (
        ('intended', 'issued'), ('intended', 'refused'), ('intended', 'parked'),
        ('parked', 'intended'), ('parked', 'issued'), ('parked', 'refused')
    ) THEN
        RAISE EXCEPTION 'credit note %: state does not go from % to %', old.number, old.state, new.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.state = 'refused' AND new.stripe_credit_note_id IS NOT NULL THEN
        RAISE EXCEPTION 'credit note % exists at Stripe and is not refused', old.number USING ERRCODE = 'restrict_violation';
    END IF;
    new.updated_at = clock_timestamp();
    IF new.state <> old.state AND new.state = 'refused' THEN
        UPDATE billing.invoice_credits SET
            credited_minor = credited_minor - new.amount_minor,
            refunded_minor = refunded_minor - new.refund_minor
        WHERE invoice_id = new.invoice_id;
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_credit_note_change IS 'Trigger: of a credit note only what is known of it at Stripe moves; one that was refused no longer counts';

CREATE OR REPLACE FUNCTION billing.check_invoice_credits() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    notes record;
    totals record;
BEGIN
    SELECT credited_minor, refunded_minor, total_minor INTO totals
    FROM billing.invoice_credits WHERE invoice_id = new.invoice_id;
    SELECT coalesce(sum(n.amount_minor), 0) AS credited, coalesce(sum(n.refund_minor), 0) AS refunded INTO notes
    FROM billing.credit_notes AS n WHERE n.invoice_id = new.invoice_id AND n.state <> 'refused';
    IF (totals.credited_minor, totals.refunded_minor) IS DISTINCT FROM (notes.credited, notes.refunded)
        OR totals.total_minor <> (SELECT i.due_minor FROM billing.invoices AS i WHERE i.invoice_id = new.invoice_id)
    THEN
        RAISE EXCEPTION 'the totals of invoice % are not those of its credit notes', new.invoice_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_invoice_credits IS 'Trigger at commit: running totals are what the credit notes say, whoever wrote them';

CREATE OR REPLACE FUNCTION billing.check_credit_note_numbering() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT n.last_number FROM billing.credit_note_numbering AS n)
        <> (SELECT coalesce(max(c.credit_note_number), 0) FROM billing.credit_notes AS c)
    THEN
        RAISE EXCEPTION 'the last credit note number is that of the last credit note' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_credit_note_numbering IS 'Trigger at commit: numbers are given out to credit notes, and to nothing else';
