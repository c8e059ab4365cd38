-- What a month would be billed at today, beside what it was billed at. The rows that invoices stand on stay alone in
-- usage_snapshots, where gates, drafts and carry-forward read them without a filter; what later data gives for a period
-- with a finalised invoice goes to tables of its own, version by version, and only when it differs. A month of drafts
-- therefore costs what it did, and nothing that is billed is ever near a DELETE.

ALTER TABLE billing.usage_snapshots
ADD COLUMN aggregation text CHECK (aggregation IN ('constant', 'sum', 'last', 'max', 'time_weighted'));
COMMENT ON COLUMN billing.usage_snapshots.aggregation IS 'How the meter counted then, so that the quantity can be reproduced whatever the price book says later';

ALTER TABLE billing.invoice_line_items
ADD COLUMN snapshot_version integer NOT NULL DEFAULT 1 CHECK (snapshot_version > 0),
ADD COLUMN code_version text NOT NULL DEFAULT 'unrecorded' CHECK (code_version <> '');
COMMENT ON COLUMN billing.invoice_line_items.snapshot_version IS 'Version of the period''s snapshots that was billed: 1 is in usage_snapshots, later ones in restated_snapshots';
COMMENT ON COLUMN billing.invoice_line_items.code_version IS 'Version of the package and digest of the rules that first gave this line';

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
    aggregation text CHECK (aggregation IN ('constant', 'sum', 'last', 'max', 'time_weighted')),
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

CREATE FUNCTION billing.check_snapshot_version() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM new_rows AS n
        WHERE NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.period_id = n.period_id AND i.status <> 'draft')
    ) THEN
        RAISE EXCEPTION 'a period without a finalised invoice has one version, in usage_snapshots'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (
        SELECT FROM new_rows AS n
        WHERE n.snapshot_version > 2 AND NOT EXISTS (
            SELECT FROM billing.snapshot_versions AS v
            WHERE v.period_id = n.period_id AND v.snapshot_version = n.snapshot_version - 1 AND v.as_of <= n.as_of
        )
    ) THEN
        RAISE EXCEPTION 'versions of a period follow each other, and none looks further back than the one before'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_snapshot_version IS 'Trigger: only a billed period is restated, version after version, as of later and later';
CREATE TRIGGER snapshot_versions_inserted AFTER INSERT ON billing.snapshot_versions
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_snapshot_version();
CREATE TRIGGER snapshot_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.snapshot_versions
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a version is kept, a newer one is written beside it');

CREATE FUNCTION billing.check_restated_rows() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM new_rows AS n JOIN billing.snapshot_versions AS v USING (period_id, snapshot_version)
        WHERE v.xmin <> pg_current_xact_id()::xid
            OR (v.customer_id, v.billing_month, v.currency, v.as_of)
            IS DISTINCT FROM (n.customer_id, n.billing_month, n.currency, n.as_of)
    ) THEN
        RAISE EXCEPTION 'rows of a version are written with it, and nothing is added later'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.check_restated_rows IS 'Trigger: a version is complete when its transaction ends';
CREATE TRIGGER restated_snapshots_inserted AFTER INSERT ON billing.restated_snapshots
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.check_restated_rows();
CREATE TRIGGER restated_snapshots_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.restated_snapshots
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a version is kept, a newer one is written beside it');

ALTER TABLE billing.usage_quarantine DROP CONSTRAINT usage_quarantine_stage_check;
ALTER TABLE billing.usage_quarantine ADD CONSTRAINT usage_quarantine_stage_check
CHECK (stage IN ('usage_snapshots', 'invoice_line_items', 'billing_drift'));
