DELETE FROM billing.api_answers
WHERE (token_id, idempotency_key) IN (
        SELECT
            token_id, idempotency_key
        FROM billing.api_answers
        WHERE taken_at < clock_timestamp() - cast(:kept AS interval)
        ORDER BY taken_at
        LIMIT 100
        FOR UPDATE SKIP LOCKED
    )
