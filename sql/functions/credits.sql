-- The ledger of prepaid credits: what moves a grant, what an invoice draws, and what comes back from it.

CREATE OR REPLACE FUNCTION billing.check_credit_grant() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        IF new.balance_minor <> 0 THEN
            RAISE EXCEPTION 'a grant begins with its first entry' USING ERRCODE = 'restrict_violation';
        END IF;
    ELSIF (to_jsonb(new) - 'balance_minor') IS DISTINCT FROM (to_jsonb(old) - 'balance_minor') OR pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'grant % is frozen; entries of its ledger move its balance', old.grant_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_credit_grant IS 'Trigger: of a grant only the balance moves, and only by an entry';

CREATE OR REPLACE FUNCTION billing.begin_credit_grant() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.credit_entries (grant_id, customer_id, currency, kind, amount_minor, author, reason)
    VALUES (new.grant_id, new.customer_id, new.currency, 'grant', new.amount_minor, new.author, new.reason);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.begin_credit_grant IS 'Trigger: a grant''s ledger begins with its amount';

CREATE OR REPLACE FUNCTION billing.move_credits() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    granted record;
BEGIN
    -- the row is locked by this: of two at once the second sees the first, and the checks of the grant hold for both
    UPDATE billing.credit_grants SET balance_minor = balance_minor + new.amount_minor
    WHERE grant_id = new.grant_id
    RETURNING amount_minor, balance_minor INTO granted;
    IF new.kind = 'grant' AND new.amount_minor <> granted.amount_minor THEN
        RAISE EXCEPTION 'the first entry of grant % is its amount', new.grant_id USING ERRCODE = 'check_violation';
    END IF;
    IF new.kind IN ('expire', 'void') AND granted.balance_minor <> 0 THEN
        RAISE EXCEPTION 'grant %: what expires or is voided is all that is left', new.grant_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF new.kind = 'return' AND new.amount_minor > (
        SELECT coalesce(-sum(e.amount_minor), 0) FROM billing.credit_entries AS e
        WHERE e.grant_id = new.grant_id AND e.invoice_id = new.invoice_id
    ) THEN
        RAISE EXCEPTION 'grant %: more would come back from the invoice than it drew', new.grant_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.move_credits IS 'Trigger: an entry moves its grant''s balance, which stays between zero and the amount; an invoice gives back what it drew, and no more';

CREATE OR REPLACE FUNCTION billing.check_invoice_draws() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM billing.invoices AS i
        WHERE i.invoice_id = new.invoice_id AND i.credits_minor <> (
            SELECT coalesce(-sum(e.amount_minor), 0) FROM billing.credit_entries AS e
            WHERE e.invoice_id = i.invoice_id AND e.kind = 'draw'
        )
    ) THEN
        RAISE EXCEPTION 'invoice %: its credits are not those that were drawn for it', new.invoice_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_invoice_draws IS 'Trigger at commit: an invoice''s credits are the draws of the ledger, whoever wrote either';

