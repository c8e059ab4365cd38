-- Outgoing webhooks: where the platform hears of what customers are told. Each notice is a message to each endpoint, in the
-- same outbox as the mails.

CREATE TABLE billing.webhook_endpoints (
    endpoint_id text PRIMARY KEY CHECK (endpoint_id ~ '^ep_[0-9a-f]{16}$'),
    url text NOT NULL CHECK (url ~ '^https?://[!-~]+$' AND length(url) <= 2000),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at timestamptz,
    disabled_by text CHECK (disabled_by ~ '\S'),
    CHECK ((disabled_at IS NULL) = (disabled_by IS NULL))
);
CREATE UNIQUE INDEX webhook_endpoints_one_a_url ON billing.webhook_endpoints (url) WHERE disabled_at IS NULL;
COMMENT ON TABLE billing.webhook_endpoints IS 'One row an address of the platform that is told of every notice';
COMMENT ON COLUMN billing.webhook_endpoints.endpoint_id IS 'Its id; the recipient of its notices';
COMMENT ON COLUMN billing.webhook_endpoints.url IS 'Where messages are sent';
COMMENT ON COLUMN billing.webhook_endpoints.author IS 'Who added it';
COMMENT ON COLUMN billing.webhook_endpoints.reason IS 'Why';
COMMENT ON COLUMN billing.webhook_endpoints.created_at IS 'When';
COMMENT ON COLUMN billing.webhook_endpoints.disabled_at IS 'From when on it is told nothing; null: it is told';
COMMENT ON COLUMN billing.webhook_endpoints.disabled_by IS 'Who disabled it';
CREATE TRIGGER webhook_endpoints_change BEFORE UPDATE ON billing.webhook_endpoints
FOR EACH ROW WHEN (
    old.disabled_at IS NOT NULL
    OR (new.endpoint_id, new.url, new.author, new.reason, new.created_at)
    IS DISTINCT FROM (old.endpoint_id, old.url, old.author, old.reason, old.created_at)
) EXECUTE FUNCTION billing.refuse_change('an endpoint is only disabled, once; add another one');
CREATE TRIGGER webhook_endpoints_keep BEFORE DELETE OR TRUNCATE ON billing.webhook_endpoints
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('endpoints are disabled, not deleted');

CREATE TABLE billing.webhook_secrets (
    secret_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text NOT NULL REFERENCES billing.webhook_endpoints (endpoint_id),
    secret bytea NOT NULL,
    key_id text NOT NULL CHECK (key_id ~ '^[!-~]{1,64}$'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz CHECK (isfinite(expires_at))
);
CREATE INDEX webhook_secrets_endpoint ON billing.webhook_secrets (endpoint_id);
CREATE UNIQUE INDEX webhook_secrets_one_without_end ON billing.webhook_secrets (endpoint_id) WHERE expires_at IS NULL;
COMMENT ON TABLE billing.webhook_secrets IS 'One row a secret of an endpoint: messages are signed with all that have not expired';
COMMENT ON COLUMN billing.webhook_secrets.secret_id IS 'Order of making';
COMMENT ON COLUMN billing.webhook_secrets.endpoint_id IS 'The endpoint';
COMMENT ON COLUMN billing.webhook_secrets.secret IS 'The secret, encrypted with a key of BILLING_EVENT_KEYS';
COMMENT ON COLUMN billing.webhook_secrets.key_id IS 'Which key';
COMMENT ON COLUMN billing.webhook_secrets.created_at IS 'When it was made';
COMMENT ON COLUMN billing.webhook_secrets.expires_at IS 'Until when it signs; null: it is the present one';
