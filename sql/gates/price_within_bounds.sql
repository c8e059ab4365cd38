-- Prices of drafts that are more than {price_factor_max} times those that they replace: what the file held before in the
-- same version, else the version before.
WITH used AS (
    SELECT DISTINCT b.price_id
    FROM (SELECT * FROM {batch}) AS b
    WHERE NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = b.invoice_id AND i.status <> 'draft')
)

SELECT
    p.currency,
    p.version_id,
    p.customer_id,
    p.meter,
    p.dimensions,
    p.tier_no,
    p.unit_amount,
    o.unit_amount AS unit_amount_before,
    p.flat_amount,
    o.flat_amount AS flat_amount_before
FROM used AS u
INNER JOIN billing.prices AS p ON u.price_id = p.price_id
INNER JOIN LATERAL (
    SELECT q.unit_amount, q.flat_amount
    FROM billing.prices AS q
    WHERE q.price_id <> p.price_id AND q.currency = p.currency AND q.customer_id IS NOT DISTINCT FROM p.customer_id
        AND q.plan IS NOT DISTINCT FROM p.plan
        AND q.meter = p.meter AND q.dimensions = p.dimensions AND q.tier_no = p.tier_no AND q.model = p.model
        AND CASE
            WHEN q.version_id = p.version_id THEN q.retired_at IS NOT NULL
            ELSE q.retired_at IS NULL AND q.effective_from < p.effective_from
        END
    ORDER BY q.version_id = p.version_id DESC, q.retired_at DESC NULLS LAST, q.effective_from DESC
    LIMIT 1
) AS o ON TRUE
WHERE (o.unit_amount > 0 AND p.unit_amount > o.unit_amount * {price_factor_max})
    OR (o.flat_amount > 0 AND p.flat_amount > o.flat_amount * {price_factor_max})
