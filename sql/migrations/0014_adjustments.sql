-- One-off amounts that land on the customer's next draft, or on a supplementary invoice. They stand beside the metered
-- lines, which stay a pure function of usage and prices. One that is on no invoice yet may be revoked.

CREATE TABLE billing.adjustments (
    adjustment_id uuid PRIMARY KEY,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    currency billing.currency_code NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    description text NOT NULL CHECK (description ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    author text NOT NULL CHECK (author ~ '\S'),
    corrects_period_id uuid REFERENCES billing.billing_periods (period_id),
    on_supplement boolean NOT NULL DEFAULT FALSE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    guard bigint NOT NULL DEFAULT 0,
    settlement_id bigint REFERENCES billing.settlements (settlement_id),
    UNIQUE (adjustment_id, customer_id, currency),
    CONSTRAINT supplements_charge_a_period CHECK (NOT on_supplement OR (corrects_period_id IS NOT NULL AND amount_minor > 0))
);
CREATE INDEX adjustments_customer ON billing.adjustments (customer_id);
CREATE INDEX adjustments_period ON billing.adjustments (corrects_period_id);
CREATE INDEX adjustments_settlement ON billing.adjustments (settlement_id);
COMMENT ON TABLE billing.adjustments IS 'One row a one-off amount for a customer; frozen. It is taken back by another one';
COMMENT ON COLUMN billing.adjustments.adjustment_id IS 'Derived from what it adjusts and why';
COMMENT ON COLUMN billing.adjustments.customer_id IS 'Whose invoice';
COMMENT ON COLUMN billing.adjustments.currency IS 'Currency of the amount; it lands on an invoice in the same';
COMMENT ON COLUMN billing.adjustments.amount_minor IS 'In minor units; below zero it is a credit';
COMMENT ON COLUMN billing.adjustments.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.adjustments.reason IS 'Why, for the audit log';
COMMENT ON COLUMN billing.adjustments.author IS 'Who made it';
COMMENT ON COLUMN billing.adjustments.corrects_period_id IS 'The billed period that it corrects, or whose supplementary invoice carries it; null: neither';
COMMENT ON COLUMN billing.adjustments.on_supplement IS 'Whether a supplementary invoice of that period carries it, and not the customer''s next invoice';
COMMENT ON COLUMN billing.adjustments.created_at IS 'When';
COMMENT ON COLUMN billing.adjustments.guard IS 'Raised by whoever puts it on an invoice, so that of two at once the second sees the first';
COMMENT ON COLUMN billing.adjustments.settlement_id IS 'The settlement that it carries out, if one';
CREATE TRIGGER adjustments_change BEFORE UPDATE ON billing.adjustments
FOR EACH ROW EXECUTE FUNCTION billing.check_adjustment_change();
CREATE TRIGGER adjustments_keep BEFORE DELETE OR TRUNCATE ON billing.adjustments
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('an adjustment is frozen; another one takes it back');
CREATE TRIGGER adjustments_settle AFTER INSERT ON billing.adjustments
FOR EACH ROW WHEN (new.settlement_id IS NOT NULL) EXECUTE FUNCTION billing.check_settling_document();
CREATE CONSTRAINT TRIGGER adjustments_settled AFTER INSERT ON billing.adjustments
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.settlement_id IS NOT NULL)
EXECUTE FUNCTION billing.check_settled_at_commit();

CREATE TABLE billing.invoice_adjustments (
    invoice_id uuid NOT NULL,
    line_no integer NOT NULL CHECK (line_no > 0),
    adjustment_id uuid NOT NULL,
    customer_id billing.platform_key NOT NULL,
    period_id uuid NOT NULL,
    billing_month billing.month_start NOT NULL,
    currency billing.currency_code NOT NULL,
    description text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    PRIMARY KEY (invoice_id, line_no),
    UNIQUE (invoice_id, adjustment_id),
    FOREIGN KEY (adjustment_id, customer_id, currency) REFERENCES billing.adjustments (adjustment_id, customer_id, currency),
    -- a draft that is dropped lets its adjustments go: the next draft takes them up again
    FOREIGN KEY (invoice_id, customer_id, period_id, billing_month, currency)
    REFERENCES billing.invoices (invoice_id, customer_id, period_id, billing_month, currency)
    ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX invoice_adjustments_month ON billing.invoice_adjustments (billing_month);
CREATE INDEX invoice_adjustments_adjustment ON billing.invoice_adjustments (adjustment_id);
COMMENT ON TABLE billing.invoice_adjustments IS 'One row an adjustment, or a part of a credit, on an invoice: a line of it beside the metered ones';
COMMENT ON COLUMN billing.invoice_adjustments.invoice_id IS 'The invoice';
COMMENT ON COLUMN billing.invoice_adjustments.line_no IS 'Place on it; goes on after the metered lines';
COMMENT ON COLUMN billing.invoice_adjustments.adjustment_id IS 'The adjustment';
COMMENT ON COLUMN billing.invoice_adjustments.customer_id IS 'Whose: the invoice''s and the adjustment''s, by foreign keys';
COMMENT ON COLUMN billing.invoice_adjustments.period_id IS 'Period of the invoice, by foreign key';
COMMENT ON COLUMN billing.invoice_adjustments.billing_month IS 'Partition of the invoice, by foreign key';
COMMENT ON COLUMN billing.invoice_adjustments.currency IS 'Currency of both, by foreign keys';
COMMENT ON COLUMN billing.invoice_adjustments.description IS 'Text that the customer reads';
COMMENT ON COLUMN billing.invoice_adjustments.amount_minor IS 'The whole adjustment, or the part of a credit that the invoice could take: its total is never below zero';
CREATE TRIGGER invoice_adjustments_inserted AFTER INSERT ON billing.invoice_adjustments
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_invoice_adjustments();
CREATE TRIGGER invoice_adjustments_deleted AFTER DELETE ON billing.invoice_adjustments
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_invoice_adjustments();
CREATE TRIGGER invoice_adjustments_no_update BEFORE UPDATE OR TRUNCATE ON billing.invoice_adjustments
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a month is rebuilt by delete and insert');
CREATE TRIGGER invoice_adjustments_not_revoked AFTER INSERT ON billing.invoice_adjustments
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_revoked_adjustments();

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
CREATE TRIGGER adjustment_revocations_inserted AFTER INSERT ON billing.adjustment_revocations
FOR EACH ROW EXECUTE FUNCTION billing.check_adjustment_revocation();
CREATE TRIGGER adjustment_revocations_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.adjustment_revocations
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a revocation is final; another adjustment may be made');
