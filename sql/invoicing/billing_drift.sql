-- Grain: one row a period of :month with a finalised invoice, meter, dimensions and kind whose lines, rated from today's
-- usage and prices into pg_temp.current_lines, do not add up to what was billed. What terms add or take off follows from the
-- other lines of its period.
WITH billed_invoices AS MATERIALIZED (
    SELECT
        i.invoice_id,
        i.period_id,
        i.customer_id,
        i.currency,
        i.finalised_at,
        coalesce((
            SELECT max(l.snapshot_version) FROM billing.invoice_line_items AS l WHERE l.invoice_id = i.invoice_id
        ), 1) AS snapshot_version
    FROM billing.invoices AS i
    WHERE i.billing_month = :month AND i.supplement_no = 0 AND billing.is_final(i.status)
),

billed AS (
    SELECT
        b.period_id,
        l.meter,
        l.dimensions,
        l.kind,
        sum(l.usage_quantity) AS usage_quantity,
        sum(l.amount_minor) AS amount_minor,
        min(l.description) AS description,
        bool_or(p.lines = 'merged' OR p.scope = 'meter') AS of_whole_meter,
        bool_or(p.pool IS NOT NULL) AS of_pool,
        array_agg(DISTINCT l.price_id) AS price_ids,
        array_agg(DISTINCT l.term_id) AS term_ids
    FROM billed_invoices AS b
    INNER JOIN billing.invoice_line_items AS l ON b.invoice_id = l.invoice_id
    LEFT JOIN billing.prices AS p ON l.price_id = p.price_id
    WHERE l.billing_month = :month
    GROUP BY b.period_id, l.meter, l.dimensions, l.kind
),

today AS (
    SELECT
        c.period_id,
        c.meter,
        c.dimensions,
        c.kind,
        sum(c.usage_quantity) AS usage_quantity,
        sum(c.amount_minor) AS amount_minor,
        min(c.description) AS description,
        bool_or(p.lines = 'merged' OR p.scope = 'meter') AS of_whole_meter,
        bool_or(p.pool IS NOT NULL) AS of_pool,
        array_agg(DISTINCT c.price_id) AS price_ids,
        array_agg(DISTINCT c.term_id) AS term_ids
    FROM pg_temp.current_lines AS c
    LEFT JOIN billing.prices AS p ON c.price_id = p.price_id
    GROUP BY c.period_id, c.meter, c.dimensions, c.kind
),

differing AS MATERIALIZED (
    SELECT
        period_id,
        meter,
        dimensions,
        kind,
        coalesce(t.description, b.description) AS description,
        coalesce(b.usage_quantity, 0) AS billed_quantity,
        coalesce(t.usage_quantity, 0) AS current_quantity,
        coalesce(b.amount_minor, 0) AS billed_minor,
        coalesce(t.amount_minor, 0) AS current_minor,
        kind IN ('commitment', 'discount') AS of_term,
        -- a bound, and a line that is or was merged or counted across the meter, follows from all of its meter
        kind IN ('minimum', 'maximum') OR coalesce(b.of_whole_meter, FALSE) OR coalesce(t.of_whole_meter, FALSE)
        OR (period_id, meter) IN (SELECT m.period_id, m.meter FROM billed AS m WHERE m.of_whole_meter)
        OR (period_id, meter) IN (SELECT m.period_id, m.meter FROM today AS m WHERE m.of_whole_meter) AS of_meter,
        -- and what shares an allowance, from all meters that do
        coalesce(b.of_pool, FALSE) OR coalesce(t.of_pool, FALSE) AS of_pool,
        b.term_ids AS billed_terms,
        t.term_ids AS current_terms
    FROM billed AS b
    FULL JOIN today AS t USING (period_id, meter, dimensions, kind)
    WHERE coalesce(b.amount_minor, 0) <> coalesce(t.amount_minor, 0)
),

