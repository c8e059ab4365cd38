-- What pages show of a measure is kept here as its view has it at the moment: the view alone says what a measure is.
--
-- Which views that may be is the check of stored_measures, which is asked before the view is: analysts read these tables,
-- and there are views and tables that they may not read. Names of customers are not kept, for the same reason.
--
-- EXECUTE: views come after functions, and are made anew when one of them changes. Security definer: nobody else writes.
CREATE OR REPLACE FUNCTION billing.store_measure(view_name text, month_rows_max integer DEFAULT NULL) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked_at timestamptz := clock_timestamp();
    kept_at timestamptz;
    sorted text[];
    month text;
BEGIN
    -- the row is the lock: of two at once the second sees what the first kept
    INSERT INTO billing.stored_measures AS s (measure, as_of) VALUES (view_name, '-infinity')
    ON CONFLICT (measure) DO UPDATE SET as_of = s.as_of
    RETURNING s.as_of INTO kept_at;
    IF kept_at > asked_at THEN
        RETURN kept_at; -- somebody else began after this was asked for: theirs has all that this would have
    END IF;
    kept_at := clock_timestamp(); -- before the view is read: what comes meanwhile may be missing
    INSERT INTO billing.stored_measures (measure, as_of) VALUES (view_name, kept_at)
    ON CONFLICT (measure) DO UPDATE SET as_of = excluded.as_of;
    DELETE FROM billing.stored_measure_rows AS r WHERE r.measure = view_name;
    SELECT array_agg(quote_ident(a.attname) ORDER BY a.attnum),
        max(quote_ident(a.attname)) FILTER (
            WHERE a.attnum = 1 AND coalesce(nullif(t.typbasetype, 0), t.oid) = 'date'::regtype
        )
    INTO sorted, month
    FROM pg_attribute AS a INNER JOIN pg_type AS t ON a.atttypid = t.oid
    WHERE a.attrelid = format('billing.%I', view_name)::regclass AND a.attnum BETWEEN 1 AND 3;
    EXECUTE format(
        $insert$
        INSERT INTO billing.stored_measure_rows (measure, row_no, month, content)
        SELECT $1, row_number() OVER (ORDER BY n.key_1 DESC, n.key_2, n.key_3, n.whole), n.month, n.content
        FROM (
            SELECT v.%1$s AS key_1, v.%2$s AS key_2, v.%3$s AS key_3, %5$s::date AS month, v AS whole,
                to_jsonb(v) - 'customer_name' AS content,
                row_number() OVER (PARTITION BY v.%1$s ORDER BY v.%2$s, v.%3$s, v) AS in_month
            FROM billing.%4$I AS v
        ) AS n
        WHERE $2 IS NULL OR n.in_month <= $2
        $insert$,
        sorted[1], sorted[2], sorted[3], view_name, coalesce(month, 'NULL')
    ) USING view_name, month_rows_max;
    RETURN kept_at;
END;
$$;
COMMENT ON FUNCTION billing.store_measure IS 'Keeps the rows of a measure as its view has them now, in place of those that were kept; at most month_rows_max of each value of its first column, the first by the next two and then by all; null: all. Returns from when they are';
REVOKE EXECUTE ON FUNCTION billing.store_measure FROM public;
