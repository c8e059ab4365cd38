-- What Stripe has beside the charges: one table a kind of object, each row as Stripe showed it last. Written by the
-- processing of events from objects retrieved from Stripe, never from an event's body.

CREATE TABLE billing.stripe_payments (
    payment_id text PRIMARY KEY CHECK (payment_id <> ''),
    invoice_id uuid NOT NULL,
    stripe_invoice_id text NOT NULL,
    payment_intent_id text,
    requested_minor bigint NOT NULL CHECK (requested_minor >= 0),
    paid_minor bigint NOT NULL CHECK (paid_minor >= 0),
    currency billing.currency_code NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'paid', 'canceled')),
    created_at timestamptz NOT NULL,
    paid_at timestamptz,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (invoice_id, stripe_invoice_id) REFERENCES billing.stripe_charges (invoice_id, stripe_invoice_id),
    CHECK ((status = 'paid') = (paid_at IS NOT NULL)),
    CHECK (status = 'paid' OR paid_minor = 0)
);
CREATE INDEX stripe_payments_invoice ON billing.stripe_payments (invoice_id);
CREATE INDEX stripe_payments_intent ON billing.stripe_payments (payment_intent_id);
COMMENT ON TABLE billing.stripe_payments IS 'One row a payment of an invoice at Stripe (invoice_payment), as last retrieved';
COMMENT ON COLUMN billing.stripe_payments.payment_id IS 'Stripe''s id (inpay_…)';
COMMENT ON COLUMN billing.stripe_payments.invoice_id IS 'The invoice that it pays';
COMMENT ON COLUMN billing.stripe_payments.stripe_invoice_id IS 'The same at Stripe: the one that our charge made';
COMMENT ON COLUMN billing.stripe_payments.payment_intent_id IS 'Payment intent (pi_…) behind it; refunds and disputes name it';
COMMENT ON COLUMN billing.stripe_payments.requested_minor IS 'Amount asked for, in minor units';
COMMENT ON COLUMN billing.stripe_payments.paid_minor IS 'Amount paid, in minor units';
COMMENT ON COLUMN billing.stripe_payments.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.stripe_payments.status IS 'open, paid or canceled; the last two are final';
COMMENT ON COLUMN billing.stripe_payments.created_at IS 'When Stripe made it';
COMMENT ON COLUMN billing.stripe_payments.paid_at IS 'When it was paid, by Stripe''s clock';
COMMENT ON COLUMN billing.stripe_payments.first_seen_at IS 'When it was first written here';
COMMENT ON COLUMN billing.stripe_payments.changed_at IS 'When a fact about it last changed here';
CREATE TRIGGER stripe_payments_change BEFORE UPDATE ON billing.stripe_payments FOR EACH ROW
EXECUTE FUNCTION billing.check_stripe_object(
    'payment_id invoice_id stripe_invoice_id currency created_at first_seen_at',
    'paid canceled'
);
CREATE TRIGGER stripe_payments_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_payments
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what Stripe showed is kept');

CREATE TABLE billing.stripe_refunds (
    refund_id text PRIMARY KEY CHECK (refund_id <> ''),
    invoice_id uuid NOT NULL,
    stripe_invoice_id text NOT NULL,
    payment_intent_id text,
    charge_id text,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency billing.currency_code NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'requires_action', 'succeeded', 'failed', 'canceled')),
    reason text,
    created_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (invoice_id, stripe_invoice_id) REFERENCES billing.stripe_charges (invoice_id, stripe_invoice_id)
);
CREATE INDEX stripe_refunds_invoice ON billing.stripe_refunds (invoice_id);
COMMENT ON TABLE billing.stripe_refunds IS 'One row a refund at Stripe of a payment of ours, as last retrieved';
COMMENT ON COLUMN billing.stripe_refunds.refund_id IS 'Stripe''s id (re_…)';
COMMENT ON COLUMN billing.stripe_refunds.invoice_id IS 'The invoice whose payment is refunded';
COMMENT ON COLUMN billing.stripe_refunds.stripe_invoice_id IS 'The same at Stripe';
COMMENT ON COLUMN billing.stripe_refunds.payment_intent_id IS 'Payment intent that is refunded';
COMMENT ON COLUMN billing.stripe_refunds.charge_id IS 'Charge (ch_…) that is refunded';
COMMENT ON COLUMN billing.stripe_refunds.amount_minor IS 'Amount given back, in minor units';
COMMENT ON COLUMN billing.stripe_refunds.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.stripe_refunds.status IS 'pending, requires_action, succeeded, failed or canceled. One that succeeded may still fail later; failed and canceled are final';
COMMENT ON COLUMN billing.stripe_refunds.reason IS 'Why, in Stripe''s words';
COMMENT ON COLUMN billing.stripe_refunds.created_at IS 'When Stripe made it';
COMMENT ON COLUMN billing.stripe_refunds.first_seen_at IS 'When it was first written here';
COMMENT ON COLUMN billing.stripe_refunds.changed_at IS 'When a fact about it last changed here';
CREATE TRIGGER stripe_refunds_change BEFORE UPDATE ON billing.stripe_refunds FOR EACH ROW
EXECUTE FUNCTION billing.check_stripe_object(
    'refund_id invoice_id stripe_invoice_id amount_minor currency created_at first_seen_at',
    'failed canceled'
);
CREATE TRIGGER stripe_refunds_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_refunds
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what Stripe showed is kept');

