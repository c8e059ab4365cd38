-- A month that is closed: the proof that its invoices, Stripe's invoices and the payments agree, and the refusal to
-- change its records afterwards. What happens later (a refund, a late payment) is a record of its own.

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
    CHECK (
        num_nulls(
            closed_at, closed_by, reconciliation_id, invoice_count, stripe_invoice_count, payment_count, totals,
            invoices_sha256, stripe_invoices_sha256, payments_sha256
        ) IN (0, 10)
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
COMMENT ON COLUMN billing.month_books.totals IS 'By currency, in minor units: invoiced, paid, collected by payments, settled otherwise, written off, voided';
COMMENT ON COLUMN billing.month_books.invoices_sha256 IS 'Digest of our invoices and charges, as billing.month_digest computes it';
COMMENT ON COLUMN billing.month_books.stripe_invoices_sha256 IS 'Digest of Stripe''s invoices: id, our id, currency, total, paid, status';
COMMENT ON COLUMN billing.month_books.payments_sha256 IS 'Digest of the payments: id, invoice at Stripe, currency, amount, status';

CREATE FUNCTION billing.month_digest(month date) RETURNS bytea
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

CREATE FUNCTION billing.keep_closed_month(month date) RETURNS void
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

CREATE FUNCTION billing.check_month_is_open() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.keep_closed_month(months.billing_month)
    FROM (SELECT DISTINCT billing_month FROM changed_rows ORDER BY billing_month) AS months;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_month_is_open IS 'Trigger: records of a closed month do not change';
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

-- Months that have records already are open.
INSERT INTO billing.month_books (billing_month)
SELECT billing_month FROM billing.invoices
UNION
SELECT billing_month FROM billing.invoice_line_items;

CREATE FUNCTION billing.check_closing() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    unsettled bigint;
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
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_closing IS 'Trigger: a month is closed once, with every invoice settled, on a comparison without differences, and with the digest of the records as they are';
CREATE TRIGGER month_books_change BEFORE INSERT OR UPDATE ON billing.month_books
FOR EACH ROW EXECUTE FUNCTION billing.check_closing();
CREATE TRIGGER month_books_keep BEFORE DELETE OR TRUNCATE ON billing.month_books
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a closed month stays closed');