CREATE OR REPLACE FUNCTION billing.expire_credits(whose text, by_author text, why text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    expired bigint;
BEGIN
    INSERT INTO billing.credit_entries (grant_id, customer_id, currency, kind, amount_minor, author, reason)
    SELECT o.grant_id, o.customer_id, o.currency, 'expire', -o.balance_minor, by_author, why
    FROM (
        SELECT g.* FROM billing.credit_grants AS g JOIN billing.customers AS c USING (customer_id)
        WHERE g.balance_minor > 0 AND g.expires_on < (clock_timestamp() AT TIME ZONE c.timezone)::date
            AND (whose IS NULL OR g.customer_id = whose)
        ORDER BY g.grant_id
        FOR UPDATE OF g
    ) AS o;
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END;
$$;
COMMENT ON FUNCTION billing.expire_credits IS 'Books what is left of grants whose last day is over, of one customer or of all; returns how many';

CREATE OR REPLACE FUNCTION billing.draw_credits(month date, after_number bigint, by_author text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    invoice record;
    source record;
    due bigint;
    line integer;
    paid bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM billing.credit_grants WHERE balance_minor > 0) THEN
        RETURN 0;
    END IF;
    PERFORM billing.expire_credits(NULL, by_author, 'its last day is over');
    FOR invoice IN
        SELECT i.invoice_id, i.customer_id, i.currency, i.total_minor, i.line_count
        FROM billing.invoices AS i
        WHERE i.billing_month = month AND i.invoice_number > after_number AND i.status = 'open' AND i.total_minor > 0
            AND i.customer_id IN (SELECT g.customer_id FROM billing.credit_grants AS g WHERE g.balance_minor > 0)
        ORDER BY i.invoice_number
    LOOP
        due := invoice.total_minor;
        line := (
            SELECT coalesce(max(l.line_no), 0) FROM (
                SELECT li.line_no FROM billing.invoice_line_items AS li WHERE li.invoice_id = invoice.invoice_id
                UNION ALL
                SELECT ia.line_no FROM billing.invoice_adjustments AS ia WHERE ia.invoice_id = invoice.invoice_id
            ) AS l
        );
        FOR source IN
            SELECT g.grant_id, g.balance_minor
            FROM billing.credit_grants AS g
            WHERE g.customer_id = invoice.customer_id AND g.currency = invoice.currency AND g.balance_minor > 0
            ORDER BY g.priority, g.expires_on NULLS LAST, g.granted_at, g.grant_id
            FOR UPDATE
        LOOP
            EXIT WHEN due = 0;
            line := line + 1;
            INSERT INTO billing.credit_entries
            (grant_id, customer_id, currency, kind, amount_minor, invoice_id, line_no, author)
            VALUES (
                source.grant_id, invoice.customer_id, invoice.currency, 'draw', -least(due, source.balance_minor),
                invoice.invoice_id, line, by_author
            );
            due := due - least(due, source.balance_minor);
        END LOOP;
        IF due < invoice.total_minor THEN
            UPDATE billing.invoices SET credits_minor = total_minor - due WHERE invoice_id = invoice.invoice_id;
            paid := paid + 1;
        END IF;
    END LOOP;
    RETURN paid;
END;
$$;
COMMENT ON FUNCTION billing.draw_credits IS 'Lets the invoices that just became final draw their customers'' credits, in the order of the numbers: by priority, expiry, age. Returns how many did';

CREATE OR REPLACE FUNCTION billing.return_credits(of_invoice uuid, most bigint, by_author text, why text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    source record;
    left_minor bigint := most;
BEGIN
    PERFORM FROM billing.invoices AS i WHERE i.invoice_id = of_invoice FOR NO KEY UPDATE;
    -- what was drawn last comes back first
    FOR source IN
        SELECT e.grant_id, e.customer_id, e.currency, -sum(e.amount_minor)::bigint AS kept_minor
        FROM billing.credit_entries AS e
        WHERE e.invoice_id = of_invoice
        GROUP BY e.grant_id, e.customer_id, e.currency
        HAVING sum(e.amount_minor) < 0
        ORDER BY max(e.line_no) DESC
    LOOP
        EXIT WHEN left_minor = 0;
        INSERT INTO billing.credit_entries
        (grant_id, customer_id, currency, kind, amount_minor, invoice_id, author, reason)
        VALUES (
            source.grant_id, source.customer_id, source.currency, 'return', least(left_minor, source.kept_minor), of_invoice,
            by_author, why
        );
        left_minor := left_minor - least(left_minor, source.kept_minor);
    END LOOP;
    RETURN most - left_minor;
END;
$$;
COMMENT ON FUNCTION billing.return_credits IS 'Gives back to their grants what an invoice drew, up to an amount; returns what came back';

CREATE OR REPLACE FUNCTION billing.return_credits_of_void() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.return_credits(new.invoice_id, new.credits_minor, 'billing-pipeline', 'the invoice is void');
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.return_credits_of_void IS 'Trigger: a void invoice gives back what it drew';
