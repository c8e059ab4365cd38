-- Our books compared with Stripe's, and months that are closed: the proof that invoices, Stripe's invoices and payments
-- agree, and the refusal to change these records afterwards. What happens later (a refund, a late payment) is a record of
-- its own.

CREATE TABLE billing.stripe_reconciliations (
    reconciliation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    billing_month billing.month_start,
    window_start timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    charge_count bigint NOT NULL CHECK (charge_count >= 0),
    stripe_invoice_count bigint NOT NULL CHECK (stripe_invoice_count >= 0),
    stripe_payment_count bigint NOT NULL CHECK (stripe_payment_count >= 0),
    stripe_refund_count bigint NOT NULL CHECK (stripe_refund_count >= 0),
    stripe_credit_note_count bigint NOT NULL CHECK (stripe_credit_note_count >= 0),
    stripe_dispute_count bigint NOT NULL DEFAULT 0 CHECK (stripe_dispute_count >= 0),
    difference_count bigint NOT NULL CHECK (difference_count >= 0),
    run_id text NOT NULL
);
COMMENT ON TABLE billing.stripe_reconciliations IS 'One row a comparison of our books with Stripe''s; append-only';
COMMENT ON COLUMN billing.stripe_reconciliations.reconciliation_id IS 'Order of the comparisons';
COMMENT ON COLUMN billing.stripe_reconciliations.billing_month IS 'The month that was compared; null: every month that is not closed';
COMMENT ON COLUMN billing.stripe_reconciliations.window_start IS 'What Stripe made from here on was listed';
COMMENT ON COLUMN billing.stripe_reconciliations.finished_at IS 'When it was complete';
COMMENT ON COLUMN billing.stripe_reconciliations.charge_count IS 'Charges of ours that were compared';
COMMENT ON COLUMN billing.stripe_reconciliations.stripe_invoice_count IS 'Invoices that Stripe listed and that name one of ours';
COMMENT ON COLUMN billing.stripe_reconciliations.stripe_payment_count IS 'Payments of these';
COMMENT ON COLUMN billing.stripe_reconciliations.stripe_refund_count IS 'Refunds of these payments';
COMMENT ON COLUMN billing.stripe_reconciliations.stripe_credit_note_count IS 'Credit notes for these invoices';
COMMENT ON COLUMN billing.stripe_reconciliations.stripe_dispute_count IS 'Disputes of these payments';
COMMENT ON COLUMN billing.stripe_reconciliations.difference_count IS 'Rows in stripe_differences';
COMMENT ON COLUMN billing.stripe_reconciliations.run_id IS 'Run that compared';
CREATE TRIGGER stripe_reconciliations_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.stripe_reconciliations
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('comparisons are append-only, compare again');

CREATE TABLE billing.stripe_differences (
    reconciliation_id bigint NOT NULL REFERENCES billing.stripe_reconciliations (reconciliation_id),
    difference_no integer NOT NULL CHECK (difference_no > 0),
    object_type text NOT NULL CHECK (object_type IN ('invoice', 'payment', 'refund', 'credit_note', 'dispute')),
    kind text NOT NULL CHECK (
        kind IN ('missing_here', 'missing_at_stripe', 'amount_or_currency', 'status', 'duplicate', 'undecided')
    ),
    stripe_id text,
    invoice_id uuid,
    ours text,
    theirs text,
    proposed_action text NOT NULL CHECK (
        proposed_action IN (
            'charge_again', 'process_events', 'sweep_events', 'delete_draft', 'void_at_stripe', 'refund', 'look_at_it', 'decide'
        )
    ),
    PRIMARY KEY (reconciliation_id, difference_no),
    CHECK (stripe_id IS NOT NULL OR invoice_id IS NOT NULL),
    CHECK (ours IS NOT NULL OR theirs IS NOT NULL)
);
CREATE INDEX stripe_differences_invoice ON billing.stripe_differences (invoice_id);
COMMENT ON TABLE billing.stripe_differences IS 'One row a difference that a comparison found; append-only. The open ones are those of the newest comparison';
COMMENT ON COLUMN billing.stripe_differences.reconciliation_id IS 'The comparison';
COMMENT ON COLUMN billing.stripe_differences.difference_no IS 'Number within it';
COMMENT ON COLUMN billing.stripe_differences.object_type IS 'What differs: invoice, payment, refund, credit_note or dispute';
COMMENT ON COLUMN billing.stripe_differences.kind IS 'missing_here, missing_at_stripe, amount_or_currency, status or duplicate; undecided: a bank took money back for good and nobody has decided about it';
COMMENT ON COLUMN billing.stripe_differences.stripe_id IS 'The object at Stripe; null if there is none';
COMMENT ON COLUMN billing.stripe_differences.invoice_id IS 'The invoice of ours that it is about, by metadata or id; it need not exist';
COMMENT ON COLUMN billing.stripe_differences.ours IS 'What our books say';
COMMENT ON COLUMN billing.stripe_differences.theirs IS 'What Stripe says';
COMMENT ON COLUMN billing.stripe_differences.proposed_action IS 'charge_again: run charge_month, it asks Stripe and goes on; process_events, sweep_events: the event tells us; delete_draft, void_at_stripe, refund: for an operator to do; look_at_it: for a person to decide; decide: `billing disputes`';
CREATE TRIGGER stripe_differences_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.stripe_differences
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('comparisons are append-only, compare again');

