-- Our books compared with Stripe's: what a comparison covered, and every difference that it found.

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
COMMENT ON COLUMN billing.stripe_reconciliations.difference_count IS 'Rows in stripe_differences';
COMMENT ON COLUMN billing.stripe_reconciliations.run_id IS 'Run that compared';

CREATE TABLE billing.stripe_differences (
    reconciliation_id bigint NOT NULL REFERENCES billing.stripe_reconciliations (reconciliation_id),
    difference_no integer NOT NULL CHECK (difference_no > 0),
    object_type text NOT NULL CHECK (object_type IN ('invoice', 'payment', 'refund', 'credit_note')),
    kind text NOT NULL CHECK (kind IN ('missing_here', 'missing_at_stripe', 'amount_or_currency', 'status', 'duplicate')),
    stripe_id text,
    invoice_id uuid,
    ours text,
    theirs text,
    proposed_action text NOT NULL CHECK (
        proposed_action IN (
            'charge_again', 'process_events', 'sweep_events', 'delete_draft', 'void_at_stripe', 'refund', 'look_at_it'
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
COMMENT ON COLUMN billing.stripe_differences.object_type IS 'What differs: invoice, payment, refund or credit_note';
COMMENT ON COLUMN billing.stripe_differences.kind IS 'missing_here, missing_at_stripe, amount_or_currency, status or duplicate';
COMMENT ON COLUMN billing.stripe_differences.stripe_id IS 'The object at Stripe; null if there is none';
COMMENT ON COLUMN billing.stripe_differences.invoice_id IS 'The invoice of ours that it is about, by metadata or id; it need not exist';
COMMENT ON COLUMN billing.stripe_differences.ours IS 'What our books say';
COMMENT ON COLUMN billing.stripe_differences.theirs IS 'What Stripe says';
COMMENT ON COLUMN billing.stripe_differences.proposed_action IS 'charge_again: run charge_month, it asks Stripe and goes on; process_events, sweep_events: the event tells us; delete_draft, void_at_stripe, refund: for an operator to do; look_at_it: for a person to decide';

CREATE TRIGGER stripe_reconciliations_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.stripe_reconciliations
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('comparisons are append-only, compare again');
CREATE TRIGGER stripe_differences_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.stripe_differences
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('comparisons are append-only, compare again');
