-- What Stripe told us: events as they came, encrypted; copies that contradict them; what became of each event; and the
-- sweeps that fetch what never arrived.

CREATE TABLE billing.stripe_events (
    event_id text PRIMARY KEY CHECK (event_id ~ '^[!-~]{1,255}$'),
    type text NOT NULL CHECK (type ~ '^[!-~]{1,255}$'),
    object_id text CHECK (object_id ~ '^[!-~]{1,255}$'),
    created timestamptz CHECK (isfinite(created)),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    livemode boolean,
    account text CHECK (account ~ '^[!-~]{1,255}$'),
    api_version text CHECK (api_version ~ '^[!-~]{1,255}$'),
    source text NOT NULL CHECK (source IN ('webhook', 'sweep')),
    body bytea NOT NULL,
    key_id text NOT NULL CHECK (key_id ~ '^[!-~]{1,64}$'),
    body_sha256 bytea NOT NULL CHECK (octet_length(body_sha256) = 32),
    content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32)
);
CREATE INDEX stripe_events_object ON billing.stripe_events (object_id);
CREATE INDEX stripe_events_created ON billing.stripe_events (created);
CREATE INDEX stripe_events_received ON billing.stripe_events (received_at);
COMMENT ON TABLE billing.stripe_events IS 'One row an event of Stripe''s, as it first arrived; append-only. What became of it is in stripe_event_work';
COMMENT ON COLUMN billing.stripe_events.event_id IS 'Stripe''s id (evt_…); unreadable_<SHA-256> for a signed body without a usable one';
COMMENT ON COLUMN billing.stripe_events.type IS 'Stripe''s type, such as invoice.paid; unreadable for a body without a usable one';
COMMENT ON COLUMN billing.stripe_events.object_id IS 'Id of the object that the event is about; null if it has none';
COMMENT ON COLUMN billing.stripe_events.created IS 'When it happened, by Stripe''s clock, in whole seconds: two events can tie';
COMMENT ON COLUMN billing.stripe_events.received_at IS 'When it was stored here';
COMMENT ON COLUMN billing.stripe_events.livemode IS 'Whether real money moved; null if the body does not say';
COMMENT ON COLUMN billing.stripe_events.account IS 'The connected account that it concerns; null for our own';
COMMENT ON COLUMN billing.stripe_events.api_version IS 'Version of Stripe''s API in which the body is written';
COMMENT ON COLUMN billing.stripe_events.source IS 'webhook: Stripe sent it; sweep: we fetched it from /v1/events';
COMMENT ON COLUMN billing.stripe_events.body IS 'The bytes exactly as received, under AES-256-GCM: 12 bytes of nonce, then ciphertext and tag; event_id is associated data';
COMMENT ON COLUMN billing.stripe_events.key_id IS 'Which key of BILLING_EVENT_KEYS opens the body';
COMMENT ON COLUMN billing.stripe_events.body_sha256 IS 'Digest of the bytes as received';
COMMENT ON COLUMN billing.stripe_events.content_sha256 IS 'Digest of what the bytes say, without pending_webhooks: equal for two deliveries of one event';
CREATE TRIGGER stripe_events_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.stripe_events
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('Stripe''s events are append-only');
CREATE TRIGGER stripe_events_open_work AFTER INSERT ON billing.stripe_events
FOR EACH ROW EXECUTE FUNCTION billing.open_event_work();

CREATE TABLE billing.stripe_event_conflicts (
    event_id text NOT NULL REFERENCES billing.stripe_events (event_id),
    type text NOT NULL CHECK (type ~ '^[!-~]{1,255}$'),
    object_id text CHECK (object_id ~ '^[!-~]{1,255}$'),
    created timestamptz CHECK (isfinite(created)),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    livemode boolean,
    account text CHECK (account ~ '^[!-~]{1,255}$'),
    api_version text CHECK (api_version ~ '^[!-~]{1,255}$'),
    source text NOT NULL CHECK (source IN ('webhook', 'sweep')),
    body bytea NOT NULL,
    key_id text NOT NULL CHECK (key_id ~ '^[!-~]{1,64}$'),
    body_sha256 bytea NOT NULL CHECK (octet_length(body_sha256) = 32),
    content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
    PRIMARY KEY (event_id, content_sha256)
);
COMMENT ON TABLE billing.stripe_event_conflicts IS 'One row a copy that says something else than the stored event of the same id: kept aside, never applied; append-only. Any row is an alarm';
COMMENT ON COLUMN billing.stripe_event_conflicts.event_id IS 'The stored event that it contradicts';
COMMENT ON COLUMN billing.stripe_event_conflicts.type IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.object_id IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.created IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.received_at IS 'When the copy was stored here';
COMMENT ON COLUMN billing.stripe_event_conflicts.livemode IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.account IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.api_version IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.source IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.body IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.key_id IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.body_sha256 IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_event_conflicts.content_sha256 IS 'As in stripe_events';
CREATE TRIGGER stripe_event_conflicts_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.stripe_event_conflicts
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('contradicting copies are append-only');
CREATE TRIGGER stripe_event_conflicts_differ BEFORE INSERT ON billing.stripe_event_conflicts
FOR EACH ROW EXECUTE FUNCTION billing.skip_same_event();

