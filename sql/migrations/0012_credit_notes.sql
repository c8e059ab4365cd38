-- Credit notes: what takes back a part of a final invoice, and what is known of it at Stripe. core/crediting.py names the
-- same states.

CREATE TABLE billing.invoice_credits (
    invoice_id uuid PRIMARY KEY REFERENCES billing.invoices (invoice_id),
    total_minor bigint NOT NULL,
    paid_minor bigint NOT NULL,
    credited_minor bigint NOT NULL CHECK (credited_minor >= 0),
    refunded_minor bigint NOT NULL CHECK (refunded_minor >= 0),
    CONSTRAINT never_credited_more_than_invoiced CHECK (credited_minor <= total_minor),
    CONSTRAINT never_refunded_more_than_paid CHECK (refunded_minor <= paid_minor)
);
COMMENT ON TABLE billing.invoice_credits IS 'One row an invoice with a credit note: running totals, kept by triggers. Whoever credits an invoice updates its row, so of two at once the second sees the first';
COMMENT ON COLUMN billing.invoice_credits.invoice_id IS 'The invoice';
COMMENT ON COLUMN billing.invoice_credits.total_minor IS 'What was invoiced, in minor units';
COMMENT ON COLUMN billing.invoice_credits.paid_minor IS 'The most that Stripe has reported as paid, in minor units';
COMMENT ON COLUMN billing.invoice_credits.credited_minor IS 'Sum of the credit notes that Stripe has not refused';
COMMENT ON COLUMN billing.invoice_credits.refunded_minor IS 'Part of it that goes back to the card';
CREATE TRIGGER invoice_credits_keep BEFORE DELETE OR TRUNCATE ON billing.invoice_credits
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the totals of credit notes are kept');

