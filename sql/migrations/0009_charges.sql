-- The charge intent, what is known of it at Stripe, and what stops charging or looks at a charge again.
-- charging/rules names the same states and transitions; a test holds the two against each other.

CREATE TABLE billing.charge_transitions (
    from_state text NOT NULL,
    to_state text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
COMMENT ON TABLE billing.charge_transitions IS 'One row an allowed step of stripe_charges.state';
COMMENT ON COLUMN billing.charge_transitions.from_state IS 'State before';
COMMENT ON COLUMN billing.charge_transitions.to_state IS 'State after';
INSERT INTO billing.charge_transitions (from_state, to_state)
SELECT f.state, t.state
FROM (
    VALUES
    ('intended', 0), ('drafted', 1), ('lines_added', 2), ('finalized', 3), ('refused', 3), ('parked', 3)
) AS f (state, stage)
CROSS JOIN (
    VALUES
    ('intended', 0), ('drafted', 1), ('lines_added', 2), ('finalized', 3), ('refused', 3), ('parked', 3),
    ('paid', 4), ('void', 4), ('uncollectible', 4)
) AS t (state, stage)
WHERE f.state <> t.state AND (t.stage >= f.stage OR f.state = 'parked')
UNION ALL
VALUES ('uncollectible', 'paid'), ('uncollectible', 'void');
CREATE TRIGGER charge_transitions_fixed
BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON billing.charge_transitions
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the transitions change by a migration');

CREATE TABLE billing.stripe_charges (
    invoice_id uuid PRIMARY KEY,
    billing_month billing.month_start NOT NULL,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    amount_minor bigint NOT NULL,
    currency billing.currency_code NOT NULL,
    request_body bytea NOT NULL,
    request_version smallint NOT NULL DEFAULT 1 CHECK (request_version > 0),
    request_sha256 bytea NOT NULL GENERATED ALWAYS AS (sha256(request_body)) STORED,
    state text NOT NULL DEFAULT 'intended' CHECK (
        state IN (
            'intended', 'drafted', 'lines_added', 'finalized', 'refused', 'parked', 'paid', 'void', 'uncollectible'
        )
    ),
    reason_code text,
    reason text,
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    stripe_customer_id text,
    stripe_invoice_id text UNIQUE,
    stripe_total_minor bigint,
    outcome_unknown_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id text NOT NULL,
    stripe_currency billing.currency_code,
    bank_payment_id text CHECK (bank_payment_id <> ''),
    bank_payment_since timestamptz,
    attempt_began_at timestamptz,
    UNIQUE (invoice_id, stripe_invoice_id),
    FOREIGN KEY (invoice_id, customer_id, billing_month, amount_minor, currency)
    REFERENCES billing.invoices (invoice_id, customer_id, billing_month, due_minor, currency),
    CHECK (state IN ('intended', 'parked', 'void') OR stripe_invoice_id IS NOT NULL),
    CHECK (stripe_invoice_id IS NULL OR stripe_customer_id IS NOT NULL),
    CONSTRAINT stripe_total_equals_ours CHECK (
        state IN ('intended', 'drafted', 'parked', 'void')
        OR coalesce(stripe_total_minor = amount_minor AND stripe_currency = currency, FALSE)
    ),
    CHECK ((state IN ('refused', 'parked')) <= (reason_code IS NOT NULL)),
    CHECK ((bank_payment_id IS NULL) = (bank_payment_since IS NULL))
);
CREATE INDEX stripe_charges_month ON billing.stripe_charges (billing_month, state);
CREATE INDEX stripe_charges_customer ON billing.stripe_charges (customer_id);
CREATE INDEX stripe_charges_unfinished ON billing.stripe_charges (state)
WHERE state IN ('intended', 'drafted', 'lines_added', 'finalized', 'refused', 'parked');
COMMENT ON TABLE billing.stripe_charges IS 'One row a finalised invoice: the intent to charge it, frozen, and its state at Stripe';
COMMENT ON COLUMN billing.stripe_charges.invoice_id IS 'The invoice; metadata.invoice_id at Stripe';
COMMENT ON COLUMN billing.stripe_charges.billing_month IS 'Partition, the invoice''s by foreign key';
COMMENT ON COLUMN billing.stripe_charges.customer_id IS 'Who pays, the invoice''s customer by foreign key';
COMMENT ON COLUMN billing.stripe_charges.amount_minor IS 'What is due of the invoice: its total less prepaid credits, by foreign key';
COMMENT ON COLUMN billing.stripe_charges.currency IS 'The invoice''s currency, by foreign key';
COMMENT ON COLUMN billing.stripe_charges.request_body IS 'What Stripe is sent, as canonical JSON bytes, frozen with the intent';
COMMENT ON COLUMN billing.stripe_charges.request_version IS 'Which rules made request_body: invoicing/rules/charge_request.py can compute each version again';
COMMENT ON COLUMN billing.stripe_charges.request_sha256 IS 'Digest of request_body';
COMMENT ON COLUMN billing.stripe_charges.state IS 'intended, drafted, lines_added, finalized, refused, parked, paid, void or uncollectible';
COMMENT ON COLUMN billing.stripe_charges.reason_code IS 'Why it is refused or parked: a code of the closed error table';
COMMENT ON COLUMN billing.stripe_charges.reason IS 'The same in words, with evidence';
COMMENT ON COLUMN billing.stripe_charges.attempt IS 'Number of the payment attempt; part of its idempotency key';
COMMENT ON COLUMN billing.stripe_charges.stripe_customer_id IS 'Customer at Stripe that is charged; set once, and another one only by a row of charge_relinks';
COMMENT ON COLUMN billing.stripe_charges.stripe_invoice_id IS 'Invoice at Stripe; set once, and taken away only by a row of charge_relinks';
COMMENT ON COLUMN billing.stripe_charges.stripe_total_minor IS 'Total that Stripe computed; finalised there only when equal to ours';
COMMENT ON COLUMN billing.stripe_charges.outcome_unknown_since IS 'When a call was lost without an answer; null once Stripe was asked';
COMMENT ON COLUMN billing.stripe_charges.created_at IS 'When the intent was written';
COMMENT ON COLUMN billing.stripe_charges.updated_at IS 'Last change';
COMMENT ON COLUMN billing.stripe_charges.run_id IS 'Run that finalised the invoice';
COMMENT ON COLUMN billing.stripe_charges.stripe_currency IS 'Currency of Stripe''s total; finalised there only when it is ours';
COMMENT ON COLUMN billing.stripe_charges.bank_payment_id IS 'Payment intent (pi_…) of this attempt whose answer takes days: while the charge is finalized it is waited for, whatever the answer; null: none';
COMMENT ON COLUMN billing.stripe_charges.bank_payment_since IS 'When it was first seen; null: there is none';
COMMENT ON COLUMN billing.stripe_charges.attempt_began_at IS 'From when the attempt''s payment may have been asked for; null: not yet';
CREATE TRIGGER stripe_charges_change BEFORE INSERT OR UPDATE ON billing.stripe_charges
FOR EACH ROW EXECUTE FUNCTION billing.check_charge();
CREATE TRIGGER stripe_charges_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_charges
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('charges are kept');
CREATE TRIGGER stripe_charges_check_attempt BEFORE UPDATE ON billing.stripe_charges
FOR EACH ROW EXECUTE FUNCTION billing.check_attempt();
CREATE CONSTRAINT TRIGGER stripe_charges_evidence AFTER UPDATE ON billing.stripe_charges
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (
    (old.state, old.attempt, old.stripe_customer_id, old.stripe_invoice_id)
    IS DISTINCT FROM (new.state, new.attempt, new.stripe_customer_id, new.stripe_invoice_id)
) EXECUTE FUNCTION billing.check_charge_evidence();
CREATE TRIGGER stripe_charges_sealed AFTER INSERT ON billing.stripe_charges
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.seal_invoices();

CREATE TABLE billing.invoice_pages (
    invoice_id uuid PRIMARY KEY REFERENCES billing.stripe_charges (invoice_id),
    page_url text NOT NULL CHECK (page_url ~ '^https?://\S+$'),
    pdf_url text CHECK (pdf_url ~ '^https?://\S+$'),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.invoice_pages IS 'One row an invoice that Stripe has finalised: where its customer finds it there. Whoever has an address is let in, so analysts do not read it; append-only';
COMMENT ON COLUMN billing.invoice_pages.invoice_id IS 'The invoice';
COMMENT ON COLUMN billing.invoice_pages.page_url IS 'Stripe''s page, where it can be read and paid; it works for at least 30 days after it is due';
COMMENT ON COLUMN billing.invoice_pages.pdf_url IS 'Stripe''s PDF; null: Stripe named none';
COMMENT ON COLUMN billing.invoice_pages.seen_at IS 'When Stripe named them';
CREATE TRIGGER invoice_pages_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.invoice_pages
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('where an invoice is at Stripe is kept');

CREATE TABLE billing.charge_relinks (
    invoice_id uuid NOT NULL REFERENCES billing.stripe_charges (invoice_id),
    attempt integer NOT NULL CHECK (attempt > 1),
    from_stripe_customer_id text NOT NULL CHECK (from_stripe_customer_id <> ''),
    to_stripe_customer_id text NOT NULL CHECK (to_stripe_customer_id <> ''),
    from_stripe_invoice_id text CHECK (from_stripe_invoice_id <> ''),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    relinked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (invoice_id, attempt),
    CHECK (from_stripe_customer_id <> to_stripe_customer_id)
);
COMMENT ON TABLE billing.charge_relinks IS 'One row a charge that goes on at another customer at Stripe: nothing of it was ever finalised at the one before, and nothing is left there; append-only';
COMMENT ON COLUMN billing.charge_relinks.invoice_id IS 'The charge';
COMMENT ON COLUMN billing.charge_relinks.attempt IS 'The attempt that begins with it: its calls have keys of their own';
COMMENT ON COLUMN billing.charge_relinks.from_stripe_customer_id IS 'Customer at Stripe that was to be charged';
COMMENT ON COLUMN billing.charge_relinks.to_stripe_customer_id IS 'Customer at Stripe that is charged instead';
COMMENT ON COLUMN billing.charge_relinks.from_stripe_invoice_id IS 'The draft that had been made there and is deleted; null: none was known';
COMMENT ON COLUMN billing.charge_relinks.author IS 'Who decided';
COMMENT ON COLUMN billing.charge_relinks.reason IS 'Why';
COMMENT ON COLUMN billing.charge_relinks.relinked_at IS 'When';
CREATE TRIGGER charge_relinks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.charge_relinks
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('where a charge went on is kept');

CREATE TABLE billing.invoice_seals (
    invoice_id uuid PRIMARY KEY REFERENCES billing.invoices (invoice_id),
    invoice_sha256 bytea NOT NULL,
    lines_sha256 bytea NOT NULL,
    prices_sha256 bytea NOT NULL,
    snapshots_sha256 bytea NOT NULL,
    events_sha256 bytea NOT NULL,
    intent_sha256 bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.invoice_seals IS 'One row a finalised invoice: digests of all that it was made of, taken when its charge intent was written; `billing explain` compares';
COMMENT ON COLUMN billing.invoice_seals.invoice_id IS 'The invoice';
COMMENT ON COLUMN billing.invoice_seals.invoice_sha256 IS 'Of the invoice, without its status, and its period';
COMMENT ON COLUMN billing.invoice_seals.lines_sha256 IS 'Of its lines and adjustments';
COMMENT ON COLUMN billing.invoice_seals.prices_sha256 IS 'Of the price rows that its lines name';
COMMENT ON COLUMN billing.invoice_seals.snapshots_sha256 IS 'Of the snapshots that it was billed from';
COMMENT ON COLUMN billing.invoice_seals.events_sha256 IS 'Of the events and corrections behind these snapshots';
COMMENT ON COLUMN billing.invoice_seals.intent_sha256 IS 'Of the intent to charge it and the request body';
COMMENT ON COLUMN billing.invoice_seals.sealed_at IS 'When it was sealed';
CREATE TRIGGER invoice_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.invoice_seals
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a seal is never renewed');

CREATE TABLE billing.charge_brakes (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    charges_enabled boolean NOT NULL,
    needs_reconciliation boolean NOT NULL DEFAULT FALSE,
    changed_by text NOT NULL CHECK (changed_by ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    incarnation text NOT NULL,
    consecutive_failures integer NOT NULL DEFAULT 0 CHECK (consecutive_failures >= 0),
    probe_at timestamptz CHECK (isfinite(probe_at)),
    CONSTRAINT reconciled_before_enabled CHECK (NOT (charges_enabled AND needs_reconciliation))
);
COMMENT ON TABLE billing.charge_brakes IS 'One row: the kill switch and the circuit breaker of all charging. Every change is in automation_log';
COMMENT ON COLUMN billing.charge_brakes.only_row IS 'There is one row';
COMMENT ON COLUMN billing.charge_brakes.charges_enabled IS 'The kill switch: read before every call that creates, finalises or pays at Stripe';
COMMENT ON COLUMN billing.charge_brakes.needs_reconciliation IS 'The database changed its incarnation: charging stays off until our charges were compared with Stripe''s';
COMMENT ON COLUMN billing.charge_brakes.changed_by IS 'Who switched last';
COMMENT ON COLUMN billing.charge_brakes.reason IS 'Why';
COMMENT ON COLUMN billing.charge_brakes.changed_at IS 'When';
COMMENT ON COLUMN billing.charge_brakes.incarnation IS 'billing.database_incarnation() at the last reconciliation, at first at the migration';
COMMENT ON COLUMN billing.charge_brakes.consecutive_failures IS 'Calls to Stripe in a row that had no usable answer';
COMMENT ON COLUMN billing.charge_brakes.probe_at IS 'The circuit is open: one call may be tried from then on; null while it is closed';
INSERT INTO billing.charge_brakes (charges_enabled, changed_by, reason, incarnation)
VALUES (TRUE, 'billing-pipeline', 'as installed', billing.database_incarnation());
CREATE TRIGGER charge_brakes_change BEFORE UPDATE ON billing.charge_brakes
FOR EACH ROW EXECUTE FUNCTION billing.check_brakes();
CREATE TRIGGER charge_brakes_keep BEFORE DELETE OR TRUNCATE ON billing.charge_brakes
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('without the row nobody could stop charging');

CREATE TABLE billing.charge_releases (
    release_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    billing_month billing.month_start NOT NULL,
    through_number bigint NOT NULL CHECK (through_number > 0),
    canaries integer NOT NULL CHECK (canaries >= 0),
    refused integer NOT NULL CHECK (refused BETWEEN 0 AND canaries),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    run_id text,
    released_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX charge_releases_month ON billing.charge_releases (billing_month, through_number);
COMMENT ON TABLE billing.charge_releases IS 'One row a release of a month''s charges after the first of them ended as expected, or by a person; append-only';
COMMENT ON COLUMN billing.charge_releases.release_id IS 'Order of writing';
COMMENT ON COLUMN billing.charge_releases.billing_month IS 'Partition';
COMMENT ON COLUMN billing.charge_releases.through_number IS 'Released are the month''s invoices up to this invoice_number; those that are finalised later have canaries of their own';
COMMENT ON COLUMN billing.charge_releases.canaries IS 'Charges that were compared with expectations';
COMMENT ON COLUMN billing.charge_releases.refused IS 'Those of them that were refused';
COMMENT ON COLUMN billing.charge_releases.author IS 'stripe-charger, or the person who released without it';
COMMENT ON COLUMN billing.charge_releases.reason IS 'What was compared, or the person''s reason';
COMMENT ON COLUMN billing.charge_releases.run_id IS 'Dagster run, if one released';
COMMENT ON COLUMN billing.charge_releases.released_at IS 'When';
CREATE TRIGGER charge_releases_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.charge_releases
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a release is not taken back; pause charging instead');

CREATE TABLE billing.charge_follow_ups (
    invoice_id uuid NOT NULL REFERENCES billing.stripe_charges (invoice_id),
    kind text NOT NULL CHECK (kind IN ('ask', 'pay')),
    attempt integer NOT NULL CHECK (attempt > 0),
    step integer NOT NULL DEFAULT 0 CHECK (step >= 0),
    due_at timestamptz CHECK (isfinite(due_at)),
    cause text NOT NULL CHECK (cause <> ''),
    offers integer NOT NULL DEFAULT 0 CHECK (offers >= 0),
    offered_at timestamptz,
    PRIMARY KEY (invoice_id, kind),
    CHECK (kind = 'pay' OR due_at IS NOT NULL)
);
CREATE INDEX charge_follow_ups_due ON billing.charge_follow_ups (due_at) WHERE due_at IS NOT NULL;
COMMENT ON TABLE billing.charge_follow_ups IS 'The queue of charges that are looked at again: one row a charge without a definite answer, and one a charge that was refused';
COMMENT ON COLUMN billing.charge_follow_ups.invoice_id IS 'The charge';
COMMENT ON COLUMN billing.charge_follow_ups.kind IS 'ask: Stripe is asked what became of it and the charge goes on; pay: a refused payment is tried again';
COMMENT ON COLUMN billing.charge_follow_ups.attempt IS 'The attempt that is asked about, or that was refused when this was planned';
COMMENT ON COLUMN billing.charge_follow_ups.step IS 'How often it was asked about, or retried, already; the schedules count with it';
COMMENT ON COLUMN billing.charge_follow_ups.due_at IS 'When it is done next; null: only a new payment method or a person makes it due';
COMMENT ON COLUMN billing.charge_follow_ups.cause IS 'Why it is due then, or what it waits for';
COMMENT ON COLUMN billing.charge_follow_ups.offers IS 'How often a run was asked for because of it; part of the run''s key';
COMMENT ON COLUMN billing.charge_follow_ups.offered_at IS 'When that was last';

CREATE CONSTRAINT TRIGGER invoices_status_is_the_charges AFTER UPDATE OF status ON billing.invoices
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (old.status <> new.status)
EXECUTE FUNCTION billing.check_status_is_the_charges();
