-- Grain: one row a meter of a book: entered, or brought up to date where it differs.
INSERT INTO billing.meters AS m (currency, meter, aggregation, dimensions, unit, property, events)
VALUES (:currency, :meter, :aggregation, :dimensions, :unit, :property, :events)
ON CONFLICT (currency, meter) DO UPDATE SET
    aggregation = excluded.aggregation, dimensions = excluded.dimensions, unit = excluded.unit,
    property = excluded.property, events = excluded.events
WHERE (m.aggregation, m.dimensions, m.unit, m.property, m.events)
IS DISTINCT FROM (excluded.aggregation, excluded.dimensions, excluded.unit, excluded.property, excluded.events)
