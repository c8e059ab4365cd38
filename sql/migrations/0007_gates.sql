-- Data-quality gates: which checks a month needs, what they said about which version of the rows, and the refusal to
-- finalise without them. Whoever finalises, in whatever way, passes here.

CREATE TABLE billing.required_gates (
    asset text NOT NULL,
    check_name text NOT NULL,
    PRIMARY KEY (asset, check_name)
);
COMMENT ON TABLE billing.required_gates IS 'One row a blocking check: it must have passed for the present version of the month''s rows';
COMMENT ON COLUMN billing.required_gates.asset IS 'Asset whose rows are checked';
COMMENT ON COLUMN billing.required_gates.check_name IS 'Name of the asset check in Dagster';
INSERT INTO billing.required_gates (asset, check_name) VALUES
('usage_snapshots', 'unique_grain'),
('usage_snapshots', 'complete_values'),
('usage_snapshots', 'quantities_not_negative'),
('usage_snapshots', 'known_meters_and_dimensions'),
('usage_snapshots', 'usage_conserved'),
('usage_snapshots', 'feed_reaches_period_end'),
('invoice_line_items', 'unique_grain'),
('invoice_line_items', 'complete_values'),
('invoice_line_items', 'quantities_not_negative'),
('invoice_line_items', 'amount_is_quantity_times_price'),
('invoice_line_items', 'terms_are_kept'),
('invoice_line_items', 'every_snapshot_priced_or_quarantined'),
('invoice_line_items', 'price_within_bounds'),
('invoice_line_items', 'no_price_lost'),
('invoice_line_items', 'set_aside_within_allowance'),
('invoices', 'one_invoice_per_period'),
('invoices', 'total_is_sum_of_lines'),
('invoices', 'one_currency'),
('invoices', 'every_customer_invoiced_or_excluded'),
('invoices', 'no_invoice_over_cap');
CREATE TRIGGER required_gates_keep
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.required_gates
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a gate is lifted by a migration');

CREATE TABLE billing.gate_results (
    gate_result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset text NOT NULL,
    billing_month billing.month_start NOT NULL,
    version bigint NOT NULL,
    check_name text NOT NULL,
    passed boolean NOT NULL,
    blocking boolean NOT NULL,
    failing_rows bigint NOT NULL CHECK (failing_rows >= 0),
    evidence jsonb NOT NULL,
    run_id text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (passed = (failing_rows = 0))
);
CREATE INDEX gate_results_latest ON billing.gate_results (asset, billing_month, version, check_name, gate_result_id DESC);
COMMENT ON TABLE billing.gate_results IS 'One row a check and run: what it said about which version of the rows; append-only, the latest counts';
COMMENT ON COLUMN billing.gate_results.gate_result_id IS 'Order of writing';
COMMENT ON COLUMN billing.gate_results.asset IS 'Asset whose rows were checked';
COMMENT ON COLUMN billing.gate_results.billing_month IS 'Partition';
COMMENT ON COLUMN billing.gate_results.version IS 'Version of the rows (asset_months) that the check saw';
COMMENT ON COLUMN billing.gate_results.check_name IS 'Name of the asset check in Dagster';
COMMENT ON COLUMN billing.gate_results.passed IS 'No row failed';
COMMENT ON COLUMN billing.gate_results.blocking IS 'Whether finalising needs it';
COMMENT ON COLUMN billing.gate_results.failing_rows IS 'Number of rows that failed';
COMMENT ON COLUMN billing.gate_results.evidence IS 'What was expected and a sample of the failing rows';
COMMENT ON COLUMN billing.gate_results.run_id IS 'Dagster run that checked';
COMMENT ON COLUMN billing.gate_results.checked_at IS 'When';
CREATE TRIGGER gate_results_of_seen_rows BEFORE INSERT ON billing.gate_results
FOR EACH ROW EXECUTE FUNCTION billing.check_gate_result();
CREATE TRIGGER gate_results_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.gate_results
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('results of gates are append-only');

CREATE TRIGGER invoices_finalised AFTER UPDATE ON billing.invoices
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION billing.check_finalisation();
