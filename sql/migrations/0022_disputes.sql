-- What a person decides about money that a bank took back for good, by a dispute that is lost.

CREATE TABLE billing.dispute_decisions (
    -- no foreign key: rows of stripe_disputes are kept by a trigger, which says so itself
    dispute_id text PRIMARY KEY,
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    customer_id billing.platform_key NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency billing.currency_code NOT NULL,
    decision text NOT NULL CHECK (decision IN ('written_off', 'collect_again')),
    adjustment_id uuid UNIQUE,
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (adjustment_id, customer_id, currency)
    REFERENCES billing.adjustments (adjustment_id, customer_id, currency),
    CONSTRAINT collected_by_an_adjustment CHECK ((decision = 'collect_again') = (adjustment_id IS NOT NULL))
);
CREATE INDEX dispute_decisions_invoice ON billing.dispute_decisions (invoice_id);
COMMENT ON TABLE billing.dispute_decisions IS 'One row a lost dispute about whose money somebody has decided; append-only';
COMMENT ON COLUMN billing.dispute_decisions.dispute_id IS 'The dispute (du_…); decided once';
COMMENT ON COLUMN billing.dispute_decisions.invoice_id IS 'The invoice whose payment the bank took back';
COMMENT ON COLUMN billing.dispute_decisions.customer_id IS 'Whose';
COMMENT ON COLUMN billing.dispute_decisions.amount_minor IS 'What the bank took back, in minor units';
COMMENT ON COLUMN billing.dispute_decisions.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.dispute_decisions.decision IS 'written_off: nobody asks for it any more; collect_again: the customer''s next invoice does';
COMMENT ON COLUMN billing.dispute_decisions.adjustment_id IS 'The adjustment that collects it again; null: it is written off';
COMMENT ON COLUMN billing.dispute_decisions.author IS 'Who decided';
COMMENT ON COLUMN billing.dispute_decisions.reason IS 'Why';
COMMENT ON COLUMN billing.dispute_decisions.decided_at IS 'When';
CREATE TRIGGER dispute_decisions_inserted BEFORE INSERT ON billing.dispute_decisions
FOR EACH ROW EXECUTE FUNCTION billing.check_dispute_decision();
CREATE TRIGGER dispute_decisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.dispute_decisions
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a decision about a dispute is kept');
