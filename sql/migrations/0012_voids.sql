-- Void and rebill: what a void invoice was billed from stays explainable, and its period may be left unbilled on purpose.

CREATE TABLE billing.voided_snapshots (
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    period_id uuid NOT NULL,
    customer_id billing.platform_key NOT NULL,
    snapshot_version integer NOT NULL,
    quantity billing.exact_decimal NOT NULL,
    event_count bigint NOT NULL,
    as_of timestamptz NOT NULL,
    basis text NOT NULL,
    aggregation text,
    run_id text NOT NULL,
    PRIMARY KEY (invoice_id, meter, dimensions)
);
COMMENT ON TABLE billing.voided_snapshots IS 'One row a void invoice, meter and dimensions: the snapshot that it was billed from, kept because its period is measured anew';
COMMENT ON COLUMN billing.voided_snapshots.invoice_id IS 'The void invoice';
COMMENT ON COLUMN billing.voided_snapshots.meter IS 'The meter';
COMMENT ON COLUMN billing.voided_snapshots.dimensions IS 'The dimension values';
COMMENT ON COLUMN billing.voided_snapshots.period_id IS 'The period';
COMMENT ON COLUMN billing.voided_snapshots.customer_id IS 'Whose usage';
COMMENT ON COLUMN billing.voided_snapshots.snapshot_version IS 'As its lines name it';
COMMENT ON COLUMN billing.voided_snapshots.quantity IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.event_count IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.as_of IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.basis IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.aggregation IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.voided_snapshots.run_id IS 'As in usage_snapshots';
CREATE TRIGGER voided_snapshots_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.voided_snapshots
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a void invoice stays explainable');

CREATE TABLE billing.unbilled_periods (
    unbilled_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period_id uuid NOT NULL REFERENCES billing.billing_periods (period_id),
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_by text CHECK (lifted_by ~ '\S'),
    lifted_at timestamptz,
    decided boolean NOT NULL DEFAULT TRUE,
    adopted_stripe_invoice_id text UNIQUE CHECK (adopted_stripe_invoice_id <> ''),
    adopted_total_minor bigint CHECK (adopted_total_minor >= 0),
    CHECK ((adopted_stripe_invoice_id IS NULL) = (adopted_total_minor IS NULL)),
    CHECK (decided OR adopted_stripe_invoice_id IS NULL),
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
COMMENT ON COLUMN billing.unbilled_periods.decided IS 'False: the invoice was voided at Stripe and not by us, and a person has yet to decide';
COMMENT ON COLUMN billing.unbilled_periods.adopted_stripe_invoice_id IS 'The revision at Stripe that bills the period instead of an invoice of ours, if somebody adopted one';
COMMENT ON COLUMN billing.unbilled_periods.adopted_total_minor IS 'Its total when it was adopted, in minor units of the invoice''s currency';
CREATE TRIGGER unbilled_periods_change BEFORE INSERT OR UPDATE ON billing.unbilled_periods
FOR EACH ROW EXECUTE FUNCTION billing.check_unbilled_period();
CREATE TRIGGER unbilled_periods_keep BEFORE DELETE OR TRUNCATE ON billing.unbilled_periods
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a decision not to bill is kept');

CREATE TRIGGER invoices_voided AFTER UPDATE OF status ON billing.invoices
FOR EACH ROW WHEN (new.status = 'void' AND old.status <> 'void' AND new.supplement_no = 0)
EXECUTE FUNCTION billing.keep_voided_snapshots();
CREATE TRIGGER stripe_charges_voided_there AFTER UPDATE OF state ON billing.stripe_charges
FOR EACH ROW WHEN (new.state = 'void' AND old.state <> 'void' AND new.reason_code = 'voided_at_stripe')
EXECUTE FUNCTION billing.await_decision_on_void();
CREATE TRIGGER invoices_not_unbilled AFTER INSERT ON billing.invoices
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_unbilled_periods();
