-- Hours whose usage was unusual, and which hours were looked at.

CREATE TABLE billing.usage_looks (
    hour timestamptz PRIMARY KEY CHECK (hour = date_trunc('hour', hour, 'UTC')),
    looked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    series_count bigint NOT NULL CHECK (series_count >= 0)
);
COMMENT ON TABLE billing.usage_looks IS 'One row an hour whose usage was compared with the weeks before; append-only';
COMMENT ON COLUMN billing.usage_looks.hour IS 'Its beginning';
COMMENT ON COLUMN billing.usage_looks.looked_at IS 'When it was compared';
COMMENT ON COLUMN billing.usage_looks.series_count IS 'Customers and meters that were compared';
CREATE TRIGGER usage_looks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage_looks
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('looks are append-only');

CREATE TABLE billing.unusual_usage (
    hour timestamptz NOT NULL REFERENCES billing.usage_looks (hour),
    customer_id billing.platform_key NOT NULL,
    meter billing.platform_key NOT NULL,
    quantity billing.exact_decimal NOT NULL,
    usual_quantity double precision NOT NULL CHECK (usual_quantity > 0),
    spreads double precision NOT NULL CHECK (spreads <> 0),
    PRIMARY KEY (hour, customer_id, meter)
);
COMMENT ON TABLE billing.unusual_usage IS 'One row a customer, meter and hour whose usage is far from the same hour of the weekday in the weeks before; append-only. Nothing is billed by it';
COMMENT ON COLUMN billing.unusual_usage.hour IS 'Its beginning';
COMMENT ON COLUMN billing.unusual_usage.customer_id IS 'Whose usage; not a foreign key, as in usage_events';
COMMENT ON COLUMN billing.unusual_usage.meter IS 'Which meter';
COMMENT ON COLUMN billing.unusual_usage.quantity IS 'What was used in the hour, in the meter''s unit';
COMMENT ON COLUMN billing.unusual_usage.usual_quantity IS 'The median of the weeks before';
COMMENT ON COLUMN billing.unusual_usage.spreads IS 'How far from it, in spreads; below 0: a drop';
CREATE TRIGGER unusual_usage_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.unusual_usage
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what was found unusual is kept');
