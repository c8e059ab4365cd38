-- The difference between what a month was billed at and what today's data and prices give.

CREATE TABLE billing.billing_drift (
    billing_month billing.month_start NOT NULL,
    customer_id billing.platform_key NOT NULL,
    period_id uuid NOT NULL,
    invoice_id uuid NOT NULL REFERENCES billing.invoices (invoice_id),
    meter billing.platform_key NOT NULL,
    dimensions jsonb NOT NULL,
    kind text NOT NULL CHECK (kind IN ('usage', 'minimum')),
    description text NOT NULL,
    currency billing.currency_code NOT NULL,
    billed_quantity billing.exact_decimal NOT NULL,
    current_quantity billing.exact_decimal NOT NULL,
    billed_minor bigint NOT NULL,
    current_minor bigint NOT NULL,
    difference_minor bigint NOT NULL GENERATED ALWAYS AS (current_minor - billed_minor) STORED CHECK (difference_minor <> 0),
    reason text NOT NULL CHECK (
        reason <> '' AND string_to_array(reason, '+')
        <@ ARRAY['late_event', 'corrected_event', 'price_change', 'customer_change', 'code_change']
    ),
    snapshot_version integer NOT NULL CHECK (snapshot_version > 0),
    as_of timestamptz NOT NULL,
    run_id text NOT NULL,
    PRIMARY KEY (period_id, meter, dimensions, kind),
    FOREIGN KEY (period_id, customer_id, billing_month, currency)
    REFERENCES billing.billing_periods (period_id, customer_id, billing_month, currency)
);
CREATE INDEX billing_drift_month ON billing.billing_drift (billing_month);
CREATE INDEX billing_drift_customer ON billing.billing_drift (customer_id);
COMMENT ON TABLE billing.billing_drift IS 'One row a billed period, meter, dimensions and kind of line whose amount would be another one today; rebuilt with its month. Settlements, adjustments and credit notes are not subtracted: the row is the whole difference to the invoice''s own lines';
COMMENT ON COLUMN billing.billing_drift.billing_month IS 'Partition';
COMMENT ON COLUMN billing.billing_drift.customer_id IS 'Who was billed';
COMMENT ON COLUMN billing.billing_drift.period_id IS 'The period';
COMMENT ON COLUMN billing.billing_drift.invoice_id IS 'The period''s finalised invoice that is not void. Periods without one are drafted from today''s data and have no drift';
COMMENT ON COLUMN billing.billing_drift.meter IS 'Meter';
COMMENT ON COLUMN billing.billing_drift.dimensions IS 'Dimension values';
COMMENT ON COLUMN billing.billing_drift.kind IS 'usage, or minimum: the difference to the price''s minimum';
COMMENT ON COLUMN billing.billing_drift.description IS 'Text of the line, today''s where there is one';
COMMENT ON COLUMN billing.billing_drift.currency IS 'Currency of the amounts';
COMMENT ON COLUMN billing.billing_drift.billed_quantity IS 'Usage on the invoice, 0 if it has no such line';
COMMENT ON COLUMN billing.billing_drift.current_quantity IS 'Usage by today''s data, 0 if it gives no such line';
COMMENT ON COLUMN billing.billing_drift.billed_minor IS 'What the invoice''s lines say, in minor units';
COMMENT ON COLUMN billing.billing_drift.current_minor IS 'What today''s data and prices give, in minor units';
COMMENT ON COLUMN billing.billing_drift.difference_minor IS 'Positive: billed too little; negative: too much';
COMMENT ON COLUMN billing.billing_drift.reason IS 'late_event, corrected_event, price_change (prices or meters of the book), customer_change (the customer''s own prices), several joined by +; code_change when data and prices are the same';
COMMENT ON COLUMN billing.billing_drift.snapshot_version IS 'Version of the period''s snapshots that current_minor is rated from';
COMMENT ON COLUMN billing.billing_drift.as_of IS 'Cut-off of that look at the usage';
COMMENT ON COLUMN billing.billing_drift.run_id IS 'Run that wrote the row';
CREATE TRIGGER billing_drift_no_update BEFORE UPDATE OR TRUNCATE ON billing.billing_drift
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a month is rebuilt by delete and insert');
