-- Grain: a rate or tier in use, in the order of the book.
SELECT
    currency,
    version_id,
    effective_from,
    customer_id,
    plan,
    meter,
    dimensions,
    model,
    trim_scale(tier_from) AS tier_from,
    trim_scale(tier_up_to) AS tier_up_to,
    trim_scale(unit_amount) AS unit_amount,
    trim_scale(package_size) AS package_size,
    trim_scale(included) AS included,
    trim_scale(minimum) AS minimum,
    trim_scale(maximum) AS maximum,
    trim_scale(flat_amount) AS flat_amount,
    scope,
    pool,
    prorate,
    lines,
    description,
    price_id::text AS price_id
FROM billing.prices
WHERE
    retired_at IS NULL
    AND (cast(:currency AS text) IS NULL OR currency = :currency)
    AND (cast(:customer_id AS text) IS NULL OR customer_id = :customer_id)
ORDER BY currency, effective_from, customer_id NULLS FIRST, plan NULLS FIRST, position, dimensions::text, tier_no
