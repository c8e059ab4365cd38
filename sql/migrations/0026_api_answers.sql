-- What writes over the API were answered, so that a request that is sent twice is done once.

CREATE TABLE billing.api_answers (
    token_id text NOT NULL CHECK (token_id ~ '^([0-9a-f]{12}|oidc-[0-9a-f]{24})$'),
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    request_digest bytea NOT NULL CHECK (octet_length(request_digest) = 32),
    taken_at timestamptz NOT NULL,
    busy_until timestamptz NOT NULL,
    answered_at timestamptz,
    status smallint CHECK (status BETWEEN 200 AND 299),
    content bytea,
    PRIMARY KEY (token_id, idempotency_key),
    CHECK ((answered_at IS NULL) = (status IS NULL)),
    CHECK (content IS NULL OR status IS NOT NULL)
);
CREATE INDEX api_answers_oldest ON billing.api_answers (taken_at);
COMMENT ON TABLE billing.api_answers IS 'One row a write that came with an Idempotency-Key; kept for a day';
COMMENT ON COLUMN billing.api_answers.token_id IS 'Whose key it is: a token, or a person of the identity provider';
COMMENT ON COLUMN billing.api_answers.idempotency_key IS 'As the caller chose it';
COMMENT ON COLUMN billing.api_answers.request_digest IS 'SHA-256 of method, path and body';
COMMENT ON COLUMN billing.api_answers.taken_at IS 'When somebody began to work on it; who works on it knows this instant';
COMMENT ON COLUMN billing.api_answers.busy_until IS 'Until then another one with the same key is told to wait';
COMMENT ON COLUMN billing.api_answers.answered_at IS 'When it was done; null: it is under way, or nobody knows';
COMMENT ON COLUMN billing.api_answers.status IS 'The HTTP status of its answer';
COMMENT ON COLUMN billing.api_answers.content IS 'The answer as JSON; null: it held a secret, which is not kept';