CREATE TABLE billing.stripe_foreign_events (
    event_id text PRIMARY KEY CHECK (event_id ~ '^[!-~]{1,255}$'),
    type text NOT NULL CHECK (type ~ '^[!-~]{1,255}$'),
    created timestamptz CHECK (isfinite(created)),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    livemode boolean,
    account text CHECK (account ~ '^[!-~]{1,255}$')
);
COMMENT ON TABLE billing.stripe_foreign_events IS 'One row a validly signed event of another account or mode than the receiver''s: its envelope without the body; never processed, append-only';
COMMENT ON COLUMN billing.stripe_foreign_events.event_id IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_foreign_events.type IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_foreign_events.created IS 'As in stripe_events';
COMMENT ON COLUMN billing.stripe_foreign_events.received_at IS 'When it first came';
COMMENT ON COLUMN billing.stripe_foreign_events.livemode IS 'As in stripe_events; STRIPE_WEBHOOK_LIVEMODE says which are ours';
COMMENT ON COLUMN billing.stripe_foreign_events.account IS 'As in stripe_events; STRIPE_WEBHOOK_ACCOUNT says which is ours';
CREATE TRIGGER stripe_foreign_events_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.stripe_foreign_events
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the record of others'' events is append-only');

CREATE TABLE billing.stripe_event_work (
    event_id text PRIMARY KEY REFERENCES billing.stripe_events (event_id),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'waiting', 'applied', 'ignored', 'dead')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    replays integer NOT NULL DEFAULT 0 CHECK (replays >= 0),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp() CHECK (isfinite(due_at)),
    last_error text CHECK (last_error <> ''),
    applied_at timestamptz,
    run_id text CHECK (run_id <> ''),
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    pending_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'applied') = (applied_at IS NOT NULL)),
    CHECK (state <> 'dead' OR last_error IS NOT NULL)
);
CREATE INDEX stripe_event_work_due ON billing.stripe_event_work (due_at) WHERE state IN ('pending', 'waiting');
CREATE INDEX stripe_event_work_dead ON billing.stripe_event_work (event_id) WHERE state = 'dead';
COMMENT ON TABLE billing.stripe_event_work IS 'One row an event of stripe_events, made with it: what became of it. The queue is the rows that are pending or waiting and due';
COMMENT ON COLUMN billing.stripe_event_work.event_id IS 'The event';
COMMENT ON COLUMN billing.stripe_event_work.state IS 'pending: to be processed; waiting: for a row of ours that is not there yet; applied; ignored: nothing of ours to change; dead: given up with last_error, needs an operator';
COMMENT ON COLUMN billing.stripe_event_work.attempts IS 'How often it was processed since it came or was last replayed';
COMMENT ON COLUMN billing.stripe_event_work.replays IS 'How often an operator put it back';
COMMENT ON COLUMN billing.stripe_event_work.due_at IS 'Not to be processed before';
COMMENT ON COLUMN billing.stripe_event_work.last_error IS 'Why the last attempt did not apply it';
COMMENT ON COLUMN billing.stripe_event_work.applied_at IS 'When it was applied; null in every other state';
COMMENT ON COLUMN billing.stripe_event_work.run_id IS 'Run that changed the row last';
COMMENT ON COLUMN billing.stripe_event_work.failures IS 'Attempts that ended with an error; waiting, and attempts that were cut off, do not count';
COMMENT ON COLUMN billing.stripe_event_work.pending_since IS 'When it came or was last replayed: patience is counted from here';
CREATE TRIGGER stripe_event_work_change BEFORE INSERT OR UPDATE ON billing.stripe_event_work
FOR EACH ROW EXECUTE FUNCTION billing.check_event_work();
CREATE TRIGGER stripe_event_work_keep BEFORE DELETE OR TRUNCATE ON billing.stripe_event_work
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('an event without work would never be applied');

CREATE TABLE billing.stripe_event_sweeps (
    sweep_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    swept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    listed_from timestamptz NOT NULL,
    listed_through timestamptz NOT NULL,
    listed_count bigint NOT NULL CHECK (listed_count >= 0),
    new_count bigint NOT NULL CHECK (new_count BETWEEN 0 AND listed_count),
    run_id text NOT NULL,
    CHECK (listed_from < listed_through)
);
COMMENT ON TABLE billing.stripe_event_sweeps IS 'One row a complete listing of Stripe''s events; the next one goes on from it';
COMMENT ON COLUMN billing.stripe_event_sweeps.sweep_id IS 'Order of the sweeps';
COMMENT ON COLUMN billing.stripe_event_sweeps.swept_at IS 'When it was complete';
COMMENT ON COLUMN billing.stripe_event_sweeps.listed_from IS 'Events created from here on were listed';
COMMENT ON COLUMN billing.stripe_event_sweeps.listed_through IS 'When the listing began: what was created later may be missing';
COMMENT ON COLUMN billing.stripe_event_sweeps.listed_count IS 'Events that Stripe listed';
COMMENT ON COLUMN billing.stripe_event_sweeps.new_count IS 'Of these, events that nobody had sent us';
COMMENT ON COLUMN billing.stripe_event_sweeps.run_id IS 'Run that swept';
CREATE TRIGGER stripe_event_sweeps_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.stripe_event_sweeps
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('the record of sweeps is append-only');

-- A role belongs to the server, not to the database: others may have made it, or may be making it right now. Who may
-- not create roles makes one by hand and calls grant_receiver.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)) THEN
        BEGIN
            CREATE ROLE billing_receiver NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billing_receiver') THEN
        PERFORM billing.grant_receiver('billing_receiver');
    END IF;
END;
$$;
