-- Grain: one row a period (:ids, of :owners, from :starts to :ends) and series in it that no meter of the book counts.
WITH periods AS (
    SELECT
        unnest(cast(:ids AS text[])) AS id,
        unnest(cast(:owners AS text[])) AS customer_id,
        unnest(cast(:starts AS timestamptz[])) AS period_start,
        unnest(cast(:ends AS timestamptz[])) AS period_end
)

SELECT
    p.id,
    s.meter,
    s.dimensions::text AS dimensions,
    CASE
        WHEN m.meter IS NULL THEN 'unknown meter'
        WHEN m.dimensions = s.dimension_names THEN format('expected the property %s', m.property)
        ELSE format('expected the dimensions [%s]', array_to_string(m.dimensions, ', '))
    END AS reason,
    sum(e.quantity) AS quantity,
    count(*) AS event_count
FROM periods AS p
INNER JOIN billing.customers AS c ON p.customer_id = c.customer_id
INNER JOIN billing.usage_series AS s ON p.customer_id = s.customer_id
INNER JOIN billing.usage_events AS e
    ON s.series_id = e.series_id AND e.occurred_at >= p.period_start AND e.occurred_at < p.period_end
LEFT JOIN billing.meters AS m ON c.currency = m.currency AND s.meter = m.meter
WHERE (m.meter IS NULL OR m.dimensions <> s.dimension_names OR NOT coalesce(e.properties ? m.property, m.property IS NULL))
    AND e.received_at <= :as_of
    AND NOT EXISTS (
        SELECT FROM billing.corrected_events AS x WHERE x.event_id = e.event_id AND x.corrected_at <= :as_of
    )
GROUP BY p.id, s.meter, s.dimensions, s.dimension_names, m.meter, m.dimensions, m.property
ORDER BY p.id, s.meter, s.dimensions