CREATE TABLE billing.stripe_credit_notes (
    credit_note_id text PRIMARY KEY CHECK (credit_note_id <> ''),
    invoice_id uuid NOT NULL,
    stripe_invoice_id text NOT NULL,
    number text NOT NULL,
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    pre_payment_minor bigint NOT NULL CHECK (pre_payment_minor >= 0),
    post_payment_minor bigint NOT NULL CHECK (post_payment_minor >= 0),
    currency billing.currency_code NOT NULL,
    status text NOT NULL CHECK (status IN ('issued', 'void')),
    reason text,
    created_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (invoice_id, stripe_invoice_id) REFERENCES billing.stripe_charges (invoice_id, stripe_invoice_id)
);
CREATE INDEX stripe_credit_notes_invoice ON billing.stripe_credit_notes (invoice_id);
COMMENT ON TABLE billing.stripe_credit_notes IS 'One row a credit note at Stripe for an invoice of ours, as last retrieved';
COMMENT ON COLUMN billing.stripe_credit_notes.credit_note_id IS 'Stripe''s id (cn_…)';
COMMENT ON COLUMN billing.stripe_credit_notes.invoice_id IS 'The invoice that is credited';
COMMENT ON COLUMN billing.stripe_credit_notes.stripe_invoice_id IS 'The same at Stripe';
COMMENT ON COLUMN billing.stripe_credit_notes.number IS 'Number as printed';
COMMENT ON COLUMN billing.stripe_credit_notes.total_minor IS 'Amount credited, in minor units';
COMMENT ON COLUMN billing.stripe_credit_notes.pre_payment_minor IS 'Part that lowered what was still to be paid';
COMMENT ON COLUMN billing.stripe_credit_notes.post_payment_minor IS 'Part given back of what had been paid';
COMMENT ON COLUMN billing.stripe_credit_notes.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.stripe_credit_notes.status IS 'issued or void, which is final';
COMMENT ON COLUMN billing.stripe_credit_notes.reason IS 'Why, in Stripe''s words';
COMMENT ON COLUMN billing.stripe_credit_notes.created_at IS 'When Stripe made it';
COMMENT ON COLUMN billing.stripe_credit_notes.first_seen_at IS 'When it was first written here';
COMMENT ON COLUMN billing.stripe_credit_notes.changed_at IS 'When a fact about it last changed here';
CREATE TRIGGER stripe_credit_notes_change BEFORE UPDATE ON billing.stripe_credit_notes FOR EACH ROW
EXECUTE FUNCTION billing.check_stripe_object(
    'credit_note_id invoice_id stripe_invoice_id number total_minor currency created_at first_seen_at',
    'void'
);
CREATE TRIGGER stripe_credit_notes_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_credit_notes
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what Stripe showed is kept');