looks AS MATERIALIZED (
    SELECT
        b.*,
        p.period_end,
        coalesce(v.snapshot_version, 1) AS newest_version,
        k.as_of AS billed_as_of,
        coalesce(v.as_of, k.as_of, '-infinity') AS as_of
    FROM billed_invoices AS b
    INNER JOIN billing.billing_periods AS p ON b.period_id = p.period_id
    LEFT JOIN LATERAL (
        SELECT
            x.snapshot_version,
            x.as_of
        FROM billing.snapshot_versions AS x
        WHERE x.period_id = b.period_id
        ORDER BY x.snapshot_version DESC
        LIMIT 1
    ) AS v ON TRUE
    LEFT JOIN LATERAL (
        SELECT max(s.as_of) AS as_of
        FROM (
            SELECT u.as_of FROM billing.usage_snapshots AS u WHERE u.period_id = b.period_id AND b.snapshot_version = 1
            UNION ALL
            SELECT r.as_of FROM billing.restated_snapshots AS r
            WHERE r.period_id = b.period_id AND r.snapshot_version = b.snapshot_version
        ) AS s
    ) AS k ON TRUE
    WHERE b.period_id IN (SELECT d.period_id FROM differing AS d)
),

billed_usage AS (
    SELECT k.period_id, s.meter, s.dimensions, s.quantity, s.basis
    FROM looks AS k
    INNER JOIN billing.usage_snapshots AS s ON k.period_id = s.period_id
    WHERE k.snapshot_version = 1
    UNION ALL
    SELECT k.period_id, s.meter, s.dimensions, s.quantity, s.basis
    FROM looks AS k
    INNER JOIN billing.restated_snapshots AS s ON k.period_id = s.period_id AND k.snapshot_version = s.snapshot_version
),

-- what changed in the usage, and whether by an event or a correction that came in since it was billed
usage_changes AS MATERIALIZED (
    SELECT
        c.period_id,
        c.meter,
        c.dimensions,
        c.was_carried OR EXISTS (
            SELECT FROM billing.usage_events AS e
            WHERE e.series_id = c.series_id AND e.occurred_at < c.period_end
                AND e.received_at > c.billed_as_of AND e.received_at <= c.as_of
                AND NOT EXISTS (SELECT FROM billing.usage_corrections AS x WHERE x.event_id = e.event_id)
        ) AS late,
        EXISTS (
            SELECT FROM billing.usage_events AS e
            INNER JOIN billing.usage_corrections AS x ON e.event_id = x.event_id
            WHERE e.series_id = c.series_id AND e.occurred_at < c.period_end
                AND e.received_at > c.billed_as_of AND e.received_at <= c.as_of
        ) OR EXISTS (
            SELECT FROM billing.usage_events AS e
            INNER JOIN billing.usage_corrections AS x ON e.event_id = x.corrects_event_id
            INNER JOIN billing.usage_events AS r ON x.event_id = r.event_id
            WHERE e.series_id = c.series_id AND e.occurred_at < c.period_end
                AND r.received_at > c.billed_as_of AND r.received_at <= c.as_of
        ) AS corrected
    FROM (
        SELECT
            period_id,
            meter,
            dimensions,
            k.period_end,
            coalesce(k.billed_as_of, '-infinity') AS billed_as_of,
            k.as_of,
            coalesce(b.basis = 'carried_forward' AND n.basis IS DISTINCT FROM 'carried_forward', FALSE) AS was_carried,
            billing.series_id(k.customer_id, meter, dimensions) AS series_id
        FROM billed_usage AS b
        FULL JOIN (
            SELECT s.period_id, s.meter, s.dimensions, s.quantity, s.basis
            FROM billing.current_snapshots AS s
            WHERE s.billing_month = :month AND s.period_id IN (SELECT looks.period_id FROM looks)
        ) AS n USING (period_id, meter, dimensions)
        INNER JOIN looks AS k USING (period_id)
        WHERE b.quantity IS DISTINCT FROM n.quantity
    ) AS c
),

-- the price rows of both sides; what follows from a whole meter depends on all its prices, a term on those of all lines
price_sides AS (
    SELECT
        d.period_id, d.meter, d.dimensions, d.kind, s.side, p.price_id, p.retired_at, p.customer_id,
        jsonb_build_array(p.version_id, p.customer_id, p.plan, r.dimensions, p.model) AS entry,
        jsonb_build_array(r.dimensions, p.tier_no, trim_scale(p.unit_amount), trim_scale(p.flat_amount)) AS rate
    FROM differing AS d
    INNER JOIN (
        SELECT period_id, meter, dimensions, kind, 'billed' AS side, unnest(price_ids) AS price_id FROM billed
        UNION ALL
        SELECT period_id, meter, dimensions, kind, 'today', unnest(price_ids) FROM today
    )
        AS s
        ON d.period_id = s.period_id
            AND (
                d.of_term
                OR (d.meter = s.meter AND (d.of_meter OR (d.dimensions = s.dimensions AND d.kind = s.kind)))
            )
    INNER JOIN billing.prices AS p ON s.price_id = p.price_id
    -- a merged line names one of several rows that differ in their dimensions alone
    CROSS JOIN
        LATERAL (
            SELECT CASE WHEN d.of_meter AND d.kind IN ('usage', 'fee') THEN '{}' ELSE p.dimensions END AS dimensions
        ) AS r
),

