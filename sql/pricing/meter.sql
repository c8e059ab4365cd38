-- Grain: one row a meter of a book: entered, or brought up to date where it differs.
INSERT INTO billing.meters AS m (currency, meter, aggregation, dimensions, unit)
VALUES (:currency, :meter, :aggregation, :dimensions, :unit)
ON CONFLICT (currency, meter) DO UPDATE SET
    aggregation = excluded.aggregation, dimensions = excluded.dimensions, unit = excluded.unit
WHERE (m.aggregation, m.dimensions, m.unit)
IS DISTINCT FROM (excluded.aggregation, excluded.dimensions, excluded.unit)
