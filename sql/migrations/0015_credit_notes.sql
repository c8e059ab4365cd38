-- Credit notes: what takes back a part of a final invoice, and what is known of it at Stripe. corrections/rules/crediting.py
-- names the same states. And refunds that Stripe could not carry out, often days after they succeeded: the money is back in
-- the account and not with the customer, so each waits for a person. https://docs.stripe.com/refunds#failed-refunds

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
COMMENT ON COLUMN billing.invoice_credits.total_minor IS 'What Stripe was asked for: the invoice''s total less prepaid credits, in minor units';
COMMENT ON COLUMN billing.invoice_credits.paid_minor IS 'The most that Stripe has reported as paid, in minor units';
COMMENT ON COLUMN billing.invoice_credits.credited_minor IS 'Sum of the credit notes that Stripe has not refused';
COMMENT ON COLUMN billing.invoice_credits.refunded_minor IS 'Part of it that goes back to the card';
CREATE TRIGGER invoice_credits_keep BEFORE DELETE OR TRUNCATE ON billing.invoice_credits
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the totals of credit notes are kept');
CREATE CONSTRAINT TRIGGER invoice_credits_are_the_notes AFTER INSERT OR UPDATE ON billing.invoice_credits
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.check_invoice_credits();

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
    elsewhere_minor bigint NOT NULL DEFAULT 0 CHECK (elsewhere_minor >= 0),
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
    settlement_id bigint REFERENCES billing.settlements (settlement_id),
    CONSTRAINT every_minor_unit_goes_somewhere CHECK (
        reduction_minor + refund_minor + balance_minor + elsewhere_minor = amount_minor
    ),
    CHECK ((state = 'issued') <= (stripe_credit_note_id IS NOT NULL)),
    CHECK ((state IN ('refused', 'parked')) <= (reason_code IS NOT NULL)),
    UNIQUE (credit_note_id, invoice_id),
    FOREIGN KEY (invoice_id, customer_id, billing_month, invoice_total_minor, currency)
    REFERENCES billing.invoices (invoice_id, customer_id, billing_month, due_minor, currency)
);
CREATE INDEX credit_notes_invoice ON billing.credit_notes (invoice_id);
CREATE INDEX credit_notes_to_send ON billing.credit_notes (credit_note_number) WHERE state = 'intended';
CREATE INDEX credit_notes_settlement ON billing.credit_notes (settlement_id);
COMMENT ON TABLE billing.credit_notes IS 'One row a credit note: a part of a final invoice taken back. Frozen from the start; only what is known of it at Stripe moves';
COMMENT ON COLUMN billing.credit_notes.credit_note_id IS 'Derived from what it credits and why; metadata.credit_note_id at Stripe';
COMMENT ON COLUMN billing.credit_notes.invoice_id IS 'The invoice that it credits';
COMMENT ON COLUMN billing.credit_notes.customer_id IS 'The invoice''s customer, by foreign key';
COMMENT ON COLUMN billing.credit_notes.billing_month IS 'The invoice''s month, by foreign key';
COMMENT ON COLUMN billing.credit_notes.invoice_total_minor IS 'What Stripe was asked for of the invoice, by foreign key';
COMMENT ON COLUMN billing.credit_notes.currency IS 'The invoice''s currency, by foreign key';
COMMENT ON COLUMN billing.credit_notes.amount_minor IS 'Sum of the lines, in minor units, tax-neutral; taken off, so above zero';
COMMENT ON COLUMN billing.credit_notes.line_count IS 'Number of lines';
COMMENT ON COLUMN billing.credit_notes.reduction_minor IS 'Part that lowers what is still to be paid (Stripe''s pre_payment_amount)';
COMMENT ON COLUMN billing.credit_notes.refund_minor IS 'Part that goes back to the card';
COMMENT ON COLUMN billing.credit_notes.balance_minor IS 'Part that goes to the customer''s balance, which Stripe applies to the next invoice';
COMMENT ON COLUMN billing.credit_notes.elsewhere_minor IS 'Part that the customer gets back outside Stripe (out_of_band_amount there); the reason says how';
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
COMMENT ON COLUMN billing.credit_notes.settlement_id IS 'The settlement that it carries out, if one';
CREATE TRIGGER credit_notes_inserted AFTER INSERT ON billing.credit_notes
FOR EACH ROW EXECUTE FUNCTION billing.check_new_credit_note();
CREATE TRIGGER credit_notes_change BEFORE UPDATE ON billing.credit_notes
FOR EACH ROW EXECUTE FUNCTION billing.check_credit_note_change();
CREATE TRIGGER credit_notes_keep BEFORE DELETE OR TRUNCATE ON billing.credit_notes
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('credit notes are kept');
CREATE TRIGGER credit_notes_settle AFTER INSERT ON billing.credit_notes
FOR EACH ROW WHEN (new.settlement_id IS NOT NULL) EXECUTE FUNCTION billing.check_settling_document();
CREATE CONSTRAINT TRIGGER credit_notes_settled AFTER INSERT ON billing.credit_notes
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.settlement_id IS NOT NULL)
EXECUTE FUNCTION billing.check_settled_at_commit();

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
CREATE CONSTRAINT TRIGGER credit_note_lines_add_up AFTER INSERT ON billing.credit_note_lines
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.check_credit_note_line();

CREATE TABLE billing.credit_note_numbering (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    last_number bigint NOT NULL CHECK (last_number >= 0)
);
COMMENT ON TABLE billing.credit_note_numbering IS 'The last credit note number given out; whoever issues locks the row, so numbers have no gaps';
COMMENT ON COLUMN billing.credit_note_numbering.only_row IS 'There is one row';
COMMENT ON COLUMN billing.credit_note_numbering.last_number IS 'Number of the credit note issued last';
INSERT INTO billing.credit_note_numbering (last_number) VALUES (0);
CREATE CONSTRAINT TRIGGER credit_note_numbering_fits AFTER UPDATE ON billing.credit_note_numbering
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.check_credit_note_numbering();
CREATE TRIGGER credit_note_numbering_keep BEFORE DELETE OR TRUNCATE ON billing.credit_note_numbering
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('credit note numbers go on');

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
CREATE TRIGGER failed_refunds_change BEFORE UPDATE ON billing.failed_refunds
FOR EACH ROW EXECUTE FUNCTION billing.check_failed_refund();
CREATE TRIGGER failed_refunds_keep BEFORE DELETE OR TRUNCATE ON billing.failed_refunds
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a refund that failed is kept');

CREATE TRIGGER stripe_refunds_failed AFTER INSERT OR UPDATE ON billing.stripe_refunds
FOR EACH ROW WHEN (new.status IN ('failed', 'canceled')) EXECUTE FUNCTION billing.note_failed_refund();
