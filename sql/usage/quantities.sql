-- Grain: a quantity of a drafted or billed period, the newest month first.
SELECT
    s.customer_id,
    s.billing_month,
    p.start_date AS period_from,
    p.end_date - 1 AS period_to,
    s.meter,
    s.dimensions,
    trim_scale(s.quantity) AS quantity,
    s.event_count,
    s.aggregation,
    s.basis,
    s.as_of,
    s.dimensions::text AS sorted_dimensions
FROM billing.current_snapshots AS s
INNER JOIN billing.billing_periods AS p USING (period_id)
WHERE
    s.billing_month = :month
    AND (cast(:customer_id AS text) IS NULL OR s.customer_id = :customer_id)
    AND (cast(:meter AS text) IS NULL OR s.meter = :meter)
    AND (
        cast(:after_customer_id AS text) IS NULL
        OR (s.customer_id, s.meter, p.start_date, s.dimensions::text)
        > (:after_customer_id, :after_meter, cast(:after_start AS date), :after_dimensions)
    )
ORDER BY s.customer_id, s.meter, p.start_date, s.dimensions::text
LIMIT :row_limit