CREATE TABLE billing.stripe_disputes (
    dispute_id text PRIMARY KEY CHECK (dispute_id <> ''),
    invoice_id uuid NOT NULL,
    stripe_invoice_id text NOT NULL,
    payment_intent_id text,
    charge_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency billing.currency_code NOT NULL,
    status text NOT NULL CHECK (
        status IN (
            'warning_needs_response', 'warning_under_review', 'warning_closed', 'needs_response', 'under_review',
            'won', 'lost', 'prevented'
        )
    ),
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken_back_minor bigint NOT NULL DEFAULT 0,
    FOREIGN KEY (invoice_id, stripe_invoice_id) REFERENCES billing.stripe_charges (invoice_id, stripe_invoice_id),
    CHECK (taken_back_minor BETWEEN 0 AND amount_minor)
);
CREATE INDEX stripe_disputes_invoice ON billing.stripe_disputes (invoice_id);
COMMENT ON TABLE billing.stripe_disputes IS 'One row a dispute at Stripe of a payment of ours, as last retrieved';
COMMENT ON COLUMN billing.stripe_disputes.dispute_id IS 'Stripe''s id (du_…)';
COMMENT ON COLUMN billing.stripe_disputes.invoice_id IS 'The invoice whose payment is disputed';
COMMENT ON COLUMN billing.stripe_disputes.stripe_invoice_id IS 'The same at Stripe';
COMMENT ON COLUMN billing.stripe_disputes.payment_intent_id IS 'Payment intent that is disputed';
COMMENT ON COLUMN billing.stripe_disputes.charge_id IS 'Charge (ch_…) that is disputed';
COMMENT ON COLUMN billing.stripe_disputes.amount_minor IS 'Amount in dispute, in minor units';
COMMENT ON COLUMN billing.stripe_disputes.currency IS 'Currency of the amount';
COMMENT ON COLUMN billing.stripe_disputes.status IS 'Stripe''s status; won, lost, warning_closed and prevented are final';
COMMENT ON COLUMN billing.stripe_disputes.reason IS 'Why, in the cardholder''s bank''s words';
COMMENT ON COLUMN billing.stripe_disputes.created_at IS 'When Stripe made it';
COMMENT ON COLUMN billing.stripe_disputes.first_seen_at IS 'When it was first written here';
COMMENT ON COLUMN billing.stripe_disputes.changed_at IS 'When a fact about it last changed here';
COMMENT ON COLUMN billing.stripe_disputes.taken_back_minor IS 'What the bank has of the amount at the moment, in minor units: withdrawn and not reinstated. An inquiry takes nothing';
CREATE TRIGGER stripe_disputes_change BEFORE UPDATE ON billing.stripe_disputes FOR EACH ROW
EXECUTE FUNCTION billing.check_stripe_object(
    'dispute_id invoice_id stripe_invoice_id charge_id currency created_at first_seen_at',
    'won lost warning_closed prevented'
);
CREATE TRIGGER stripe_disputes_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_disputes
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what Stripe showed is kept');