CREATE TABLE billing.credit_notes (
    credit_note_id uuid PRIMARY KEY,
    invoice_id uuid NOT NULL,
    customer_id billing.platform_key NOT NULL,
    billing_month billing.month_start NOT NULL,
    invoice_total_minor bigint NOT NULL,
    currency billing.currency_code NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    line_count integer NOT NULL CHECK (line_count > 0),
    reduction_minor bigint NOT NULL CHECK (reduction_minor >= 0),
    refund_minor bigint NOT NULL CHECK (refund_minor >= 0),
    balance_minor bigint NOT NULL CHECK (balance_minor >= 0),
    paid_minor bigint NOT NULL CHECK (paid_minor BETWEEN 0 AND invoice_total_minor),
    credit_note_number bigint NOT NULL UNIQUE CHECK (credit_note_number > 0),
    previous_number bigint GENERATED ALWAYS AS (nullif(credit_note_number - 1, 0)) STORED
    REFERENCES billing.credit_notes (credit_note_number),
    -- lpad alone cuts longer numbers off, and two notes would share one
    number text UNIQUE GENERATED ALWAYS AS (
        'CN-' || lpad(credit_note_number::text, greatest(8, length(credit_note_number::text)), '0')
    ) STORED,
    reason text NOT NULL CHECK (reason <> ''),
    author text NOT NULL CHECK (author <> ''),
    request_body bytea NOT NULL,
    request_sha256 bytea NOT NULL GENERATED ALWAYS AS (sha256(request_body)) STORED,
    state text NOT NULL DEFAULT 'intended' CHECK (state IN ('intended', 'issued', 'refused', 'parked')),
    reason_code text,
    state_reason text,
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    stripe_credit_note_id text UNIQUE,
    outcome_unknown_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT every_minor_unit_goes_somewhere CHECK (reduction_minor + refund_minor + balance_minor = amount_minor),
    CHECK ((state = 'issued') <= (stripe_credit_note_id IS NOT NULL)),
    CHECK ((state IN ('refused', 'parked')) <= (reason_code IS NOT NULL)),
    UNIQUE (credit_note_id, invoice_id),
    FOREIGN KEY (invoice_id, customer_id, billing_month, invoice_total_minor, currency)
    REFERENCES billing.invoices (invoice_id, customer_id, billing_month, total_minor, currency)
);
CREATE INDEX credit_notes_invoice ON billing.credit_notes (invoice_id);
CREATE INDEX credit_notes_to_send ON billing.credit_notes (credit_note_number) WHERE state = 'intended';
COMMENT ON TABLE billing.credit_notes IS 'One row a credit note: a part of a final invoice taken back. Frozen from the start; only what is known of it at Stripe moves';
COMMENT ON COLUMN billing.credit_notes.credit_note_id IS 'Derived from what it credits and why; metadata.credit_note_id at Stripe';
COMMENT ON COLUMN billing.credit_notes.invoice_id IS 'The invoice that it credits';
COMMENT ON COLUMN billing.credit_notes.customer_id IS 'The invoice''s customer, by foreign key';
COMMENT ON COLUMN billing.credit_notes.billing_month IS 'The invoice''s month, by foreign key';
COMMENT ON COLUMN billing.credit_notes.invoice_total_minor IS 'The invoice''s total, by foreign key';
COMMENT ON COLUMN billing.credit_notes.currency IS 'The invoice''s currency, by foreign key';
COMMENT ON COLUMN billing.credit_notes.amount_minor IS 'Sum of the lines, in minor units, tax-neutral; taken off, so above zero';
COMMENT ON COLUMN billing.credit_notes.line_count IS 'Number of lines';
COMMENT ON COLUMN billing.credit_notes.reduction_minor IS 'Part that lowers what is still to be paid (Stripe''s pre_payment_amount)';
COMMENT ON COLUMN billing.credit_notes.refund_minor IS 'Part that goes back to the card';
COMMENT ON COLUMN billing.credit_notes.balance_minor IS 'Part that goes to the customer''s balance, which Stripe applies to the next invoice';
COMMENT ON COLUMN billing.credit_notes.paid_minor IS 'What had been paid of the invoice, as Stripe said just before';
COMMENT ON COLUMN billing.credit_notes.credit_note_number IS 'Without gaps, because each number needs the one before';
COMMENT ON COLUMN billing.credit_notes.previous_number IS 'The number before, which must exist';
COMMENT ON COLUMN billing.credit_notes.number IS 'The number as printed';
COMMENT ON COLUMN billing.credit_notes.reason IS 'Why, in the author''s words; the memo at Stripe';
COMMENT ON COLUMN billing.credit_notes.author IS 'Who issued it';
COMMENT ON COLUMN billing.credit_notes.request_body IS 'What Stripe is sent, as canonical JSON bytes';
COMMENT ON COLUMN billing.credit_notes.request_sha256 IS 'Digest of request_body';
COMMENT ON COLUMN billing.credit_notes.state IS 'intended; issued: exists at Stripe; refused: Stripe said no, it counts for nothing and keeps its number; parked: a person decides';
COMMENT ON COLUMN billing.credit_notes.reason_code IS 'Why it is refused or parked: a code of the closed error table';
COMMENT ON COLUMN billing.credit_notes.state_reason IS 'The same in words, with evidence';
COMMENT ON COLUMN billing.credit_notes.attempt IS 'Part of the idempotency key; rises when a key can give nothing else any more';
COMMENT ON COLUMN billing.credit_notes.stripe_credit_note_id IS 'Credit note at Stripe (cn_…); set once';
COMMENT ON COLUMN billing.credit_notes.outcome_unknown_since IS 'When a call was lost without an answer; null once Stripe was asked';
COMMENT ON COLUMN billing.credit_notes.created_at IS 'When it was issued by us';
COMMENT ON COLUMN billing.credit_notes.updated_at IS 'Last change';

