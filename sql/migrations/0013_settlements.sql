-- Settling drift: what is to be done about a difference, who said so, and the documents that it became. What is settled is
-- counted from the documents, so a document that comes to nothing settles nothing.

CREATE TABLE billing.settlement_policies (
    scope_type text NOT NULL CHECK (scope_type IN ('book', 'customer')),
    scope billing.platform_key NOT NULL,
    method text NOT NULL CHECK (method IN ('ignore', 'next_invoice', 'at_once')),
    pay_back text NOT NULL CHECK (pay_back IN ('refund', 'balance')),
    threshold_minor bigint NOT NULL CHECK (threshold_minor >= 0),
    two_people_above_minor bigint NOT NULL CHECK (two_people_above_minor >= 0),
    author text NOT NULL CHECK (author ~ '\S'),
    PRIMARY KEY (scope_type, scope)
);
COMMENT ON TABLE billing.settlement_policies IS 'One row a price book (by currency) or customer with a policy of its own; the customer''s comes first';
COMMENT ON COLUMN billing.settlement_policies.scope_type IS 'book or customer';
COMMENT ON COLUMN billing.settlement_policies.scope IS 'The book''s currency, or the customer_id';
COMMENT ON COLUMN billing.settlement_policies.method IS 'ignore; next_invoice: an adjustment of it; at_once: a credit note, or a supplementary invoice';
COMMENT ON COLUMN billing.settlement_policies.pay_back IS 'Where a credit note gives paid money back to: refund or balance';
COMMENT ON COLUMN billing.settlement_policies.threshold_minor IS 'Differences smaller than this, in minor units, are left alone';
COMMENT ON COLUMN billing.settlement_policies.two_people_above_minor IS 'Above this two different people approve';
COMMENT ON COLUMN billing.settlement_policies.author IS 'Who set it';

CREATE TABLE billing.settlements (
    settlement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    billing_month billing.month_start NOT NULL,
    customer_id billing.platform_key NOT NULL,
    period_id uuid NOT NULL,
    currency billing.currency_code NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    method text NOT NULL CHECK (method IN ('next_invoice', 'at_once')),
    pay_back text NOT NULL CHECK (pay_back IN ('refund', 'balance')),
    approvals_needed integer NOT NULL DEFAULT 1 CHECK (approvals_needed BETWEEN 1 AND 2),
    evidence jsonb NOT NULL,
    status text NOT NULL DEFAULT 'proposed' CHECK (status IN ('proposed', 'approved', 'applied', 'withdrawn')),
    proposed_by text NOT NULL CHECK (proposed_by ~ '\S'),
    proposed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_by text,
    ended_at timestamptz,
    end_reason text,
    CHECK ((status IN ('applied', 'withdrawn')) = (ended_by IS NOT NULL AND ended_at IS NOT NULL)),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE UNIQUE INDEX settlements_one_open ON billing.settlements (period_id) WHERE status IN ('proposed', 'approved');
CREATE INDEX settlements_month ON billing.settlements (billing_month);
COMMENT ON TABLE billing.settlements IS 'One row a proposal to settle what a billed period differs by, and what became of it';
COMMENT ON COLUMN billing.settlements.settlement_id IS 'Order of proposing';
COMMENT ON COLUMN billing.settlements.billing_month IS 'Month that is corrected';
COMMENT ON COLUMN billing.settlements.customer_id IS 'Whose';
COMMENT ON COLUMN billing.settlements.period_id IS 'The period; one open proposal each';
COMMENT ON COLUMN billing.settlements.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.settlements.amount_minor IS 'Drift that was not settled yet, in minor units: above zero the customer owes more';
COMMENT ON COLUMN billing.settlements.method IS 'next_invoice or at_once, by the policy when it was proposed';
COMMENT ON COLUMN billing.settlements.pay_back IS 'refund or balance, by the policy when it was proposed';
COMMENT ON COLUMN billing.settlements.approvals_needed IS 'People who must approve, by the policy when it was proposed; set by a trigger';
COMMENT ON COLUMN billing.settlements.evidence IS 'The lines that differ and why, as they were when it was proposed';
COMMENT ON COLUMN billing.settlements.status IS 'proposed, approved, applied (its documents exist) or withdrawn';
COMMENT ON COLUMN billing.settlements.proposed_by IS 'Who asked for proposals';
COMMENT ON COLUMN billing.settlements.proposed_at IS 'When';
COMMENT ON COLUMN billing.settlements.ended_by IS 'Who applied or withdrew it';
COMMENT ON COLUMN billing.settlements.ended_at IS 'When';
COMMENT ON COLUMN billing.settlements.end_reason IS 'Why it was withdrawn';
CREATE TRIGGER settlements_change BEFORE INSERT OR UPDATE ON billing.settlements
FOR EACH ROW EXECUTE FUNCTION billing.check_settlement();
CREATE TRIGGER settlements_keep BEFORE DELETE OR TRUNCATE ON billing.settlements
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('settlements are withdrawn, not deleted');

CREATE TABLE billing.settlement_approvals (
    settlement_id bigint NOT NULL REFERENCES billing.settlements (settlement_id),
    author text NOT NULL CHECK (author ~ '\S' AND author = lower(btrim(author))),
    approved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (settlement_id, author)
);
COMMENT ON TABLE billing.settlement_approvals IS 'One row a settlement and person who approved it; append-only';
COMMENT ON COLUMN billing.settlement_approvals.settlement_id IS 'The settlement';
COMMENT ON COLUMN billing.settlement_approvals.author IS 'Who approved, in lower case: the same name twice is one person';
COMMENT ON COLUMN billing.settlement_approvals.approved_at IS 'When';
CREATE TRIGGER settlement_approvals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.settlement_approvals
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('approvals are append-only; withdraw the settlement instead');
CREATE TRIGGER settlement_approvals_of_proposals BEFORE INSERT ON billing.settlement_approvals
FOR EACH ROW EXECUTE FUNCTION billing.check_settlement_approval();
CREATE TRIGGER settlement_approvals_count AFTER INSERT ON billing.settlement_approvals
FOR EACH ROW EXECUTE FUNCTION billing.approve_settlement();
