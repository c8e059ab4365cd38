-- What a customer wants to be told, and where.

CREATE OR REPLACE FUNCTION billing.check_notice_choice() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{released_at,released_by,release_reason}';
BEGIN
    IF old.released_at IS NOT NULL OR (to_jsonb(new) - moving) IS DISTINCT FROM (to_jsonb(old) - moving) THEN
        RAISE EXCEPTION '% is ended once and not edited', tg_table_name USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_notice_choice IS 'Trigger: a choice is ended, once; another one is another row';

CREATE OR REPLACE FUNCTION billing.may_be_switched_off(kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT kind IN (
    'payment_succeeded', 'refund_succeeded', 'payment_due_soon', 'service_resumed', 'credits_low', 'credits_expiring',
    'budget_reached', 'allowance_reached', 'usage_unusual'
)
$$;
COMMENT ON FUNCTION billing.may_be_switched_off IS 'Whether a kind of notices is due neither by law nor by contract, so that a book or a person may switch it off';

CREATE OR REPLACE FUNCTION billing.is_off_by_book(kind text, customer text) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (
    SELECT FROM billing.customers AS c
    JOIN billing.book_notices_off AS o ON o.currency = c.currency AND o.kind = is_off_by_book.kind
    WHERE c.customer_id = customer AND o.version_id = (
        SELECT v.version_id FROM billing.price_versions AS v
        WHERE v.currency = c.currency AND v.effective_from <= (clock_timestamp() AT TIME ZONE c.timezone)::date
        ORDER BY v.effective_from DESC LIMIT 1
    )
)
$$;
COMMENT ON FUNCTION billing.is_off_by_book IS 'Whether the version of the customer''s price book that is in force today, in its time zone, switches this kind off';

CREATE OR REPLACE FUNCTION billing.is_mailed(kind text, customer text, recipient text) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT NOT billing.is_off_by_book(kind, customer) AND NOT EXISTS (
    SELECT FROM billing.notices_off AS o
    WHERE o.released_at IS NULL AND o.kind = is_mailed.kind
        AND (o.customer_id IS NULL OR o.customer_id = customer)
        AND (o.email IS NULL OR lower(o.email) = lower(recipient))
)
$$;
COMMENT ON FUNCTION billing.is_mailed IS 'Whether nobody switched this kind off: not the price book, nor anybody for all, for the customer or for the address. Whoever says off is heard: no other one''s on outweighs it';
