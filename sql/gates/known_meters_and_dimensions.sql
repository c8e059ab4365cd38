-- Snapshots whose meter is not in the customer's book, or whose dimensions are not the meter's.
SELECT b.customer_id, b.meter, b.dimensions, b.quantity
FROM (SELECT * FROM {batch}) AS b
LEFT JOIN billing.meters AS m USING (currency, meter)
WHERE m.meter IS NULL OR NOT (b.dimensions ?& m.dimensions)
    OR (SELECT count(*) FROM jsonb_object_keys(b.dimensions)) <> cardinality(m.dimensions)
