-- Grain: one row a quantity that is projected (:ids, …): what it is like, of pg_temp.measured, in another quantity.
INSERT INTO pg_temp.measured (
    period_id, meter, dimensions, customer_id, billing_month, currency, quantity, event_count, as_of, basis, run_id, aggregation
)
SELECT
    p.period_id,
    m.meter,
    m.dimensions,
    m.customer_id,
    m.billing_month,
    m.currency,
    p.quantity,
    p.event_count,
    m.as_of,
    m.basis,
    m.run_id,
    m.aggregation
FROM (
    SELECT
        unnest(cast(:ids AS uuid[])) AS period_id,
        unnest(cast(:likes AS uuid[])) AS like_period,
        unnest(cast(:meters AS text[])) AS meter,
        unnest(cast(:dimensions AS jsonb[])) AS dimensions,
        unnest(cast(:quantities AS numeric[])) AS quantity,
        unnest(cast(:event_counts AS bigint[])) AS event_count
) AS p
INNER JOIN pg_temp.measured AS m
    ON p.like_period = m.period_id AND p.meter = m.meter AND p.dimensions = m.dimensions
