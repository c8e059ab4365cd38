-- Customers whose drafts of a month were built by themselves, after everybody's.

CREATE TABLE billing.customer_builds (
    asset text NOT NULL CHECK (asset IN ('usage_snapshots', 'invoice_line_items')),
    billing_month billing.month_start NOT NULL,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    as_of timestamptz CHECK (as_of <= known_until),
    known_until timestamptz NOT NULL,
    carried_forward_from timestamptz,
    run_id text NOT NULL,
    PRIMARY KEY (asset, billing_month, customer_id),
    CHECK ((asset = 'usage_snapshots') = (as_of IS NOT NULL))
);
COMMENT ON TABLE billing.customer_builds IS 'One row an asset, month and customer whose rows were built by themselves since the month was built: until when they were read. Gone when the month is built again. billing.cut_off says which holds';
COMMENT ON COLUMN billing.customer_builds.asset IS 'usage_snapshots or invoice_line_items';
COMMENT ON COLUMN billing.customer_builds.billing_month IS 'Partition';
COMMENT ON COLUMN billing.customer_builds.customer_id IS 'Whose rows';
COMMENT ON COLUMN billing.customer_builds.as_of IS 'Cut-off of usage_snapshots: events received until then were counted';
COMMENT ON COLUMN billing.customer_builds.known_until IS 'When usage_snapshots was built, or the prices and terms of invoice_line_items were read: what came later outdates the customer''s drafts';
COMMENT ON COLUMN billing.customer_builds.carried_forward_from IS 'The feed''s reach when an operator released the customer with carry-forward; null when not';
COMMENT ON COLUMN billing.customer_builds.run_id IS 'Run that built them';

ALTER TABLE billing.started_runs
ADD COLUMN customer_id billing.platform_key REFERENCES billing.customers (customer_id),
DROP CONSTRAINT started_runs_job_check,
ADD CONSTRAINT started_runs_job_check
CHECK (job IN ('snapshot_month', 'bill_month', 'bill_customer', 'charge_month', 'whole_month')),
ADD CONSTRAINT started_runs_of_customer CHECK ((job = 'bill_customer') = (customer_id IS NOT NULL));
COMMENT ON TABLE billing.started_runs IS 'One row a Dagster run that a person started from the console or the API: of one job, month and customer one at a time';
COMMENT ON COLUMN billing.started_runs.job IS 'bill_month; snapshot_month: it up to what was used; bill_customer: the drafts of one customer; charge_month; whole_month: bill_month and, if it passed, charge_month';
COMMENT ON COLUMN billing.started_runs.customer_id IS 'Whose drafts bill_customer builds; null for the other jobs';
DROP INDEX billing.started_runs_one_at_a_time;
CREATE UNIQUE INDEX started_runs_one_at_a_time ON billing.started_runs (billing_month, job, customer_id) NULLS NOT DISTINCT
WHERE ended_at IS NULL;
