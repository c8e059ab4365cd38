-- Customers that were deleted at Stripe and got another one there.

CREATE OR REPLACE FUNCTION billing.check_customer_at_stripe() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    newest record;
BEGIN
    IF old.stripe_customer_id IS NULL THEN
        RETURN new;
    END IF;
    SELECT r.from_stripe_customer_id, r.to_stripe_customer_id INTO newest
    FROM billing.customer_relinks AS r WHERE r.customer_id = old.customer_id ORDER BY r.relink_id DESC LIMIT 1;
    IF (newest.from_stripe_customer_id, newest.to_stripe_customer_id)
        IS DISTINCT FROM (old.stripe_customer_id, new.stripe_customer_id)
    THEN
        RAISE EXCEPTION 'customer % is % at Stripe: another one needs a decision in customer_relinks',
            old.customer_id, old.stripe_customer_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_customer_at_stripe IS 'Trigger: a customer''s id at Stripe is set once, and changed only by a row of customer_relinks';

CREATE OR REPLACE FUNCTION billing.check_customer_evidence() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM billing.automation_log AS l
    WHERE l.object_type = 'customer' AND l.object_id = new.customer_id AND l.logged_at >= now()
        AND l.state_after ->> 'stripe_customer_id' = new.stripe_customer_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'customer %: another customer at Stripe, and the audit log does not say in this transaction who says so',
            new.customer_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_customer_evidence IS 'Trigger at commit: a customer gets its id at Stripe with an entry in the audit log';

-- Security definer: to lock a table takes the right to change all of it.
CREATE OR REPLACE FUNCTION billing.lock_customers() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE billing.customers IN SHARE ROW EXCLUSIVE MODE;
END;
$$;
COMMENT ON FUNCTION billing.lock_customers IS 'Lets nobody else write customers until the end of the transaction';
