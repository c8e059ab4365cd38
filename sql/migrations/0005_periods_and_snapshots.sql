-- Periods and what was used in them. Rows of a month are never updated: a month is rebuilt by deleting and inserting, and
-- rows that belong to a finalised invoice refuse both.
--
-- What an invoice was billed from stays alone in usage_snapshots, where gates, drafts and carry-forward read it without a
-- filter. What later data gives for a period with a finalised invoice goes to snapshot_versions and restated_snapshots,
-- version by version, and only when it differs: nothing that is billed is ever near a DELETE.

CREATE TABLE billing.asset_months (
    asset text NOT NULL,
    billing_month billing.month_start NOT NULL,
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    guard bigint NOT NULL DEFAULT 0,
    built_from bigint,
    as_of timestamptz,
    known_until timestamptz,
    carried_forward_from timestamptz,
    run_id text,
    PRIMARY KEY (asset, billing_month)
);
COMMENT ON TABLE billing.asset_months IS 'One row an asset and month: the version of its rows. Also the lock between those who change the rows and those who rely on them';
COMMENT ON COLUMN billing.asset_months.asset IS 'Asset key, which is the table''s name';
COMMENT ON COLUMN billing.asset_months.billing_month IS 'Partition';
COMMENT ON COLUMN billing.asset_months.version IS 'Raised by triggers with every change to the month''s rows, whoever makes it; gates hold for one version';
COMMENT ON COLUMN billing.asset_months.guard IS 'Raised by whoever relies on the rows staying as they are, so that a concurrent writer with an older snapshot fails instead of slipping through';
COMMENT ON COLUMN billing.asset_months.built_from IS 'Version of the upstream asset that the rows were built from';
COMMENT ON COLUMN billing.asset_months.as_of IS 'Cut-off of usage_snapshots: events received until then were counted';
COMMENT ON COLUMN billing.asset_months.known_until IS 'When usage_snapshots was built, or the prices and terms of invoice_line_items were read: what came later outdates the drafts. Of snapshots as as_of, unless an operator set an earlier cut-off on purpose';
COMMENT ON COLUMN billing.asset_months.carried_forward_from IS 'The feed''s reach when an operator released the month with carry-forward; null when not';
COMMENT ON COLUMN billing.asset_months.run_id IS 'Run that last materialised the month';
-- A version that came back would bring back what gates said about other rows.
CREATE TRIGGER asset_months_change BEFORE UPDATE ON billing.asset_months
FOR EACH ROW WHEN (
    (new.asset, new.billing_month) IS DISTINCT FROM (old.asset, old.billing_month)
    OR new.version < old.version OR new.guard < old.guard
) EXECUTE FUNCTION billing.refuse_change('versions of a month only rise');
CREATE TRIGGER asset_months_keep BEFORE DELETE OR TRUNCATE ON billing.asset_months
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('versions of a month only rise');

