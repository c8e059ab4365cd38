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

CREATE FUNCTION billing.settlement_policy(customer text)
RETURNS TABLE (method text, pay_back text, threshold_minor bigint, two_people_above_minor bigint)
LANGUAGE sql STABLE AS $$
SELECT p.method, p.pay_back, p.threshold_minor, p.two_people_above_minor
FROM (
    SELECT 1 AS rank, s.method, s.pay_back, s.threshold_minor, s.two_people_above_minor
    FROM billing.settlement_policies AS s WHERE s.scope_type = 'customer' AND s.scope = customer
    UNION ALL
    SELECT 2, s.method, s.pay_back, s.threshold_minor, s.two_people_above_minor
    FROM billing.settlement_policies AS s JOIN billing.customers AS c ON s.scope = c.currency
    WHERE s.scope_type = 'book' AND c.customer_id = customer
    UNION ALL
    SELECT 3, 'next_invoice', 'refund', 1, 100000
) AS p
ORDER BY p.rank
LIMIT 1;
$$;
COMMENT ON FUNCTION billing.settlement_policy IS 'The policy that holds for a customer: its own, its book''s, or: next invoice, from one minor unit on, two people above 100,000 minor units';

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

ALTER TABLE billing.adjustments ADD COLUMN settlement_id bigint REFERENCES billing.settlements (settlement_id);
COMMENT ON COLUMN billing.adjustments.settlement_id IS 'The settlement that it carries out, if one';
CREATE INDEX adjustments_settlement ON billing.adjustments (settlement_id);
ALTER TABLE billing.credit_notes ADD COLUMN settlement_id bigint REFERENCES billing.settlements (settlement_id);
COMMENT ON COLUMN billing.credit_notes.settlement_id IS 'The settlement that it carries out, if one';
CREATE INDEX credit_notes_settlement ON billing.credit_notes (settlement_id);

CREATE FUNCTION billing.check_settlement() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{status,ended_by,ended_at,end_reason}';
    documents bigint;
BEGIN
    IF tg_op = 'INSERT' THEN
        IF new.status <> 'proposed' THEN
            RAISE EXCEPTION 'a settlement starts as a proposal' USING ERRCODE = 'restrict_violation';
        END IF;
        SELECT CASE WHEN abs(new.amount_minor) > p.two_people_above_minor THEN 2 ELSE 1 END INTO new.approvals_needed
        FROM billing.settlement_policy(new.customer_id) AS p;
        RETURN new;
    END IF;
    IF (to_jsonb(new) - moving) IS DISTINCT FROM (to_jsonb(old) - moving)
        OR (old.status IN ('applied', 'withdrawn') AND to_jsonb(new) IS DISTINCT FROM to_jsonb(old))
    THEN
        RAISE EXCEPTION 'settlement %: only its status moves', old.settlement_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.status <> old.status AND (old.status, new.status) NOT IN (
        ('proposed', 'approved'), ('approved', 'applied'), ('proposed', 'withdrawn'), ('approved', 'withdrawn')
    ) THEN
        RAISE EXCEPTION 'settlement %: status does not go from % to %', old.settlement_id, old.status, new.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.status = 'approved' AND old.status = 'proposed' AND (
        SELECT count(*) FROM billing.settlement_approvals AS a WHERE a.settlement_id = new.settlement_id
    ) < new.approvals_needed THEN
        RAISE EXCEPTION 'settlement % needs the approval of % people', new.settlement_id, new.approvals_needed
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.status = 'applied' AND old.status = 'approved' THEN
        SELECT coalesce((SELECT sum(a.amount_minor) FROM billing.adjustments AS a WHERE a.settlement_id = new.settlement_id), 0)
            - coalesce((SELECT sum(n.amount_minor) FROM billing.credit_notes AS n WHERE n.settlement_id = new.settlement_id), 0)
        INTO documents;
        IF documents <> new.amount_minor THEN
            RAISE EXCEPTION 'settlement % over % has documents over %', new.settlement_id, new.amount_minor, documents
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_settlement IS 'Trigger: a settlement is proposed, approved by as many people as its amount needs, and applied when its documents come to exactly its amount';
CREATE TRIGGER settlements_change BEFORE INSERT OR UPDATE ON billing.settlements
FOR EACH ROW EXECUTE FUNCTION billing.check_settlement();
CREATE TRIGGER settlements_keep BEFORE DELETE OR TRUNCATE ON billing.settlements
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('settlements are withdrawn, not deleted');

