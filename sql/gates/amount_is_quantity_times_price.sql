-- Lines whose rate is not that of a price in use and in force at the period's start, or whose amount is not quantity
-- times rate, rounded once; the lines of a price with a minimum or maximum that do not add up to it, or reach it by a line too
-- many; and lines that are not merged although their price says so.
SELECT b.customer_id, b.meter, b.dimensions, b.quantity, b.unit_amount, p.unit_amount AS price, b.amount_minor
FROM (SELECT * FROM {batch}) AS b
INNER JOIN billing.billing_periods AS d USING (period_id)
LEFT JOIN billing.prices AS p USING (price_id)
LEFT JOIN LATERAL (
    SELECT v.version_id
    FROM billing.price_versions AS v
    WHERE v.currency = b.currency AND v.effective_from <= d.start_date
    ORDER BY v.effective_from DESC
    LIMIT 1
) AS f ON TRUE
CROSS JOIN
    LATERAL (
        SELECT coalesce(
            b.kind IN ('usage', 'fee') AND d.full_days IS NOT NULL AND p.prorate IS DISTINCT FROM 'none' AND EXISTS (
                SELECT FROM billing.meters AS m
                WHERE m.currency = b.currency AND m.meter = b.meter AND m.aggregation = 'constant'
            ), FALSE
        ) AS is_share
    ) AS s
CROSS JOIN
    LATERAL (
        SELECT b.kind IN ('usage', 'fee') AND d.in_trial AND EXISTS (
            SELECT FROM billing.meters AS m
            WHERE m.currency = b.currency AND m.meter = b.meter AND m.aggregation = 'constant'
        ) AS is_free
    ) AS t
WHERE b.term_id IS NULL
    AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = b.invoice_id AND i.status <> 'draft')
    AND (
        p.price_id IS NULL OR p.retired_at IS NOT NULL
        OR (p.version_id, p.currency::text, p.meter::text) IS DISTINCT FROM (f.version_id, b.currency::text, b.meter::text)
        OR p.customer_id <> b.customer_id
        OR (p.plan IS NOT NULL AND p.plan IS DISTINCT FROM d.plan)
        OR (
            b.kind IN ('usage', 'fee')
            AND b.dimensions <> CASE
                WHEN p.lines = 'merged' OR (b.kind = 'fee' AND p.scope = 'meter') THEN '{{}}'
                WHEN p.dimensions = '{{}}' THEN b.dimensions
                ELSE p.dimensions
            END
        )
        OR (b.kind = 'usage' AND b.unit_amount <> p.unit_amount)
        OR (b.kind = 'fee' AND b.unit_amount IS DISTINCT FROM p.flat_amount)
        OR (b.kind = 'maximum' AND p.maximum IS NULL)
        OR (b.kind = 'minimum' AND (b.quantity <> 1 OR p.minimum IS NULL OR b.unit_amount > p.minimum))
        -- a constant meter costs its share of a short period, unless its price says otherwise; nothing else does
        OR (b.billed_days, b.full_days) IS DISTINCT FROM (
            CASE WHEN s.is_share THEN d.end_date - d.start_date END, CASE WHEN s.is_share THEN d.full_days END
        )
        OR (t.is_free AND (b.quantity <> 0 OR b.included_quantity <> b.usage_quantity))
        OR b.exact_amount <> billing.prorated(b.quantity * b.unit_amount, b.billed_days, b.full_days)
        OR b.amount_minor <> billing.to_minor(b.exact_amount, b.currency)
    )
UNION ALL
SELECT
    m.customer_id,
    m.meter,
    '{{}}',
    m.minimum_lines + m.maximum_lines,
    coalesce(m.minimum, m.maximum),
    coalesce(m.minimum, m.maximum),
    m.amount_minor::bigint
FROM (
    SELECT
        b.invoice_id,
        b.customer_id,
        b.meter,
        max(p.minimum) AS minimum,
        max(p.maximum) AS maximum,
        billing.to_minor(max(p.minimum), b.currency) AS minimum_minor,
        billing.to_minor(max(p.maximum), b.currency) AS maximum_minor,
        bool_or(b.usage_quantity > 0 AND NOT (
            d.in_trial AND EXISTS (
                SELECT FROM billing.meters AS c
                WHERE c.currency = b.currency AND c.meter = b.meter AND c.aggregation = 'constant'
            )
        )) AS used,
        count(*) FILTER (WHERE b.kind = 'minimum') AS minimum_lines,
        count(*) FILTER (WHERE b.kind = 'maximum') AS maximum_lines,
        coalesce(sum(b.amount_minor) FILTER (WHERE b.kind IN ('usage', 'fee')), 0) AS usage_minor,
        sum(b.amount_minor) AS amount_minor
    FROM (SELECT * FROM {batch}) AS b
    INNER JOIN billing.billing_periods AS d USING (period_id)
    INNER JOIN billing.prices AS p USING (price_id)
    WHERE (p.minimum IS NOT NULL OR p.maximum IS NOT NULL)
        AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = b.invoice_id AND i.status <> 'draft')
    GROUP BY
        b.invoice_id, b.customer_id, b.meter, b.currency, p.customer_id, p.plan, p.version_id,
        CASE WHEN p.scope = 'combination' THEN b.dimensions END
) AS m
-- greatest and least pass over what is null
WHERE m.amount_minor
    <> least(m.maximum_minor, CASE WHEN m.used THEN greatest(m.usage_minor, m.minimum_minor) ELSE m.usage_minor END)
    OR m.minimum_lines <> coalesce(m.used AND m.usage_minor < m.minimum_minor, FALSE)::integer
    OR m.maximum_lines <> coalesce(m.usage_minor > m.maximum_minor, FALSE)::integer
UNION ALL
SELECT b.customer_id, b.meter, '{{}}', count(*), b.unit_amount, b.unit_amount, sum(b.amount_minor)::bigint
FROM (SELECT * FROM {batch}) AS b
INNER JOIN billing.prices AS p USING (price_id)
WHERE p.lines = 'merged' AND b.kind IN ('usage', 'fee')
    AND NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = b.invoice_id AND i.status <> 'draft')
GROUP BY b.invoice_id, b.customer_id, b.meter, b.kind, b.unit_amount, p.tier_no, p.customer_id, p.plan, p.version_id
HAVING count(*) > 1
