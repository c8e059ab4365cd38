-- What is done about a difference, and who said so.

CREATE OR REPLACE FUNCTION billing.settlement_policy(customer text)
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

CREATE OR REPLACE FUNCTION billing.check_settlement() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.check_settlement_approval() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.approve_settlement() RETURNS trigger
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

-- The update makes a writer with an older snapshot fail instead of slipping past one that has just applied it.
CREATE OR REPLACE FUNCTION billing.check_settling_document() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.check_settled_at_commit() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT s.status FROM billing.settlements AS s WHERE s.settlement_id = new.settlement_id) <> 'applied' THEN
        RAISE EXCEPTION 'settlement % has documents and is not applied', new.settlement_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_settled_at_commit IS 'Trigger at commit: documents and the settlement''s end are one transaction';
