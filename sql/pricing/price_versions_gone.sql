-- Grain: one row a version that the file no longer has, or dates otherwise.
DELETE FROM billing.price_versions AS v
WHERE v.currency = :currency AND NOT EXISTS (
        SELECT FROM unnest(cast(:ids AS text[]), cast(:days AS date[])) AS w (version_id, effective_from)
        WHERE (w.version_id, w.effective_from) = (v.version_id, v.effective_from)
    )
