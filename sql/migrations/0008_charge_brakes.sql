-- What stops charging, what is looked at again, and the rules of attempts and currency that a charge keeps.

CREATE FUNCTION billing.database_incarnation() RETURNS text
LANGUAGE sql STABLE AS $$
SELECT format(
    '%s/%s',
    (SELECT system_identifier FROM pg_control_system()),
    greatest(
        (SELECT timeline_id FROM pg_control_checkpoint()),
        -- the control file learns of a promotion with its first checkpoint, minutes later; the WAL's name at once
        CASE WHEN NOT pg_is_in_recovery() THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer END
    )
);
$$;
COMMENT ON FUNCTION billing.database_incarnation IS 'System identifier and timeline of the server: another one after a failover, a restore or a move, any of which may have lost commits';

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

CREATE FUNCTION billing.check_brakes() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF new.incarnation <> old.incarnation
        AND (NOT old.needs_reconciliation OR new.needs_reconciliation OR new.incarnation <> billing.database_incarnation())
    THEN
        RAISE EXCEPTION 'the incarnation changes with a reconciliation, to the present one' USING ERRCODE = 'restrict_violation';
    END IF;
    IF old.needs_reconciliation AND NOT new.needs_reconciliation AND new.incarnation <> billing.database_incarnation() THEN
        RAISE EXCEPTION 'a reconciliation is of the present database' USING ERRCODE = 'restrict_violation';
    END IF;
    IF new.charges_enabled AND NOT old.charges_enabled AND new.incarnation <> billing.database_incarnation() THEN
        RAISE EXCEPTION 'charging starts again after a reconciliation: the database is not the one that it was'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (new.charges_enabled, new.needs_reconciliation, new.changed_by, new.reason)
        IS DISTINCT FROM (old.charges_enabled, old.needs_reconciliation, old.changed_by, old.reason)
    THEN
        new.changed_at = clock_timestamp();
        INSERT INTO billing.automation_log (actor, action, object_type, object_id, reason, state_before, state_after)
        VALUES (
            new.changed_by,
            CASE WHEN new.charges_enabled THEN 'charging.resume' ELSE 'charging.pause' END,
            'brake', 'charges_enabled', new.reason,
            jsonb_build_object('charges_enabled', old.charges_enabled, 'needs_reconciliation', old.needs_reconciliation,
                'incarnation', old.incarnation),
            jsonb_build_object('charges_enabled', new.charges_enabled, 'needs_reconciliation', new.needs_reconciliation,
                'incarnation', new.incarnation)
        );
    END IF;
    IF (new.probe_at IS NULL) <> (old.probe_at IS NULL) THEN
        INSERT INTO billing.automation_log (actor, action, object_type, object_id, reason)
        VALUES (
            'stripe-charger', CASE WHEN new.probe_at IS NULL THEN 'circuit.close' ELSE 'circuit.open' END,
            'brake', 'circuit_breaker', format('%s calls in a row without an answer', greatest(old.consecutive_failures, new.consecutive_failures))
        );
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_brakes IS 'Trigger: what was stopped by a change of the database starts again only reconciled; every switch is in the audit log, whoever made it';
CREATE TRIGGER charge_brakes_change BEFORE UPDATE ON billing.charge_brakes
FOR EACH ROW EXECUTE FUNCTION billing.check_brakes();
CREATE TRIGGER charge_brakes_keep BEFORE DELETE OR TRUNCATE ON billing.charge_brakes
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('without the row nobody could stop charging');

CREATE FUNCTION billing.stop_if_another_database() RETURNS boolean
LANGUAGE sql AS $$
WITH stopped AS (
    UPDATE billing.charge_brakes AS b
    SET
        charges_enabled = FALSE,
        needs_reconciliation = TRUE,
        changed_by = 'billing-pipeline',
        reason = format('the database was %s and is %s: commits may be lost', b.incarnation, billing.database_incarnation())
    WHERE b.incarnation <> billing.database_incarnation() AND NOT b.needs_reconciliation
    RETURNING TRUE
)

SELECT EXISTS (SELECT FROM stopped);
$$;
COMMENT ON FUNCTION billing.stop_if_another_database IS 'Switches charging off if the server is not the one of the last reconciliation; whether it did';

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

INSERT INTO billing.charge_releases (billing_month, through_number, canaries, refused, author, reason)
SELECT i.billing_month, max(i.invoice_number), 0, 0, 'billing-pipeline', 'final before there were canaries'
FROM billing.invoices AS i
WHERE i.invoice_number IS NOT NULL
GROUP BY i.billing_month;

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

ALTER TABLE billing.stripe_charges ADD COLUMN stripe_currency billing.currency_code;
COMMENT ON COLUMN billing.stripe_charges.stripe_currency IS 'Currency of Stripe''s total; finalised there only when it is ours';
UPDATE billing.stripe_charges SET stripe_currency = currency WHERE stripe_total_minor IS NOT NULL;
ALTER TABLE billing.stripe_charges DROP CONSTRAINT stripe_total_equals_ours;
ALTER TABLE billing.stripe_charges ADD CONSTRAINT stripe_total_equals_ours CHECK (
    state IN ('intended', 'drafted', 'parked', 'void')
    OR coalesce(stripe_total_minor = amount_minor AND stripe_currency = currency, FALSE)
);
CREATE INDEX stripe_charges_customer ON billing.stripe_charges (customer_id);
CREATE INDEX stripe_charges_unfinished ON billing.stripe_charges (state)
WHERE state IN ('intended', 'drafted', 'lines_added', 'finalized', 'refused', 'parked');

CREATE FUNCTION billing.check_attempt() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF new.attempt > old.attempt AND NOT (
        (old.state = 'refused' AND new.state = 'finalized')
        OR old.state = 'parked'
        OR (new.state = old.state AND old.outcome_unknown_since IS NOT NULL AND new.outcome_unknown_since IS NULL)
    ) THEN
        RAISE EXCEPTION 'charge %: an attempt rises only after a definite answer to the one before', old.invoice_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF old.state = 'refused' AND new.state = 'finalized' AND new.attempt = old.attempt THEN
        RAISE EXCEPTION 'charge %: what was refused is tried again as another attempt', old.invoice_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_attempt IS 'Trigger: a new attempt, and so a new idempotency key, needs a refusal, a person''s decision, or an unknown outcome that Stripe was asked about';
CREATE TRIGGER stripe_charges_check_attempt BEFORE UPDATE ON billing.stripe_charges
FOR EACH ROW EXECUTE FUNCTION billing.check_attempt();
