UPDATE billing.api_tokens
SET expires_at = least(expires_at, clock_timestamp() + cast(:hours AS interval))
WHERE token_id = :token_id
