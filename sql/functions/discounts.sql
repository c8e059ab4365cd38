-- Coupons and grants: how often each may be redeemed, whoever redeems it.

CREATE OR REPLACE FUNCTION billing.check_coupon_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(new) - 'redemptions') IS DISTINCT FROM (to_jsonb(old) - 'redemptions')
        OR new.redemptions <> (SELECT count(*) FROM billing.discount_grants AS g WHERE g.coupon = new.coupon)
    THEN
        RAISE EXCEPTION 'coupon % is frozen; another one may be made', old.coupon USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_coupon_change IS 'Trigger: of a coupon only moves how many customers have it, and that is how many were granted it';

CREATE OR REPLACE FUNCTION billing.redeem_coupon() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    terms record;
BEGIN
    -- the row is locked first: of two at once the second counts the first. No key: the foreign key has shared the row
    -- already, and two that both ask for more would wait for each other
    PERFORM FROM billing.coupons AS c WHERE c.coupon = new.coupon FOR NO KEY UPDATE;
    UPDATE billing.coupons AS c
    SET redemptions = (SELECT count(*) FROM billing.discount_grants AS g WHERE g.coupon = new.coupon)
    WHERE c.coupon = new.coupon;
    SELECT t.*, c.currency AS of_currency, c.amount AS of_amount, c.percent AS of_percent, c.meters AS of_meters,
        c.periods_max, c.redeem_until INTO terms
    FROM billing.terms AS t JOIN billing.coupons AS c ON c.coupon = new.coupon
    WHERE t.term_id = new.term_id;
    IF (terms.kind, terms.name, terms.version_id, terms.customer_id, terms.currency, terms.amount, terms.percent, terms.meters)
        IS DISTINCT FROM
        ('discount', new.coupon::text, NULL, new.customer_id, terms.of_currency, terms.of_amount, terms.of_percent, terms.of_meters)
        OR terms.periods_max IS DISTINCT FROM new.periods_max
    THEN
        RAISE EXCEPTION 'the term of a grant says what coupon % says', new.coupon USING ERRCODE = 'check_violation';
    END IF;
    IF terms.redeem_until < clock_timestamp()::date THEN
        RAISE EXCEPTION 'coupon % is granted until %', new.coupon, terms.redeem_until USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.redeem_coupon IS 'Trigger: a coupon is granted to as many customers as it says, until its day, by a term that says the same';

CREATE OR REPLACE FUNCTION billing.check_discount_use() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    most integer;
BEGIN
    -- the row is locked first: of two at once the second counts the first
    SELECT g.periods_max INTO most FROM billing.discount_grants AS g WHERE g.term_id = new.term_id FOR NO KEY UPDATE;
    IF NOT EXISTS (
        SELECT FROM billing.invoice_line_items AS l JOIN billing.invoices AS i USING (invoice_id)
        WHERE l.invoice_id = new.invoice_id AND l.term_id = new.term_id AND billing.is_final(i.status)
    ) THEN
        RAISE EXCEPTION 'a discount is used by a final invoice that has a line of it' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (
        SELECT count(*)
        FROM billing.discount_uses AS u JOIN billing.invoices AS i USING (invoice_id)
        WHERE u.term_id = new.term_id AND u.invoice_id <> new.invoice_id AND i.status <> 'void'
    ) >= most THEN
        RAISE EXCEPTION 'the discount % is used up: % invoices have it', new.term_id, most
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_discount_use IS 'Trigger: a granted discount reduces as many invoices as it says, counting those that are not void';

CREATE OR REPLACE FUNCTION billing.use_discounts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.discount_grants) THEN
        INSERT INTO billing.discount_uses (term_id, invoice_id)
        SELECT DISTINCT l.term_id, l.invoice_id
        FROM new_rows AS n
        JOIN billing.invoice_line_items AS l USING (invoice_id)
        JOIN billing.discount_grants AS g USING (term_id)
        ORDER BY l.term_id, l.invoice_id
        -- an intent that was lost in a restore is written anew
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.use_discounts IS 'Trigger: whatever invoice gets its intent uses the granted discounts that it has lines of';
