-- Entry to the pages: links that work once, and the sessions that they open. Only digests are stored: who reads the
-- database can sign in as nobody.

CREATE TABLE billing.access_links (
    link_digest bytea PRIMARY KEY CHECK (octet_length(link_digest) = 32),
    door text NOT NULL CHECK (door IN ('console', 'portal')),
    owner text NOT NULL CHECK (owner ~ '\S'),
    role text NOT NULL CHECK (role IN ('admin', 'operator', 'analyst', 'customer')),
    customer_id billing.platform_key REFERENCES billing.customers (customer_id),
    made_by text NOT NULL CHECK (made_by ~ '\S'),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL CHECK (expires_at > made_at),
    used_at timestamptz,
    CHECK ((door = 'portal') = (role = 'customer')),
    CHECK ((role = 'customer') = (customer_id IS NOT NULL))
);
CREATE INDEX access_links_newest ON billing.access_links (made_at);
COMMENT ON TABLE billing.access_links IS 'One row a link into the console or portal: it works once, until it expires';
COMMENT ON COLUMN billing.access_links.link_digest IS 'SHA-256 of the secret in the link; the secret is stored nowhere';
COMMENT ON COLUMN billing.access_links.door IS 'console or portal';
COMMENT ON COLUMN billing.access_links.owner IS 'Who signs in with it: the author of every change';
COMMENT ON COLUMN billing.access_links.role IS 'admin, operator, analyst or customer';
COMMENT ON COLUMN billing.access_links.customer_id IS 'The only customer that a portal session sees';
COMMENT ON COLUMN billing.access_links.made_by IS 'Who made it';
COMMENT ON COLUMN billing.access_links.made_at IS 'When it was made';
COMMENT ON COLUMN billing.access_links.expires_at IS 'From when it does not work any more';
COMMENT ON COLUMN billing.access_links.used_at IS 'When it was used; null until then';

CREATE TABLE billing.access_sessions (
    session_digest bytea PRIMARY KEY CHECK (octet_length(session_digest) = 32),
    door text NOT NULL CHECK (door IN ('console', 'portal')),
    owner text NOT NULL CHECK (owner ~ '\S'),
    role text NOT NULL CHECK (role IN ('admin', 'operator', 'analyst', 'customer')),
    customer_id billing.platform_key REFERENCES billing.customers (customer_id),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK ((door = 'portal') = (role = 'customer')),
    CHECK ((role = 'customer') = (customer_id IS NOT NULL))
);
COMMENT ON TABLE billing.access_sessions IS 'One row a session of a browser';
COMMENT ON COLUMN billing.access_sessions.session_digest IS 'SHA-256 of the cookie''s secret';
COMMENT ON COLUMN billing.access_sessions.door IS 'console or portal';
COMMENT ON COLUMN billing.access_sessions.owner IS 'Who is signed in: the author of every change';
COMMENT ON COLUMN billing.access_sessions.role IS 'admin, operator, analyst or customer';
COMMENT ON COLUMN billing.access_sessions.customer_id IS 'The only customer that the session sees; null in the console';
COMMENT ON COLUMN billing.access_sessions.started_at IS 'When the link was used';
COMMENT ON COLUMN billing.access_sessions.expires_at IS 'When it ends by itself';
COMMENT ON COLUMN billing.access_sessions.ended_at IS 'When the person signed out; null until then';

CREATE TABLE billing.operators (
    operator_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL CHECK (email ~ '^\S+@\S+$'),
    owner text NOT NULL CHECK (owner ~ '\S'),
    role text NOT NULL CHECK (role IN ('admin', 'operator', 'analyst')),
    author text NOT NULL CHECK (author ~ '\S'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by text CHECK (released_by ~ '\S'),
    release_reason text CHECK (release_reason ~ '\S'),
    CHECK (num_nulls(released_at, released_by, release_reason) IN (0, 3))
);
CREATE UNIQUE INDEX operators_one_active ON billing.operators (lower(email)) WHERE released_at IS NULL;
COMMENT ON TABLE billing.operators IS 'One row an address that may ask for links into the console by mail';
COMMENT ON COLUMN billing.operators.operator_id IS 'Order of adding';
COMMENT ON COLUMN billing.operators.email IS 'Where links are mailed';
COMMENT ON COLUMN billing.operators.owner IS 'The author of all that is changed in the sessions';
COMMENT ON COLUMN billing.operators.role IS 'admin, operator or analyst';
COMMENT ON COLUMN billing.operators.author IS 'Who added it';
COMMENT ON COLUMN billing.operators.reason IS 'Why';
COMMENT ON COLUMN billing.operators.added_at IS 'When';
COMMENT ON COLUMN billing.operators.released_at IS 'When it was removed; null while it may ask';
COMMENT ON COLUMN billing.operators.released_by IS 'Who removed it';
COMMENT ON COLUMN billing.operators.release_reason IS 'Why';
CREATE TRIGGER operators_change BEFORE UPDATE ON billing.operators
FOR EACH ROW EXECUTE FUNCTION billing.check_notice_choice();
CREATE TRIGGER operators_keep BEFORE DELETE OR TRUNCATE ON billing.operators
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('operators are removed by a date, not deleted');