price_changes AS (
    SELECT
        period_id,
        meter,
        dimensions,
        kind,
        coalesce(bool_or(retired_at IS NOT NULL AND side = 'billed'), FALSE) AS retired,
        array_agg(DISTINCT entry ORDER BY entry) FILTER (WHERE side = 'billed') AS billed_entries,
        array_agg(DISTINCT entry ORDER BY entry) FILTER (WHERE side = 'today') AS current_entries,
        array_agg(DISTINCT rate ORDER BY rate) FILTER (WHERE side = 'billed')
        = array_agg(DISTINCT rate ORDER BY rate) FILTER (WHERE side = 'today') AS same_rates,
        bool_or(customer_id IS NOT NULL) AS of_the_customer
    FROM price_sides
    GROUP BY period_id, meter, dimensions, kind
),

pooled AS (
    SELECT period_id, meter FROM billed WHERE of_pool
    UNION
    SELECT period_id, meter FROM today WHERE of_pool
),

causes AS (
    SELECT
        d.*,
        u.changed,
        u.late,
        u.corrected,
        p.retired
        OR (p.billed_entries <> p.current_entries AND d.kind = 'usage')
        OR (NOT d.of_term AND NOT u.changed AND (p.billed_entries IS NULL OR p.current_entries IS NULL))
            AS repriced,
        p.same_rates,
        p.of_the_customer,
        -- a term without a line may still hold and come to nothing: then it changed only if its row did
        d.of_term AND coalesce(d.billed_terms <> d.current_terms, r.changed) AS retermed
    FROM differing AS d
    LEFT JOIN price_changes AS p USING (period_id, meter, dimensions, kind)
    INNER JOIN billed_invoices AS b USING (period_id)
    CROSS JOIN
        LATERAL (
            SELECT coalesce(bool_or(t.retired_at IS NOT NULL OR t.loaded_at > b.finalised_at), FALSE) AS changed
            FROM billing.terms AS t
            WHERE t.term_id = any(coalesce(d.billed_terms, d.current_terms))
        ) AS r
    CROSS JOIN LATERAL (
        SELECT
            count(*) > 0 AS changed,
            coalesce(bool_or(c.late), FALSE) AS late,
            coalesce(bool_or(c.corrected), FALSE) AS corrected
        FROM usage_changes AS c
        WHERE c.period_id = d.period_id
            AND (
                d.of_term OR (c.meter = d.meter AND (d.of_meter OR c.dimensions = d.dimensions))
                OR (d.of_pool AND (c.period_id, c.meter) IN (SELECT p.period_id, p.meter FROM pooled AS p))
            )
    ) AS u
)

SELECT
    cast(:month AS date) AS billing_month,
    k.customer_id,
    c.period_id,
    k.invoice_id,
    c.meter,
    c.dimensions,
    c.kind,
    c.description,
    k.currency,
    c.billed_quantity,
    c.current_quantity,
    c.billed_minor,
    c.current_minor,
    coalesce(nullif(concat_ws(
        '+',
        CASE WHEN c.late THEN 'late_event' END,
        CASE WHEN c.corrected THEN 'corrected_event' END,
        CASE
            WHEN c.period_id IN (SELECT r.period_id FROM pg_temp.recut AS r) THEN 'contract_change'
            WHEN c.repriced AND c.of_the_customer THEN 'customer_change'
            WHEN c.repriced AND c.same_rates THEN 'term_change'
            -- usage that changes without an event was counted in another way: the meter is another one in the book
            WHEN c.repriced OR (c.changed AND NOT c.late AND NOT c.corrected) THEN 'price_change'
        END,
        CASE WHEN c.retermed THEN 'term_change' END
    ), ''), 'code_change') AS reason,
    k.newest_version AS snapshot_version,
    k.as_of,
    cast(:run_id AS text) AS run_id
FROM causes AS c
INNER JOIN looks AS k USING (period_id)
