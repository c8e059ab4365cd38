-- Grain: a commitment or discount of the book that holds today for :customer_id; of one kind and name the customer's own
-- instead of the plan's, and the plan's instead of everybody's.
WITH meant AS (
    SELECT
        t.*,
        rank() OVER (
            PARTITION BY t.kind, t.name
            ORDER BY t.customer_id IS NULL, t.plan IS NULL
        ) AS nearness
    FROM billing.terms AS t
    INNER JOIN billing.in_force_today(:customer_id, :currency) AS f ON t.version_id = f.version_id
    WHERE
        t.currency = :currency AND t.retired_at IS NULL
        AND (t.customer_id = :customer_id OR t.customer_id IS NULL)
        AND (t.plan IS NULL OR t.plan = f.plan)
        AND coalesce(t.until_on, 'infinity') >= f.today
)

SELECT
    kind,
    coalesce(description, name) AS text,
    trim_scale(amount) AS amount,
    trim_scale(percent) AS percent,
    until_on
FROM meant
WHERE nearness = 1
ORDER BY kind, position
