-- Who did what to which object: written by billing.log_action, never changed.

CREATE TABLE billing.automation_log (
    log_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    logged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor <> ''),
    run_id text,
    action text NOT NULL CHECK (action <> ''),
    object_type text NOT NULL,
    object_id text NOT NULL,
    reason text,
    state_before jsonb,
    state_after jsonb
);
CREATE INDEX automation_log_object ON billing.automation_log (object_type, object_id);
COMMENT ON TABLE billing.automation_log IS 'Who or which run did what to which object, before and after; append-only';
COMMENT ON COLUMN billing.automation_log.log_id IS 'Order of writing';
COMMENT ON COLUMN billing.automation_log.logged_at IS 'When it was written';
COMMENT ON COLUMN billing.automation_log.actor IS 'A person, or the program that acted';
COMMENT ON COLUMN billing.automation_log.run_id IS 'The Dagster run, if one acted';
COMMENT ON COLUMN billing.automation_log.action IS 'What was done, as object.verb: usage.correct, invoice.finalise, stripe.pay';
COMMENT ON COLUMN billing.automation_log.object_type IS 'Kind of the object: usage_event, customer, invoice, month';
COMMENT ON COLUMN billing.automation_log.object_id IS 'Key of the object within its kind';
COMMENT ON COLUMN billing.automation_log.reason IS 'Why, in the words of the author or of Stripe';
COMMENT ON COLUMN billing.automation_log.state_before IS 'The object before, where it changed';
COMMENT ON COLUMN billing.automation_log.state_after IS 'The object after, or the evidence';
CREATE TRIGGER automation_log_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.automation_log
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the audit log is append-only');