CREATE FUNCTION billing.check_settlement_approval() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    waiting text;
BEGIN
    SELECT status INTO waiting FROM billing.settlements WHERE settlement_id = new.settlement_id FOR UPDATE;
    IF waiting IS DISTINCT FROM 'proposed' THEN
        RAISE EXCEPTION 'settlement % is % and not approved again', new.settlement_id, coalesce(waiting, 'unknown')
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_settlement_approval IS 'Trigger: only a proposal is approved, by one person at a time';
CREATE TRIGGER settlement_approvals_of_proposals BEFORE INSERT ON billing.settlement_approvals
FOR EACH ROW EXECUTE FUNCTION billing.check_settlement_approval();

CREATE FUNCTION billing.approve_settlement() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing.settlements AS s SET status = 'approved'
    WHERE s.settlement_id = new.settlement_id AND s.status = 'proposed' AND s.approvals_needed <= (
        SELECT count(*) FROM billing.settlement_approvals AS a WHERE a.settlement_id = s.settlement_id
    );
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.approve_settlement IS 'Trigger: the last approval that was needed approves the settlement';
CREATE TRIGGER settlement_approvals_count AFTER INSERT ON billing.settlement_approvals
FOR EACH ROW EXECUTE FUNCTION billing.approve_settlement();

-- The update makes a writer with an older snapshot fail instead of slipping past one that has just applied it.
CREATE FUNCTION billing.check_settling_document() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    settled record;
BEGIN
    UPDATE billing.settlements SET status = status WHERE settlement_id = new.settlement_id
    RETURNING status, customer_id, currency, period_id INTO settled;
    IF settled.status IS DISTINCT FROM 'approved' THEN
        RAISE EXCEPTION 'settlement % is % and gets no document', new.settlement_id, settled.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (settled.customer_id, settled.currency) IS DISTINCT FROM (new.customer_id, new.currency) THEN
        RAISE EXCEPTION 'settlement % is of another customer or currency', new.settlement_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_settling_document IS 'Trigger: only an approved settlement gets documents, and none once it is applied: a difference is settled once';
CREATE TRIGGER adjustments_settle AFTER INSERT ON billing.adjustments
FOR EACH ROW WHEN (new.settlement_id IS NOT NULL) EXECUTE FUNCTION billing.check_settling_document();
CREATE TRIGGER credit_notes_settle AFTER INSERT ON billing.credit_notes
FOR EACH ROW WHEN (new.settlement_id IS NOT NULL) EXECUTE FUNCTION billing.check_settling_document();

CREATE FUNCTION billing.check_settled_at_commit() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT s.status FROM billing.settlements AS s WHERE s.settlement_id = new.settlement_id) <> 'applied' THEN
        RAISE EXCEPTION 'settlement % has documents and is not applied', new.settlement_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_settled_at_commit IS 'Trigger at commit: documents and the settlement''s end are one transaction';
CREATE CONSTRAINT TRIGGER adjustments_settled AFTER INSERT ON billing.adjustments
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.settlement_id IS NOT NULL)
EXECUTE FUNCTION billing.check_settled_at_commit();
CREATE CONSTRAINT TRIGGER credit_notes_settled AFTER INSERT ON billing.credit_notes
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.settlement_id IS NOT NULL)
EXECUTE FUNCTION billing.check_settled_at_commit();
