-- Months whose books are closed.

CREATE OR REPLACE FUNCTION billing.month_digest(month date) RETURNS bytea
LANGUAGE sql STABLE AS $$
SELECT sha256(convert_to(coalesce(string_agg(
    concat_ws(
        '|', i.invoice_id, i.number, i.customer_id, i.currency, i.total_minor, i.line_count, i.status, c.state,
        c.stripe_customer_id, c.stripe_invoice_id, c.stripe_total_minor, encode(c.request_sha256, 'hex')
    ), chr(10) ORDER BY i.invoice_number, i.invoice_id
), ''), 'UTF8'))
FROM billing.invoices AS i LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
WHERE i.billing_month = month;
$$;
COMMENT ON FUNCTION billing.month_digest IS 'SHA-256 over the month''s invoices and charges in order of their numbers; the request''s digest covers the lines';

CREATE OR REPLACE FUNCTION billing.keep_closed_month(month date) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.month_books (billing_month) VALUES (month) ON CONFLICT DO NOTHING;
    -- waits for whoever is closing it; a snapshot older than the closing fails here instead of slipping through
    PERFORM FROM billing.month_books AS b WHERE b.billing_month = month AND b.closed_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'month % is closed: its records do not change any more', to_char(month, 'YYYY-MM')
            USING ERRCODE = 'restrict_violation';
    END IF;
END;
$$;
COMMENT ON FUNCTION billing.keep_closed_month IS 'Refuses a change to a closed month, and holds off its closing until the end of this transaction';

CREATE OR REPLACE FUNCTION billing.check_month_is_open() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.keep_closed_month(months.billing_month)
    FROM (SELECT DISTINCT billing_month FROM changed_rows ORDER BY billing_month) AS months;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_month_is_open IS 'Trigger: records of a closed month do not change';

CREATE OR REPLACE FUNCTION billing.check_closing() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    unsettled bigint;
    undecided text;
    found_count bigint;
    differing bigint;
BEGIN
    IF tg_op = 'INSERT' THEN
        IF new.closed_at IS NOT NULL THEN
            RAISE EXCEPTION 'month % starts open', new.billing_month USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN new;
    END IF;
    IF old.closed_at IS NOT NULL OR new.billing_month <> old.billing_month THEN
        RAISE EXCEPTION 'month % is closed and stays as it was proven', old.billing_month
            USING ERRCODE = 'restrict_violation';
    END IF;
    -- under another isolation level the checks below would look at the past, before writers that were waited for
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a month is closed in READ COMMITTED' USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT count(*) FILTER (WHERE i.status NOT IN ('paid', 'void', 'uncollectible')), count(*)
    INTO unsettled, found_count
    FROM billing.invoices AS i WHERE i.billing_month = new.billing_month;
    IF unsettled > 0 THEN
        RAISE EXCEPTION 'month % has % invoice(s) that are neither paid, void nor written off', new.billing_month, unsettled
            USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT min(d.dispute_id) INTO undecided
    FROM billing.stripe_disputes AS d INNER JOIN billing.invoices AS i ON d.invoice_id = i.invoice_id
    WHERE i.billing_month = new.billing_month AND d.status = 'lost' AND d.taken_back_minor > 0
        AND NOT EXISTS (SELECT FROM billing.dispute_decisions AS e WHERE e.dispute_id = d.dispute_id);
    IF undecided IS NOT NULL THEN
        RAISE EXCEPTION 'month %: a bank took money back by dispute %, which is lost, and nobody has decided about it',
            new.billing_month, undecided USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT r.difference_count INTO differing
    FROM billing.stripe_reconciliations AS r
    WHERE r.reconciliation_id = new.reconciliation_id AND r.billing_month = new.billing_month;
    IF differing IS DISTINCT FROM 0 THEN
        RAISE EXCEPTION 'month % is closed on a comparison of that month without differences', new.billing_month
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (new.invoice_count, new.invoices_sha256) IS DISTINCT FROM (found_count, billing.month_digest(new.billing_month)) THEN
        RAISE EXCEPTION 'month % has changed since it was compared', new.billing_month USING ERRCODE = 'restrict_violation';
    END IF;
    PERFORM FROM billing.audit_entries AS e WHERE e.seal_no = new.audit_seal_no AND e.seal = new.audit_seal;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'month % is closed with a seal of the audit chain', new.billing_month
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_closing IS 'Trigger: a month is closed once, with every invoice settled and every lost dispute decided, on a comparison without differences, with the digest of the records as they are and a seal of the audit chain';
