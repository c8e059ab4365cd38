-- Grain: a rate or tier that holds today for :customer_id: of the newest version in force; of one meter the customer's own
-- prices instead of the plan's, and the plan's instead of everybody's.
WITH meant AS (
    SELECT
        p.*,
        rank() OVER (
            PARTITION BY p.meter
            ORDER BY p.customer_id IS NULL, p.plan IS NULL
        ) AS nearness
    FROM billing.prices AS p
    INNER JOIN billing.in_force_today(:customer_id, :currency) AS f ON p.version_id = f.version_id
    WHERE
        p.currency = :currency AND p.retired_at IS NULL
        AND (p.customer_id = :customer_id OR p.customer_id IS NULL)
        AND (p.plan IS NULL OR p.plan = f.plan)
)

SELECT
    meter,
    dimensions,
    model,
    plan,
    trim_scale(tier_from) AS tier_from,
    trim_scale(tier_up_to) AS tier_up_to,
    trim_scale(unit_amount) AS unit_amount,
    trim_scale(flat_amount) AS flat_amount,
    trim_scale(included) AS included,
    pool,
    trim_scale(minimum) AS minimum,
    trim_scale(maximum) AS maximum,
    description
FROM meant
WHERE nearness = 1
ORDER BY position, dimensions::text, tier_no
