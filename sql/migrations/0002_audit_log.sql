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

CREATE TABLE billing.audit_entries (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    noted_by text NOT NULL DEFAULT session_user,
    table_name text NOT NULL,
    row_key text NOT NULL,
    row_sha256 bytea CHECK (octet_length(row_sha256) = 32),
    seal_no bigint UNIQUE CHECK (seal_no > 0),
    seal bytea CHECK (octet_length(seal) = 32),
    CHECK ((seal_no IS NULL) = (seal IS NULL))
);
CREATE INDEX audit_entries_unsealed ON billing.audit_entries (entry_id) WHERE seal_no IS NULL;
CREATE INDEX audit_entries_imports ON billing.audit_entries (row_key) WHERE table_name = 'usage_events';
COMMENT ON TABLE billing.audit_entries IS 'The audit chain: one row a change of a row that money depends on, written by a trigger with the change, sealed in order by billing.seal_audit; append-only';
COMMENT ON COLUMN billing.audit_entries.entry_id IS 'Order of writing';
COMMENT ON COLUMN billing.audit_entries.noted_at IS 'When it was written';
COMMENT ON COLUMN billing.audit_entries.noted_by IS 'The role of Postgres that was logged in';
COMMENT ON COLUMN billing.audit_entries.table_name IS 'The table whose row changed';
COMMENT ON COLUMN billing.audit_entries.row_key IS 'Its primary key, columns separated by the control character U+001F; of usage_events, which are many, the import''s id';
COMMENT ON COLUMN billing.audit_entries.row_sha256 IS 'Digest of the row as it was then; of usage_events, of all that came with the import; null: the row was deleted';
COMMENT ON COLUMN billing.audit_entries.seal_no IS 'Place in the chain, without gaps; null until it is sealed';
COMMENT ON COLUMN billing.audit_entries.seal IS 'SHA-256 over the seal before and this entry: whoever knows the newest one can tell whether anything before it was changed';
CREATE TRIGGER audit_entries_change BEFORE UPDATE ON billing.audit_entries
FOR EACH ROW WHEN (
    old.seal_no IS NOT NULL OR new.seal_no IS NULL
    OR (new.entry_id, new.noted_at, new.noted_by, new.table_name, new.row_key, new.row_sha256)
    IS DISTINCT FROM (old.entry_id, old.noted_at, old.noted_by, old.table_name, old.row_key, old.row_sha256)
) EXECUTE FUNCTION billing.refuse_change('an entry is sealed once and never changed');
CREATE TRIGGER audit_entries_keep BEFORE DELETE OR TRUNCATE ON billing.audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the audit chain is append-only');
