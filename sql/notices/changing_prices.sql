-- Tells whom a version of the book that begins soon prices otherwise than the one before it. Grain: one row a customer and
-- version. Customers without prices of their own who are on one plan are compared once.
WITH coming AS (
    SELECT
        v.currency,
        v.version_id,
        v.effective_from,
        o.version_id AS before_id
    FROM billing.price_versions AS v
    INNER JOIN billing.price_books AS b USING (currency)
    INNER JOIN LATERAL (
        SELECT e.version_id FROM billing.price_versions AS e
        WHERE e.currency = v.currency AND e.effective_from < v.effective_from
        ORDER BY e.effective_from DESC
        LIMIT 1
    ) AS o ON TRUE
    WHERE
        v.effective_from BETWEEN cast(:now AT TIME ZONE 'UTC' AS date) AND cast(:now AT TIME ZONE 'UTC' AS date) + :days
        AND b.loaded_at <= :now - make_interval(mins => :loaded_for_min)
),

billed AS (
    SELECT
        n.*,
        c.customer_id,
        k.plan,
        CASE
            WHEN EXISTS (
                    SELECT FROM billing.prices AS p
                    WHERE
                        p.customer_id = c.customer_id AND p.currency = c.currency AND p.retired_at IS NULL
                        AND p.version_id IN (n.version_id, n.before_id)
                ) THEN c.customer_id::text
        END AS own_id
    FROM coming AS n
    INNER JOIN billing.customers AS c USING (currency)
    INNER JOIN billing.contracts AS k
        ON c.customer_id = k.customer_id
            AND n.effective_from BETWEEN k.starts_on AND coalesce(k.ends_on, 'infinity')
            -- who begins with the new prices hears of no change
            AND k.contract_starts_on < n.effective_from
    WHERE c.status <> 'inactive' AND n.effective_from > cast(:now AT TIME ZONE c.timezone AS date)
),

alike AS (
    SELECT a.*, row_number() OVER () AS alike_no
    FROM (SELECT DISTINCT b.currency, b.version_id, b.before_id, b.plan, b.own_id FROM billed AS b) AS a
),

held AS (
    SELECT
        a.alike_no,
        p.*,
        p.version_id = a.version_id AS is_new
    FROM alike AS a
    CROSS JOIN unnest(ARRAY[a.version_id, a.before_id]) AS v (version_id)
    CROSS JOIN billing.nearest_prices(a.own_id, a.plan, a.currency, v.version_id) AS n
    INNER JOIN billing.prices AS p ON n.price_id = p.price_id
),

rated AS (
    SELECT
        h.alike_no,
        h.meter,
        h.dimensions,
        h.is_new,
        min(h.position) AS position,
        jsonb_agg(
            jsonb_build_array(
                h.model, h.tier_from, h.tier_up_to, h.unit_amount, h.package_size, h.included, h.minimum, h.maximum,
                h.flat_amount, h.pool, coalesce(h.prorate, 'days'), h.scope
            ) ORDER BY h.tier_no
        ) AS terms,
        -- what one figure says whole
        CASE
            WHEN count(*) = 1 AND min(h.model) IN ('flat', 'per_unit') THEN trim_scale(min(h.unit_amount))::text
        END AS rate
    FROM held AS h
    GROUP BY h.alike_no, h.meter, h.dimensions, h.is_new
),

changes AS (
    SELECT
        alike_no,
        meter,
        coalesce(n.position, o.position) AS position,
        meter || coalesce(' (' || (
            SELECT string_agg(d.value, ', ' ORDER BY d.key) FROM jsonb_each_text(coalesce(n.dimensions, o.dimensions)) AS d
        ) || ')', '') AS label,
        o.rate AS rate_before,
        n.rate AS rate_after,
        o.terms AS terms_before,
        n.terms AS terms_after
    FROM (SELECT r.* FROM rated AS r WHERE NOT r.is_new) AS o
    FULL JOIN (SELECT r.* FROM rated AS r WHERE r.is_new) AS n USING (alike_no, meter, dimensions)
    WHERE o.terms IS DISTINCT FROM n.terms
),

told AS (
    SELECT
        c.alike_no,
        md5(jsonb_agg(jsonb_build_array(c.label, c.terms_before, c.terms_after) ORDER BY c.label)::text) AS difference,
        jsonb_path_query_array(
            (SELECT jsonb_agg(m.meter ORDER BY m.position) FROM (
                SELECT s.meter, min(s.position) AS position FROM changes AS s WHERE s.alike_no = c.alike_no GROUP BY s.meter
            ) AS m),
            '$[0 to 49]'
        ) AS meters,
        coalesce(jsonb_path_query_array(
            jsonb_agg(jsonb_build_object('meter', c.label, 'before', c.rate_before, 'after', c.rate_after) ORDER BY c.position)
            FILTER (WHERE c.rate_before <> c.rate_after),
            '$[0 to 19]'
        ), '[]') AS rates
    FROM changes AS c
    GROUP BY c.alike_no
)

SELECT
    billing.write_notice(
        'prices_changing', b.customer_id, NULL, concat_ws(':', b.customer_id, b.effective_from, t.difference),
        jsonb_build_object(
            'effective_on', b.effective_from, 'currency', b.currency, 'meters', t.meters, 'changes', t.rates
        )
    )
FROM billed AS b
INNER JOIN alike AS a
    ON (b.currency, b.version_id) = (a.currency, a.version_id)
        AND b.plan IS NOT DISTINCT FROM a.plan AND b.own_id IS NOT DISTINCT FROM a.own_id
INNER JOIN told AS t ON a.alike_no = t.alike_no
-- who was told is not asked for recipients at every look
WHERE NOT EXISTS (
        SELECT FROM billing.notices AS n
        WHERE n.fact = 'prices_changing:' || concat_ws(':', b.customer_id, b.effective_from, t.difference)
    )
