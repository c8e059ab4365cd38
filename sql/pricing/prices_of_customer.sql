-- Grain: a rate or tier that holds today for :customer_id: of the newest version in force, its own prices instead of the book's.
WITH version AS (
    SELECT version_id
    FROM billing.prices
    WHERE currency = :currency AND retired_at IS NULL AND effective_from <= current_date
    ORDER BY effective_from DESC
    LIMIT 1
)

SELECT
    p.meter,
    p.dimensions,
    p.model,
    trim_scale(p.tier_from) AS tier_from,
    trim_scale(p.tier_up_to) AS tier_up_to,
    trim_scale(p.unit_amount) AS unit_amount,
    trim_scale(p.included) AS included,
    p.description
FROM billing.prices AS p
INNER JOIN version USING (version_id)
WHERE
    p.currency = :currency AND p.retired_at IS NULL
    AND (
        p.customer_id = :customer_id
        OR (
            p.customer_id IS NULL
            AND NOT EXISTS (
                SELECT FROM billing.prices AS own
                WHERE own.version_id = p.version_id AND own.currency = p.currency AND own.customer_id = :customer_id
                    AND own.meter = p.meter AND own.retired_at IS NULL
            )
        )
    )
ORDER BY p.position, p.dimensions::text, p.tier_no