CREATE TABLE billing.stripe_customers (
    stripe_customer_id text PRIMARY KEY CHECK (stripe_customer_id <> ''),
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    default_payment_method_id text,
    delinquent boolean NOT NULL,
    status text NOT NULL CHECK (status IN ('live', 'deleted')),
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX stripe_customers_customer ON billing.stripe_customers (customer_id);
COMMENT ON TABLE billing.stripe_customers IS 'One row a customer at Stripe that is one of ours, as last retrieved';
COMMENT ON COLUMN billing.stripe_customers.stripe_customer_id IS 'Stripe''s id (cus_…)';
COMMENT ON COLUMN billing.stripe_customers.customer_id IS 'The customer';
COMMENT ON COLUMN billing.stripe_customers.default_payment_method_id IS 'What invoices are charged to; null: none';
COMMENT ON COLUMN billing.stripe_customers.delinquent IS 'Whether the latest charge of an invoice failed';
COMMENT ON COLUMN billing.stripe_customers.status IS 'live or deleted, which is final';
COMMENT ON COLUMN billing.stripe_customers.first_seen_at IS 'When it was first written here';
COMMENT ON COLUMN billing.stripe_customers.changed_at IS 'When a fact about it last changed here';
CREATE TRIGGER stripe_customers_change BEFORE UPDATE ON billing.stripe_customers FOR EACH ROW
EXECUTE FUNCTION billing.check_stripe_object(
    'stripe_customer_id customer_id first_seen_at',
    'deleted'
);
CREATE TRIGGER stripe_customers_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_customers
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what Stripe showed is kept');

CREATE TABLE billing.stripe_payment_methods (
    payment_method_id text PRIMARY KEY CHECK (payment_method_id <> ''),
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    stripe_customer_id text NOT NULL,
    type text NOT NULL,
    brand text,
    last4 text,
    expires_on date,
    status text NOT NULL CHECK (status IN ('attached', 'detached')),
    created_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX stripe_payment_methods_customer ON billing.stripe_payment_methods (customer_id);
COMMENT ON TABLE billing.stripe_payment_methods IS 'One row a payment method at Stripe of a customer of ours, as last retrieved';
COMMENT ON COLUMN billing.stripe_payment_methods.payment_method_id IS 'Stripe''s id (pm_…)';
COMMENT ON COLUMN billing.stripe_payment_methods.customer_id IS 'Whose';
COMMENT ON COLUMN billing.stripe_payment_methods.stripe_customer_id IS 'Customer at Stripe that it is or was attached to';
COMMENT ON COLUMN billing.stripe_payment_methods.type IS 'card, sepa_debit, …';
COMMENT ON COLUMN billing.stripe_payment_methods.brand IS 'Brand of a card';
COMMENT ON COLUMN billing.stripe_payment_methods.last4 IS 'Last four digits of a card';
COMMENT ON COLUMN billing.stripe_payment_methods.expires_on IS 'Last day of the month in which a card expires';
COMMENT ON COLUMN billing.stripe_payment_methods.status IS 'attached or detached, which is final';
COMMENT ON COLUMN billing.stripe_payment_methods.created_at IS 'When Stripe made it';
COMMENT ON COLUMN billing.stripe_payment_methods.first_seen_at IS 'When it was first written here';
COMMENT ON COLUMN billing.stripe_payment_methods.changed_at IS 'When a fact about it last changed here';
CREATE TRIGGER stripe_payment_methods_change BEFORE UPDATE ON billing.stripe_payment_methods FOR EACH ROW
EXECUTE FUNCTION billing.check_stripe_object(
    'payment_method_id customer_id stripe_customer_id type created_at first_seen_at',
    'detached'
);
CREATE TRIGGER stripe_payment_methods_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_payment_methods
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what Stripe showed is kept');

CREATE TABLE billing.stripe_subscriptions (
    subscription_id text PRIMARY KEY CHECK (subscription_id <> ''),
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    stripe_customer_id text NOT NULL,
    status text NOT NULL CHECK (
        status IN (
            'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused'
        )
    ),
    cancel_at timestamptz,
    canceled_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX stripe_subscriptions_customer ON billing.stripe_subscriptions (customer_id);
COMMENT ON TABLE billing.stripe_subscriptions IS 'One row a subscription at Stripe of a customer of ours, as last retrieved';
COMMENT ON COLUMN billing.stripe_subscriptions.subscription_id IS 'Stripe''s id (sub_…)';
COMMENT ON COLUMN billing.stripe_subscriptions.customer_id IS 'Whose';
COMMENT ON COLUMN billing.stripe_subscriptions.stripe_customer_id IS 'Customer at Stripe';
COMMENT ON COLUMN billing.stripe_subscriptions.status IS 'Stripe''s status; canceled and incomplete_expired are final';
COMMENT ON COLUMN billing.stripe_subscriptions.cancel_at IS 'When it will end, if that is decided';
COMMENT ON COLUMN billing.stripe_subscriptions.canceled_at IS 'When its end was asked for';
COMMENT ON COLUMN billing.stripe_subscriptions.ended_at IS 'When it ended';
COMMENT ON COLUMN billing.stripe_subscriptions.created_at IS 'When Stripe made it';
COMMENT ON COLUMN billing.stripe_subscriptions.first_seen_at IS 'When it was first written here';
COMMENT ON COLUMN billing.stripe_subscriptions.changed_at IS 'When a fact about it last changed here';
CREATE TRIGGER stripe_subscriptions_change BEFORE UPDATE ON billing.stripe_subscriptions FOR EACH ROW
EXECUTE FUNCTION billing.check_stripe_object(
    'subscription_id customer_id stripe_customer_id created_at first_seen_at',
    'canceled incomplete_expired'
);
CREATE TRIGGER stripe_subscriptions_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_subscriptions
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what Stripe showed is kept');
