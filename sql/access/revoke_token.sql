WITH revoked AS (
    UPDATE billing.api_tokens SET revoked_at = clock_timestamp(), revoked_by = :author
    WHERE token_id = :token_id
    RETURNING token_id, owner, role
)

SELECT billing.log_action(:author, 'token.revoke', 'token', token_id, :reason, state_before => to_jsonb(revoked))
FROM revoked
