-- What stops all charging.

CREATE OR REPLACE FUNCTION billing.database_incarnation() RETURNS text
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

CREATE OR REPLACE FUNCTION billing.check_brakes() RETURNS trigger
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
        PERFORM billing.log_action(
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
        PERFORM billing.log_action(
            'stripe-charger', CASE WHEN new.probe_at IS NULL THEN 'circuit.close' ELSE 'circuit.open' END,
            'brake', 'circuit_breaker', format('%s calls in a row without an answer', greatest(old.consecutive_failures, new.consecutive_failures))
        );
    END IF;
    RETURN new;
END;
$$;
COMMENT ON FUNCTION billing.check_brakes IS 'Trigger: what was stopped by a change of the database starts again only reconciled; every switch is in the audit log, whoever made it';

CREATE OR REPLACE FUNCTION billing.stop_if_another_database() RETURNS boolean
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