CREATE TABLE billing.month_books (
    billing_month billing.month_start PRIMARY KEY,
    closed_at timestamptz,
    closed_by text CHECK (closed_by <> ''),
    reconciliation_id bigint REFERENCES billing.stripe_reconciliations (reconciliation_id),
    invoice_count bigint,
    stripe_invoice_count bigint,
    payment_count bigint,
    totals jsonb CHECK (jsonb_typeof(totals) = 'object'),
    invoices_sha256 bytea CHECK (octet_length(invoices_sha256) = 32),
    stripe_invoices_sha256 bytea CHECK (octet_length(stripe_invoices_sha256) = 32),
    payments_sha256 bytea CHECK (octet_length(payments_sha256) = 32),
    audit_seal_no bigint,
    audit_seal bytea CHECK (octet_length(audit_seal) = 32),
    CHECK (
        num_nulls(
            closed_at, closed_by, reconciliation_id, invoice_count, stripe_invoice_count, payment_count, totals,
            invoices_sha256, stripe_invoices_sha256, payments_sha256, audit_seal_no, audit_seal
        ) IN (0, 12)
    )
);
COMMENT ON TABLE billing.month_books IS 'One row a month that has records: open, or closed with its proof. Also the lock between those who change the records and whoever closes';
COMMENT ON COLUMN billing.month_books.billing_month IS 'The month';
COMMENT ON COLUMN billing.month_books.closed_at IS 'When it was closed; null while it is open';
COMMENT ON COLUMN billing.month_books.closed_by IS 'Who closed it';
COMMENT ON COLUMN billing.month_books.reconciliation_id IS 'The comparison that found no difference';
COMMENT ON COLUMN billing.month_books.invoice_count IS 'Invoices of the month';
COMMENT ON COLUMN billing.month_books.stripe_invoice_count IS 'Invoices at Stripe that stand for them';
COMMENT ON COLUMN billing.month_books.payment_count IS 'Payments at Stripe of these';
COMMENT ON COLUMN billing.month_books.totals IS 'By currency, in minor units: invoiced, paid, collected by payments, settled otherwise, written off, voided, taken back by banks';
COMMENT ON COLUMN billing.month_books.invoices_sha256 IS 'Digest of our invoices and charges, as billing.month_digest computes it';
COMMENT ON COLUMN billing.month_books.stripe_invoices_sha256 IS 'Digest of Stripe''s invoices: id, our id, currency, total, paid, status';
COMMENT ON COLUMN billing.month_books.payments_sha256 IS 'Digest of the payments: id, invoice at Stripe, currency, amount, status';
COMMENT ON COLUMN billing.month_books.audit_seal_no IS 'Place of the newest entry of the audit chain when the month was closed';
COMMENT ON COLUMN billing.month_books.audit_seal IS 'Its seal';
CREATE TRIGGER month_books_change BEFORE INSERT OR UPDATE ON billing.month_books
FOR EACH ROW EXECUTE FUNCTION billing.check_closing();
CREATE TRIGGER month_books_keep BEFORE DELETE OR TRUNCATE ON billing.month_books
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a closed month stays closed');

CREATE TRIGGER invoices_of_open_month_inserted AFTER INSERT ON billing.invoices
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_month_is_open();
CREATE TRIGGER invoices_of_open_month_updated AFTER UPDATE ON billing.invoices
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_month_is_open();
CREATE TRIGGER invoices_of_open_month_deleted AFTER DELETE ON billing.invoices
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_month_is_open();
CREATE TRIGGER lines_of_open_month_inserted AFTER INSERT ON billing.invoice_line_items
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_month_is_open();
CREATE TRIGGER lines_of_open_month_deleted AFTER DELETE ON billing.invoice_line_items
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_month_is_open();
CREATE TRIGGER charges_of_open_month_inserted AFTER INSERT ON billing.stripe_charges
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_month_is_open();
CREATE TRIGGER charges_of_open_month_updated AFTER UPDATE ON billing.stripe_charges
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_month_is_open();
