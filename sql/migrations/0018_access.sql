-- Who may come in by the API.

CREATE TABLE billing.api_tokens (
    token_id text PRIMARY KEY CHECK (token_id ~ '^[0-9a-f]{12}$'),
    digest bytea NOT NULL CHECK (length(digest) = 32),
    owner text NOT NULL CHECK (owner ~ '\S'),
    role text NOT NULL CHECK (role IN ('admin', 'operator', 'analyst', 'platform', 'customer')),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    customer_id billing.platform_key REFERENCES billing.customers,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL CHECK (created_by ~ '\S'),
    replaces text REFERENCES billing.api_tokens,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    revoked_by text CHECK (revoked_by ~ '\S'),
    CHECK ((role = 'customer') = (customer_id IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE UNIQUE INDEX api_tokens_replaced_once ON billing.api_tokens (replaces);
CREATE INDEX api_tokens_newest ON billing.api_tokens (created_at, token_id);
CREATE INDEX api_tokens_customer ON billing.api_tokens (customer_id);
COMMENT ON TABLE billing.api_tokens IS 'One row a bearer token of the API; its secret is not in it';
COMMENT ON COLUMN billing.api_tokens.token_id IS 'The part of the token that may be told';
COMMENT ON COLUMN billing.api_tokens.digest IS 'SHA-256 of the secret';
COMMENT ON COLUMN billing.api_tokens.owner IS 'Who is the author of what the token changes';
COMMENT ON COLUMN billing.api_tokens.role IS 'Whom it is for, which says what it may have';
COMMENT ON COLUMN billing.api_tokens.scopes IS 'What it may do (access/rules/permissions.py)';
COMMENT ON COLUMN billing.api_tokens.customer_id IS 'The customer whose rows alone it sees; null for all roles but customer';
COMMENT ON COLUMN billing.api_tokens.created_at IS 'When it was made';
COMMENT ON COLUMN billing.api_tokens.created_by IS 'Who made it';
COMMENT ON COLUMN billing.api_tokens.replaces IS 'The token that this one was made from, if it was rotated';
COMMENT ON COLUMN billing.api_tokens.expires_at IS 'From then on it lets nobody in; null: it holds until it is revoked';
COMMENT ON COLUMN billing.api_tokens.last_used_at IS 'When it last let somebody in, to the minute';
COMMENT ON COLUMN billing.api_tokens.revoked_at IS 'From then on it lets nobody in; null: it was not revoked';
COMMENT ON COLUMN billing.api_tokens.revoked_by IS 'Who revoked it';
CREATE TRIGGER api_tokens_change BEFORE UPDATE ON billing.api_tokens
FOR EACH ROW EXECUTE FUNCTION billing.check_token_change();
CREATE TRIGGER api_tokens_keep BEFORE DELETE OR TRUNCATE ON billing.api_tokens
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('tokens are revoked, not deleted');
