-- Grain: one row a term of a book that its file no longer holds.
UPDATE billing.terms SET retired_at = clock_timestamp()
WHERE currency = :currency AND version_id IS NOT NULL AND retired_at IS NULL
    AND NOT term_id = any(cast(:ids AS uuid[]))
