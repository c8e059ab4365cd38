-- Grain: one row a period, meter and dimensions, of the period's newest version.
CREATE VIEW billing.current_snapshots AS
SELECT
    s.period_id, s.meter, s.dimensions, 1 AS snapshot_version, s.customer_id, s.billing_month, s.currency, s.quantity,
    s.event_count, s.as_of, s.basis, s.aggregation, s.run_id
FROM billing.usage_snapshots AS s
WHERE NOT EXISTS (SELECT FROM billing.snapshot_versions AS v WHERE v.period_id = s.period_id)
UNION ALL
SELECT
    r.period_id, r.meter, r.dimensions, r.snapshot_version, r.customer_id, r.billing_month, r.currency, r.quantity,
    r.event_count, r.as_of, r.basis, r.aggregation, r.run_id
FROM billing.restated_snapshots AS r
WHERE NOT EXISTS (
        SELECT FROM billing.snapshot_versions AS v
        WHERE v.period_id = r.period_id AND v.snapshot_version > r.snapshot_version
    );

COMMENT ON VIEW billing.current_snapshots IS 'One row a period, meter and dimensions: what the usage known at the last look gives, billed or not';
COMMENT ON COLUMN billing.current_snapshots.period_id IS 'The period';
COMMENT ON COLUMN billing.current_snapshots.meter IS 'The meter';
COMMENT ON COLUMN billing.current_snapshots.dimensions IS 'The dimension values';
COMMENT ON COLUMN billing.current_snapshots.snapshot_version IS '1: what usage_snapshots has; later ones: written after the period was billed';
COMMENT ON COLUMN billing.current_snapshots.customer_id IS 'Whose usage';
COMMENT ON COLUMN billing.current_snapshots.billing_month IS 'Partition';
COMMENT ON COLUMN billing.current_snapshots.currency IS 'Currency of the period';
COMMENT ON COLUMN billing.current_snapshots.quantity IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.current_snapshots.event_count IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.current_snapshots.as_of IS 'Cut-off: events received until then were counted';
COMMENT ON COLUMN billing.current_snapshots.basis IS 'measured, carried_forward or corrected';
COMMENT ON COLUMN billing.current_snapshots.aggregation IS 'How the meter counted then';
COMMENT ON COLUMN billing.current_snapshots.run_id IS 'Run that wrote the row';
