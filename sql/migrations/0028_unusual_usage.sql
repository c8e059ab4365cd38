-- Hours whose usage and months whose amounts were unusual, and which of them were looked at.

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
CREATE TRIGGER unusual_usage_tell AFTER INSERT ON billing.unusual_usage
FOR EACH ROW WHEN (new.spreads > 0) EXECUTE FUNCTION billing.tell_of_unusual_usage();

CREATE TABLE billing.revenue_looks (
    billing_month billing.month_start NOT NULL,
    version bigint NOT NULL,
    looked_at timestamptz NOT NULL,
    customer_count bigint NOT NULL CHECK (customer_count >= 0),
    PRIMARY KEY (billing_month, version)
);
COMMENT ON TABLE billing.revenue_looks IS 'One row a version of a month''s invoices whose amounts were compared with the months before; append-only';
COMMENT ON COLUMN billing.revenue_looks.billing_month IS 'Partition';
COMMENT ON COLUMN billing.revenue_looks.version IS 'The version of its invoices, as asset_months had it';
COMMENT ON COLUMN billing.revenue_looks.looked_at IS 'When they were compared';
COMMENT ON COLUMN billing.revenue_looks.customer_count IS 'Customers and currencies that were compared';
CREATE TRIGGER revenue_looks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.revenue_looks
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('looks are append-only');

CREATE TABLE billing.unusual_revenue (
    billing_month billing.month_start NOT NULL,
    version bigint NOT NULL,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    currency billing.currency_code NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    usual_minor bigint NOT NULL CHECK (usual_minor >= 0),
    spreads double precision NOT NULL CHECK (spreads <> 0),
    PRIMARY KEY (billing_month, version, customer_id, currency),
    FOREIGN KEY (billing_month, version) REFERENCES billing.revenue_looks (billing_month, version)
);
COMMENT ON TABLE billing.unusual_revenue IS 'One row a customer, currency and version of a month whose invoices are far from those of its months before; append-only. Nothing is billed by it';
COMMENT ON COLUMN billing.unusual_revenue.billing_month IS 'Partition';
COMMENT ON COLUMN billing.unusual_revenue.version IS 'The version that was looked at';
COMMENT ON COLUMN billing.unusual_revenue.customer_id IS 'Whose invoices';
COMMENT ON COLUMN billing.unusual_revenue.currency IS 'In which currency';
COMMENT ON COLUMN billing.unusual_revenue.amount_minor IS 'What the month comes to, without supplementary invoices';
COMMENT ON COLUMN billing.unusual_revenue.usual_minor IS 'The median of the months before, for as many days';
COMMENT ON COLUMN billing.unusual_revenue.spreads IS 'How far from it, in spreads; below 0: a drop';
CREATE TRIGGER unusual_revenue_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.unusual_revenue
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('what was found unusual is kept');
