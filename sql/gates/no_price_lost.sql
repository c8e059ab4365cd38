-- Meters and rates that had revenue last month, or whose usage of this month has only an older price, and that no price of
-- a version in force now covers although the book does not retire them.
WITH in_force AS (
    SELECT DISTINCT d.currency, v.version_id, v.effective_from
    FROM (
        SELECT DISTINCT p.currency, p.start_date FROM billing.billing_periods AS p WHERE p.billing_month = '{month}'
            AND NOT EXISTS (
                SELECT FROM billing.invoices AS i WHERE i.period_id = p.period_id AND billing.is_final(i.status)
            )
    ) AS d
    CROSS JOIN LATERAL (
        SELECT x.version_id, x.effective_from
        FROM billing.price_versions AS x
        WHERE x.currency = d.currency AND x.effective_from <= d.start_date
        ORDER BY x.effective_from DESC
        LIMIT 1
    ) AS v
),

had AS (
    SELECT
        l.currency,
        l.meter,
        l.dimensions,
        p.customer_id,
        p.plan,
        coalesce(p.lines = 'merged', FALSE) AS is_merged,
        sum(l.amount_minor) AS revenue_minor,
        0 AS set_aside_minor
    FROM billing.invoice_line_items AS l
    INNER JOIN billing.prices AS p USING (price_id)
    WHERE l.billing_month = '{last_month}' AND l.kind = 'usage' AND l.amount_minor > 0
    GROUP BY l.currency, l.meter, l.dimensions, p.customer_id, p.plan, coalesce(p.lines = 'merged', FALSE)
    UNION ALL
    SELECT
        c.currency,
        q.meter,
        q.dimensions,
        NULL,
        NULL,
        FALSE,
        0,
        sum(q.worth_minor)
    FROM billing.usage_quarantine AS q
    INNER JOIN billing.customers AS c ON q.customer_id = c.customer_id
    WHERE q.billing_month = '{month}' AND q.stage = 'invoice_line_items' AND q.worth_minor > 0
    GROUP BY c.currency, q.meter, q.dimensions
)

SELECT
    h.currency,
    f.version_id,
    h.meter,
    h.dimensions,
    h.customer_id,
    sum(h.revenue_minor) AS revenue_minor,
    sum(h.set_aside_minor) AS set_aside_minor
FROM had AS h
INNER JOIN in_force AS f ON h.currency = f.currency
WHERE NOT EXISTS (
        SELECT FROM billing.prices AS p
        WHERE p.retired_at IS NULL AND p.currency = h.currency AND p.version_id = f.version_id AND p.meter = h.meter
            AND (p.customer_id IS NULL OR p.customer_id = h.customer_id)
            AND (p.dimensions = '{{}}' OR p.dimensions = h.dimensions OR h.is_merged)
            AND (p.plan IS NULL OR h.plan IS NULL OR p.plan = h.plan)
    )
    AND NOT EXISTS (
        SELECT FROM billing.retired_prices AS r
        INNER JOIN billing.price_versions AS w ON r.currency = w.currency AND r.version_id = w.version_id
        WHERE r.currency = h.currency AND r.meter = h.meter AND w.effective_from <= f.effective_from
            AND (r.dimensions = '{{}}' OR r.dimensions = h.dimensions)
    )
    AND (
        h.customer_id IS NULL
        OR EXISTS (
            SELECT FROM billing.billing_periods AS o WHERE o.customer_id = h.customer_id AND o.billing_month = '{month}'
        )
    )
    -- a meter that takes other dimensions now is another one, whose prices the book checks
    AND (h.is_merged OR NOT EXISTS (
        SELECT FROM billing.meters AS m
        WHERE m.currency = h.currency AND m.meter = h.meter
            AND (NOT h.dimensions ?& m.dimensions OR (
                SELECT count(*) FROM jsonb_object_keys(h.dimensions)
            ) <> cardinality(m.dimensions))
    ))
GROUP BY h.currency, f.version_id, h.meter, h.dimensions, h.customer_id