CREATE TABLE billing.billing_periods (
    period_id uuid PRIMARY KEY GENERATED ALWAYS AS (
        md5(customer_id::text || chr(31) || extract(EPOCH FROM period_start AT TIME ZONE 'UTC')::text)::uuid
    ) STORED,
    customer_id billing.platform_key NOT NULL REFERENCES billing.customers (customer_id),
    billing_month billing.month_start NOT NULL,
    currency billing.currency_code NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    start_date date NOT NULL,
    end_date date NOT NULL,
    timezone text NOT NULL,
    previous_end timestamptz CHECK (previous_end = period_start),
    follows_end timestamptz CHECK (follows_end < period_start),
    plan text CHECK (plan ~ '\S'),
    full_days integer CHECK (full_days > end_date - start_date),
    in_trial boolean NOT NULL DEFAULT FALSE,
    CHECK (previous_end IS NULL OR follows_end IS NULL),
    CHECK (period_start < period_end AND isfinite(period_start) AND isfinite(period_end)),
    UNIQUE (customer_id, period_start),
    UNIQUE (customer_id, period_end),
    UNIQUE (period_id, customer_id, billing_month, currency),
    FOREIGN KEY (customer_id, previous_end) REFERENCES billing.billing_periods (customer_id, period_end)
    DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (customer_id, follows_end) REFERENCES billing.billing_periods (customer_id, period_end)
    DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX billing_periods_one_first ON billing.billing_periods
(customer_id, coalesce(previous_end, follows_end)) NULLS NOT DISTINCT;
CREATE INDEX billing_periods_month ON billing.billing_periods (billing_month, customer_id, period_end);
CREATE INDEX billing_periods_month_end ON billing.billing_periods (billing_month, period_end);
COMMENT ON TABLE billing.billing_periods IS 'One row a customer and period. Every period but the first follows exactly one other: it starts where that one ends, or, as the first day of a later contract, after it. No overlap can be written, and no gap within a contract';
COMMENT ON COLUMN billing.billing_periods.period_id IS 'Derived from customer and start';
COMMENT ON COLUMN billing.billing_periods.customer_id IS 'Whose period';
COMMENT ON COLUMN billing.billing_periods.billing_month IS 'Month of the period''s last instant in its time zone: the partition that bills it';
COMMENT ON COLUMN billing.billing_periods.currency IS 'Currency of the customer when the period was laid out; lines and invoice share it by foreign key';
COMMENT ON COLUMN billing.billing_periods.period_start IS 'First instant';
COMMENT ON COLUMN billing.billing_periods.period_end IS 'First instant after it';
COMMENT ON COLUMN billing.billing_periods.start_date IS 'First day in the customer''s time zone; decides the price version';
COMMENT ON COLUMN billing.billing_periods.end_date IS 'First day after it';
COMMENT ON COLUMN billing.billing_periods.timezone IS 'Zone that the days were counted in';
COMMENT ON COLUMN billing.billing_periods.previous_end IS 'End of the period before: equal to period_start; null for the first of a contract';
COMMENT ON COLUMN billing.billing_periods.follows_end IS 'End of the last period of an earlier contract, before this one starts; null unless it is the first of a later contract';
COMMENT ON COLUMN billing.billing_periods.plan IS 'Plan that prices the period; null: the prices that hold for all';
COMMENT ON COLUMN billing.billing_periods.full_days IS 'Days of the whole period of the billing cycle where a contract''s day cut this one short, else null; constant meters cost their share by days';
COMMENT ON COLUMN billing.billing_periods.in_trial IS 'All of its days are days of a trial: constant meters cost nothing, and no commitment is due';
CREATE TRIGGER billing_periods_gap AFTER INSERT ON billing.billing_periods
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_period_gap();
CREATE TRIGGER billing_periods_change BEFORE UPDATE ON billing.billing_periods
FOR EACH ROW EXECUTE FUNCTION billing.check_period_change();
CREATE TRIGGER billing_periods_no_truncate BEFORE TRUNCATE ON billing.billing_periods
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('periods are kept');

CREATE TABLE billing.usage_snapshots (
    period_id uuid NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    customer_id billing.platform_key NOT NULL,
    billing_month billing.month_start NOT NULL,
    currency billing.currency_code NOT NULL,
    quantity billing.exact_decimal NOT NULL,
    event_count bigint NOT NULL CHECK (event_count >= 0),
    as_of timestamptz NOT NULL,
    basis text NOT NULL CHECK (basis IN ('measured', 'carried_forward', 'corrected')),
    run_id text NOT NULL,
    aggregation text CHECK (
        aggregation ~ '^(constant|sum|count|unique of \S+|(last|max|time_weighted)( of deltas)?)$'
    ),
    PRIMARY KEY (period_id, meter, dimensions),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE INDEX usage_snapshots_month ON billing.usage_snapshots (billing_month) INCLUDE (event_count);
COMMENT ON TABLE billing.usage_snapshots IS 'One row a period, meter and dimensions: the quantity that is billed';
COMMENT ON COLUMN billing.usage_snapshots.period_id IS 'The period';
COMMENT ON COLUMN billing.usage_snapshots.meter IS 'The meter';
COMMENT ON COLUMN billing.usage_snapshots.dimensions IS 'The dimension values';
COMMENT ON COLUMN billing.usage_snapshots.customer_id IS 'Whose usage';
COMMENT ON COLUMN billing.usage_snapshots.billing_month IS 'Partition';
COMMENT ON COLUMN billing.usage_snapshots.currency IS 'Currency of the period';
COMMENT ON COLUMN billing.usage_snapshots.quantity IS 'Events of the period under the meter''s aggregation, in its unit; at most 12 places';
COMMENT ON COLUMN billing.usage_snapshots.event_count IS 'Events of the period that it was made of; 0 where a level only holds on';
COMMENT ON COLUMN billing.usage_snapshots.as_of IS 'Cut-off: events received until then were counted';
COMMENT ON COLUMN billing.usage_snapshots.basis IS 'measured; carried_forward: the feed was incomplete and an operator released last period''s quantity; corrected: a correcting event is in it';
COMMENT ON COLUMN billing.usage_snapshots.run_id IS 'Run that wrote the row';
COMMENT ON COLUMN billing.usage_snapshots.aggregation IS 'How the meter counted then (of unique the property, of levels whether events are deltas), so that the quantity can be reproduced whatever the price book says later';
CREATE TRIGGER usage_snapshots_inserted AFTER INSERT ON billing.usage_snapshots
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.bump_months_of_snapshots();
CREATE TRIGGER usage_snapshots_deleted AFTER DELETE ON billing.usage_snapshots
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.bump_months_of_snapshots();
CREATE TRIGGER usage_snapshots_no_update BEFORE UPDATE OR TRUNCATE ON billing.usage_snapshots
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a month is rebuilt by delete and insert');

CREATE TABLE billing.usage_quarantine (
    billing_month billing.month_start NOT NULL,
    stage text NOT NULL CHECK (stage IN ('usage_snapshots', 'invoice_line_items', 'billing_drift')),
    customer_id billing.platform_key NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    period_id uuid,
    reason text NOT NULL CHECK (reason <> ''),
    quantity numeric NOT NULL,
    event_count bigint NOT NULL CHECK (event_count >= 0),
    run_id text NOT NULL,
    worth_minor bigint
);
CREATE UNIQUE INDEX usage_quarantine_grain ON billing.usage_quarantine
(billing_month, stage, customer_id, meter, dimensions, period_id) NULLS NOT DISTINCT;
COMMENT ON TABLE billing.usage_quarantine IS 'One row a month, customer, meter and dimensions whose usage cannot be billed, with the reason';
COMMENT ON COLUMN billing.usage_quarantine.billing_month IS 'Partition; the UTC month of the events where there is no period';
COMMENT ON COLUMN billing.usage_quarantine.stage IS 'Asset that set it aside';
COMMENT ON COLUMN billing.usage_quarantine.customer_id IS 'As in the events';
COMMENT ON COLUMN billing.usage_quarantine.meter IS 'As in the events';
COMMENT ON COLUMN billing.usage_quarantine.dimensions IS 'As in the events';
COMMENT ON COLUMN billing.usage_quarantine.period_id IS 'The period, where the customer has one';
COMMENT ON COLUMN billing.usage_quarantine.reason IS 'Why it cannot be billed';
COMMENT ON COLUMN billing.usage_quarantine.quantity IS 'Sum of the events'' quantities, or the unpriced snapshot''s quantity';
COMMENT ON COLUMN billing.usage_quarantine.event_count IS 'Events set aside';
COMMENT ON COLUMN billing.usage_quarantine.run_id IS 'Run that wrote the row';
COMMENT ON COLUMN billing.usage_quarantine.worth_minor IS 'What it comes to at the last price that the meter had, in minor units of the customer''s currency, before any minimum; null where no price is known or the quantity cannot be billed';

CREATE TABLE billing.snapshot_versions (
    period_id uuid NOT NULL,
    snapshot_version integer NOT NULL CHECK (snapshot_version > 1),
    customer_id billing.platform_key NOT NULL,
    billing_month billing.month_start NOT NULL,
    currency billing.currency_code NOT NULL,
    as_of timestamptz NOT NULL,
    run_id text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (period_id, snapshot_version),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE INDEX snapshot_versions_month ON billing.snapshot_versions (billing_month);
COMMENT ON TABLE billing.snapshot_versions IS 'One row a period and version of its snapshots, from 2 on: written when a month with finalised invoices is materialised and its data gives something else than the version before. Version 1 is in usage_snapshots';
COMMENT ON COLUMN billing.snapshot_versions.period_id IS 'The period';
COMMENT ON COLUMN billing.snapshot_versions.snapshot_version IS 'Number within the period, without gaps';
COMMENT ON COLUMN billing.snapshot_versions.customer_id IS 'Whose period';
COMMENT ON COLUMN billing.snapshot_versions.billing_month IS 'Partition';
COMMENT ON COLUMN billing.snapshot_versions.currency IS 'Currency of the period';
COMMENT ON COLUMN billing.snapshot_versions.as_of IS 'Cut-off: events received until then were counted; rises with the version';
COMMENT ON COLUMN billing.snapshot_versions.run_id IS 'Run that wrote it';
COMMENT ON COLUMN billing.snapshot_versions.written_at IS 'When it was written';
CREATE TRIGGER snapshot_versions_inserted AFTER INSERT ON billing.snapshot_versions
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_snapshot_version();
CREATE TRIGGER snapshot_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.snapshot_versions
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a version is kept, a newer one is written beside it');

CREATE TABLE billing.restated_snapshots (
    period_id uuid NOT NULL,
    snapshot_version integer NOT NULL,
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    customer_id billing.platform_key NOT NULL,
    billing_month billing.month_start NOT NULL,
    currency billing.currency_code NOT NULL,
    quantity billing.exact_decimal NOT NULL,
    event_count bigint NOT NULL CHECK (event_count >= 0),
    as_of timestamptz NOT NULL,
    basis text NOT NULL CHECK (basis IN ('measured', 'carried_forward', 'corrected')),
    aggregation text CHECK (
        aggregation ~ '^(constant|sum|count|unique of \S+|(last|max|time_weighted)( of deltas)?)$'
    ),
    run_id text NOT NULL,
    PRIMARY KEY (period_id, snapshot_version, meter, dimensions),
    FOREIGN KEY (period_id, snapshot_version) REFERENCES billing.snapshot_versions (period_id, snapshot_version)
);
CREATE INDEX restated_snapshots_month ON billing.restated_snapshots (billing_month);
COMMENT ON TABLE billing.restated_snapshots IS 'One row a period, version, meter and dimensions: what later data gives for a period with a finalised invoice. Never billed by itself';
COMMENT ON COLUMN billing.restated_snapshots.period_id IS 'The period';
COMMENT ON COLUMN billing.restated_snapshots.snapshot_version IS 'Version of the period''s snapshots, from 2 on';
COMMENT ON COLUMN billing.restated_snapshots.meter IS 'The meter';
COMMENT ON COLUMN billing.restated_snapshots.dimensions IS 'The dimension values';
COMMENT ON COLUMN billing.restated_snapshots.customer_id IS 'Whose usage';
COMMENT ON COLUMN billing.restated_snapshots.billing_month IS 'Partition';
COMMENT ON COLUMN billing.restated_snapshots.currency IS 'Currency of the period';
COMMENT ON COLUMN billing.restated_snapshots.quantity IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.restated_snapshots.event_count IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.restated_snapshots.as_of IS 'Cut-off: events received until then were counted';
COMMENT ON COLUMN billing.restated_snapshots.basis IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.restated_snapshots.aggregation IS 'As in usage_snapshots';
COMMENT ON COLUMN billing.restated_snapshots.run_id IS 'Run that wrote the row';
CREATE TRIGGER restated_snapshots_inserted AFTER INSERT ON billing.restated_snapshots
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_restated_rows();
CREATE TRIGGER restated_snapshots_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.restated_snapshots
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a version is kept, a newer one is written beside it');
