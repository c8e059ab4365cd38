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

CREATE OR REPLACE FUNCTION billing.is_mailed(kind text, customer text, recipient text) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT NOT EXISTS (
    SELECT FROM billing.notices_off AS o
    WHERE o.released_at IS NULL AND o.kind = is_mailed.kind
        AND (o.customer_id IS NULL OR o.customer_id = customer)
        AND (o.email IS NULL OR lower(o.email) = lower(recipient))
)
$$;
COMMENT ON FUNCTION billing.is_mailed IS 'Whether nobody switched this kind off, for all, for the customer or for the address';
