WITH made AS (
    INSERT INTO billing.api_tokens (
        token_id, digest, owner, role, scopes, customer_id, created_by, replaces, expires_at
    )
    VALUES (
        :token_id, :digest, :owner, :role, :scopes, :customer_id, :author, :replaces,
        coalesce(cast(:expires_at AS timestamptz), clock_timestamp() + cast(:expires_in AS interval))
    )
    RETURNING *
)

SELECT
    billing.log_action(
        :author, 'token.create', 'token', token_id, :reason,
        state_after => to_jsonb(made) - '{digest,last_used_at,revoked_at,revoked_by}'::text[]
    )
FROM made
