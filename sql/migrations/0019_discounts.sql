-- Coupons, and what customers were granted by them: a grant is a term of its customer. A coupon is granted to as many
-- customers as it says; a grant is used by as many invoices as it says. A draft uses nothing: a final invoice does.

CREATE TABLE billing.coupons (
    coupon billing.platform_key PRIMARY KEY,
    currency billing.currency_code NOT NULL,
    amount billing.exact_decimal CHECK (amount > 0),
    percent billing.exact_decimal CHECK (percent > 0 AND percent <= 100),
    meters text[] CHECK (cardinality(meters) > 0),
    description text CHECK (description ~ '\S'),
    periods_max integer CHECK (periods_max > 0),
    redemptions_max integer CHECK (redemptions_max > 0),
    redemptions integer NOT NULL DEFAULT 0,
    redeem_until date,
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT coupons_by_amount_or_percent CHECK ((amount IS NULL) <> (percent IS NULL)),
    CONSTRAINT coupons_are_not_granted_too_often CHECK (redemptions BETWEEN 0 AND coalesce(redemptions_max, redemptions))
);
COMMENT ON TABLE billing.coupons IS 'One row a coupon: a discount that customers are granted by hand; frozen';
COMMENT ON COLUMN billing.coupons.coupon IS 'Its code';
COMMENT ON COLUMN billing.coupons.currency IS 'Currency of the amount, and of the invoices that it is for';
COMMENT ON COLUMN billing.coupons.amount IS 'Taken off, in major units, for a full period';
COMMENT ON COLUMN billing.coupons.percent IS 'Share that is taken off, in percent';
COMMENT ON COLUMN billing.coupons.meters IS 'Meters that it reduces; null: the whole invoice';
COMMENT ON COLUMN billing.coupons.description IS 'Text of the line, before what it was computed from';
COMMENT ON COLUMN billing.coupons.periods_max IS 'How many invoices of a customer it reduces; null: all';
COMMENT ON COLUMN billing.coupons.redemptions_max IS 'How many customers may be granted it; null: any number';
COMMENT ON COLUMN billing.coupons.redemptions IS 'How many were; raised by the trigger of discount_grants alone';
COMMENT ON COLUMN billing.coupons.redeem_until IS 'Last day on which it is granted; null: without end';
COMMENT ON COLUMN billing.coupons.author IS 'Who made it';
COMMENT ON COLUMN billing.coupons.reason IS 'Why';
COMMENT ON COLUMN billing.coupons.created_at IS 'When';
CREATE TRIGGER coupons_change BEFORE UPDATE ON billing.coupons
FOR EACH ROW EXECUTE FUNCTION billing.check_coupon_change();
CREATE TRIGGER coupons_keep BEFORE DELETE OR TRUNCATE ON billing.coupons
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a coupon is kept; it may be granted no longer');

CREATE TABLE billing.discount_grants (
    term_id uuid PRIMARY KEY REFERENCES billing.terms (term_id),
    coupon billing.platform_key NOT NULL REFERENCES billing.coupons (coupon),
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    periods_max integer CHECK (periods_max > 0),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT a_coupon_is_granted_once_to_a_customer UNIQUE (coupon, customer_id)
);
CREATE INDEX discount_grants_customer ON billing.discount_grants (customer_id);
COMMENT ON TABLE billing.discount_grants IS 'One row a coupon that a customer was granted; its term says what it takes off and when';
COMMENT ON COLUMN billing.discount_grants.term_id IS 'The term';
COMMENT ON COLUMN billing.discount_grants.coupon IS 'The coupon';
COMMENT ON COLUMN billing.discount_grants.customer_id IS 'Who was granted it';
COMMENT ON COLUMN billing.discount_grants.periods_max IS 'How many invoices it reduces, the coupon''s; null: all';
COMMENT ON COLUMN billing.discount_grants.author IS 'Who granted it';
COMMENT ON COLUMN billing.discount_grants.reason IS 'Why';
COMMENT ON COLUMN billing.discount_grants.granted_at IS 'When';
CREATE TRIGGER discount_grants_inserted AFTER INSERT ON billing.discount_grants
FOR EACH ROW EXECUTE FUNCTION billing.redeem_coupon();
CREATE TRIGGER discount_grants_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.discount_grants
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a grant is kept; its term may be ended');

CREATE TABLE billing.discount_uses (
    term_id uuid NOT NULL REFERENCES billing.discount_grants (term_id),
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    PRIMARY KEY (term_id, invoice_id)
);
CREATE INDEX discount_uses_invoice ON billing.discount_uses (invoice_id);
COMMENT ON TABLE billing.discount_uses IS 'One row a final invoice that a granted discount reduces; of a void invoice it no longer counts';
COMMENT ON COLUMN billing.discount_uses.term_id IS 'The granted term';
COMMENT ON COLUMN billing.discount_uses.invoice_id IS 'The invoice';
CREATE TRIGGER discount_uses_inserted BEFORE INSERT ON billing.discount_uses
FOR EACH ROW EXECUTE FUNCTION billing.check_discount_use();
CREATE TRIGGER discount_uses_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.discount_uses
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what a discount reduced stays; a void invoice gives it back');
-- no intent without the uses of its invoice, whoever finalises
CREATE TRIGGER stripe_charges_use_discounts AFTER INSERT ON billing.stripe_charges
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.use_discounts();
