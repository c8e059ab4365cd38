-- Grain: a commitment or discount in use, in the order in which they are applied; version_id null: granted by hand.
SELECT
    currency,
    version_id,
    kind,
    name,
    customer_id,
    plan,
    meters,
    trim_scale(amount) AS amount,
    trim_scale(percent) AS percent,
    prorate,
    effective_from,
    until_on,
    description,
    term_id::text AS term_id
FROM billing.terms
WHERE
    retired_at IS NULL
    AND (cast(:currency AS text) IS NULL OR currency = :currency)
    AND (cast(:customer_id AS text) IS NULL OR customer_id = :customer_id)
ORDER BY currency, effective_from, kind, version_id NULLS LAST, position
