SELECT
    owner, role, scopes, customer_id, expires_at, revoked_at,
    revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()) AS holds
FROM billing.api_tokens
WHERE token_id = :token_id
FOR UPDATE
