-- Grain: one row a staged row that gives an event_id a second content, the first :shown of them.
-- An event that is stored is what its rows must equal; for a new one it is its first row in the file.
WITH firsts AS (SELECT DISTINCT ON (event_id) * FROM pg_temp.staged_usage ORDER BY event_id, line),

expected AS (
    SELECT
        f.event_id,
        CASE WHEN e.event_id IS NULL OR e.received_at = :received_at THEN f.line END AS line,
        coalesce(e.customer_id, f.customer_id) AS customer_id,
        coalesce(e.meter, f.meter) AS meter,
        coalesce(e.dimensions, f.dimensions) AS dimensions,
        coalesce(e.quantity, f.quantity) AS quantity,
        coalesce(e.occurred_at, f.occurred_at) AS occurred_at,
        CASE WHEN e.event_id IS NULL THEN f.properties ELSE coalesce(e.properties, '{}') END AS properties
    FROM firsts AS f LEFT JOIN billing.usage_events AS e USING (event_id)
)

SELECT
    s.line, s.event_id, x.line AS first_line, count(*) OVER () AS total,
    ARRAY[
        s.customer_id, s.meter, s.dimensions::text, trim_scale(s.quantity)::text, s.occurred_at::text, s.properties::text
    ] AS found,
    ARRAY[
        x.customer_id, x.meter, x.dimensions::text, trim_scale(x.quantity)::text, x.occurred_at::text, x.properties::text
    ] AS expected
FROM pg_temp.staged_usage AS s INNER JOIN expected AS x USING (event_id)
WHERE (s.customer_id, s.meter, s.dimensions, s.quantity, s.occurred_at, s.properties)
    IS DISTINCT FROM (x.customer_id, x.meter, x.dimensions, x.quantity, x.occurred_at, x.properties)
ORDER BY s.line
LIMIT :shown
