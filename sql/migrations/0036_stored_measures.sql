-- What pages show of measures, kept: over very many customers a view takes seconds to minutes.

CREATE TABLE billing.stored_measures (
    measure text PRIMARY KEY CHECK (
        measure IN (
            'collection', 'monthly_revenue', 'net_revenue', 'receivables_ageing', 'revenue_by_country',
            'revenue_by_customer', 'revenue_by_plan', 'revenue_forecast', 'revenue_movements', 'revenue_retention',
            'revenue_summary', 'usage_trends'
        )
    ),
    as_of timestamptz NOT NULL
);
COMMENT ON TABLE billing.stored_measures IS 'One row a measure that is kept: from when its rows are. Written by billing.store_measure alone; the view of this name stays its definition';
COMMENT ON COLUMN billing.stored_measures.measure IS 'View of the schema billing';
COMMENT ON COLUMN billing.stored_measures.as_of IS 'What came later is not in its rows';

CREATE TABLE billing.stored_measure_rows (
    measure text NOT NULL REFERENCES billing.stored_measures (measure),
    row_no integer NOT NULL,
    month date,
    content jsonb NOT NULL,
    PRIMARY KEY (measure, row_no)
);
COMMENT ON TABLE billing.stored_measure_rows IS 'One row a row of a measure that is kept; of those with a row a customer the first of each month';
COMMENT ON COLUMN billing.stored_measure_rows.measure IS 'View that it is a row of';
COMMENT ON COLUMN billing.stored_measure_rows.row_no IS 'From 1 on: by the first column of the view downwards, then by the next two, then by all';
COMMENT ON COLUMN billing.stored_measure_rows.month IS 'The first column of the view; null where that is no day';
COMMENT ON COLUMN billing.stored_measure_rows.content IS 'The row, each column by its name; without the names of customers';