CREATE TABLE billing.credit_note_lines (
    credit_note_id uuid NOT NULL,
    line_no integer NOT NULL CHECK (line_no > 0),
    invoice_id uuid NOT NULL,
    invoice_line_no integer,
    description text NOT NULL CHECK (description <> ''),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    PRIMARY KEY (credit_note_id, line_no),
    FOREIGN KEY (credit_note_id, invoice_id) REFERENCES billing.credit_notes (credit_note_id, invoice_id)
    DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (invoice_id, invoice_line_no) REFERENCES billing.invoice_line_items (invoice_id, line_no)
);
CREATE INDEX credit_note_lines_invoice ON billing.credit_note_lines (invoice_id, invoice_line_no);
COMMENT ON TABLE billing.credit_note_lines IS 'One row a line of a credit note';
COMMENT ON COLUMN billing.credit_note_lines.credit_note_id IS 'The credit note';
COMMENT ON COLUMN billing.credit_note_lines.line_no IS 'Place on it, from 1';
COMMENT ON COLUMN billing.credit_note_lines.invoice_id IS 'The invoice, the credit note''s by foreign key';
COMMENT ON COLUMN billing.credit_note_lines.invoice_line_no IS 'The line that it credits; null for an amount off the whole invoice';
COMMENT ON COLUMN billing.credit_note_lines.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.credit_note_lines.amount_minor IS 'Taken off, in minor units of the invoice''s currency';
CREATE TRIGGER credit_note_lines_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.credit_note_lines
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a credit note is frozen; another one goes beside it');

CREATE FUNCTION billing.check_credit_note_lines(checked uuid) RETURNS void
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

CREATE FUNCTION billing.check_credit_note_line() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.check_credit_note_lines(new.credit_note_id);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_credit_note_line IS 'Trigger at commit: no line joins a credit note that adds up without it';
CREATE CONSTRAINT TRIGGER credit_note_lines_add_up AFTER INSERT ON billing.credit_note_lines
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.check_credit_note_line();

CREATE FUNCTION billing.check_new_credit_note() RETURNS trigger
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
    IF (credited = 'paid' AND new.reduction_minor > 0) OR (credited <> 'paid' AND new.refund_minor > 0) THEN
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
CREATE TRIGGER credit_notes_inserted AFTER INSERT ON billing.credit_notes
FOR EACH ROW EXECUTE FUNCTION billing.check_new_credit_note();

CREATE FUNCTION billing.check_credit_note_change() RETURNS trigger
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
CREATE TRIGGER credit_notes_change BEFORE UPDATE ON billing.credit_notes
FOR EACH ROW EXECUTE FUNCTION billing.check_credit_note_change();
CREATE TRIGGER credit_notes_keep BEFORE DELETE OR TRUNCATE ON billing.credit_notes
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('credit notes are kept');

CREATE FUNCTION billing.check_invoice_credits() RETURNS trigger
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
        OR totals.total_minor <> (SELECT i.total_minor FROM billing.invoices AS i WHERE i.invoice_id = new.invoice_id)
    THEN
        RAISE EXCEPTION 'the totals of invoice % are not those of its credit notes', new.invoice_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_invoice_credits IS 'Trigger at commit: running totals are what the credit notes say, whoever wrote them';
CREATE CONSTRAINT TRIGGER invoice_credits_are_the_notes AFTER INSERT OR UPDATE ON billing.invoice_credits
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.check_invoice_credits();

CREATE TABLE billing.credit_note_numbering (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    last_number bigint NOT NULL CHECK (last_number >= 0)
);
COMMENT ON TABLE billing.credit_note_numbering IS 'The last credit note number given out; whoever issues locks the row, so numbers have no gaps';
COMMENT ON COLUMN billing.credit_note_numbering.only_row IS 'There is one row';
COMMENT ON COLUMN billing.credit_note_numbering.last_number IS 'Number of the credit note issued last';
INSERT INTO billing.credit_note_numbering (last_number) VALUES (0);
CREATE TRIGGER credit_note_numbering_keep BEFORE DELETE OR TRUNCATE ON billing.credit_note_numbering
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('credit note numbers go on');
