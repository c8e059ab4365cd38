-- Grain: a token, without its secret; the newest first.
SELECT
    token_id,
    owner,
    role,
    scopes,
    customer_id,
    created_at,
    created_by,
    replaces,
    expires_at,
    last_used_at,
    revoked_at,
    revoked_by,
    CASE
        WHEN revoked_at IS NOT NULL THEN 'revoked'
        WHEN expires_at <= clock_timestamp() THEN 'expired'
        ELSE 'active'
    END AS state
FROM billing.api_tokens
WHERE cast(:after_created_at AS timestamptz) IS NULL OR (created_at, token_id) < (:after_created_at, :after_token_id)
ORDER BY created_at DESC, token_id DESC
LIMIT :row_limit
