INSERT INTO billing.api_answers AS a (token_id, idempotency_key, request_digest, taken_at, busy_until)
VALUES (
    :token_id, :key, :digest, clock_timestamp(), clock_timestamp() + cast(:busy AS interval)
)
ON CONFLICT (token_id, idempotency_key) DO UPDATE
    SET
        request_digest = excluded.request_digest, taken_at = excluded.taken_at, busy_until = excluded.busy_until,
        answered_at = NULL, status = NULL, content = NULL
    WHERE
    a.taken_at < clock_timestamp() - cast(:kept AS interval)
    OR (a.status IS NULL AND a.busy_until <= clock_timestamp() AND a.request_digest = excluded.request_digest)
RETURNING a.taken_at
