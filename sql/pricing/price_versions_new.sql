-- Grain: one row a version that is not there yet.
INSERT INTO billing.price_versions (currency, version_id, effective_from)
SELECT :currency, w.version_id, w.effective_from
FROM unnest(cast(:ids AS text[]), cast(:days AS date[])) AS w (version_id, effective_from)
ON CONFLICT (currency, version_id) DO NOTHING
