-- What was used: measured, billed, restated, and kept when its invoice is voided.

CREATE OR REPLACE FUNCTION billing.bump_months_of_snapshots() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.asset_months AS m (asset, billing_month, version)
    SELECT tg_table_name, billing_month, 1 FROM changed_rows GROUP BY billing_month ORDER BY billing_month
    ON CONFLICT (asset, billing_month) DO UPDATE SET version = m.version + 1;
    IF EXISTS (
        SELECT FROM changed_rows AS c JOIN billing.invoices AS i USING (period_id)
        WHERE billing.is_final(i.status)
    ) THEN
        RAISE EXCEPTION 'usage of a period with a finalised invoice is not changed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.bump_months_of_snapshots IS 'Trigger: new version of the month; refuses rows behind a finalised invoice. The version row is locked first, so finalising and changing cannot both get through';

CREATE OR REPLACE FUNCTION billing.check_snapshot_version() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.check_restated_rows() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.billed_snapshots(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, period_id uuid, customer_id text, meter text, dimensions jsonb, snapshot_version integer,
    quantity numeric, event_count bigint, as_of timestamptz, basis text, aggregation text, run_id text,
    period_start timestamptz, period_end timestamptz
)
LANGUAGE sql STABLE AS $$
WITH billed AS MATERIALIZED (
    SELECT i.invoice_id, i.period_id, i.status, p.period_start, p.period_end, coalesce((
        SELECT max(l.snapshot_version) FROM billing.invoice_line_items AS l WHERE l.invoice_id = i.invoice_id
    ), 1) AS snapshot_version
    FROM billing.invoices AS i JOIN billing.billing_periods AS p USING (period_id)
    WHERE i.invoice_id = ANY(ids) AND i.supplement_no = 0
)
SELECT b.invoice_id, b.period_id, s.customer_id, s.meter, s.dimensions, 1, s.quantity, s.event_count, s.as_of, s.basis,
    s.aggregation, s.run_id, b.period_start, b.period_end
FROM billed AS b JOIN billing.usage_snapshots AS s USING (period_id)
WHERE b.snapshot_version = 1 AND b.status <> 'void'
UNION ALL
SELECT b.invoice_id, b.period_id, r.customer_id, r.meter, r.dimensions, r.snapshot_version, r.quantity, r.event_count,
    r.as_of, r.basis, r.aggregation, r.run_id, b.period_start, b.period_end
FROM billed AS b JOIN billing.restated_snapshots AS r USING (period_id, snapshot_version)
WHERE b.status <> 'void'
UNION ALL
SELECT b.invoice_id, b.period_id, v.customer_id, v.meter, v.dimensions, v.snapshot_version, v.quantity, v.event_count,
    v.as_of, v.basis, v.aggregation, v.run_id, b.period_start, b.period_end
FROM billed AS b JOIN billing.voided_snapshots AS v USING (invoice_id)
WHERE b.status = 'void';
$$;
COMMENT ON FUNCTION billing.billed_snapshots IS 'One row a snapshot that the invoices were billed from, of the version that their lines name; those of void invoices were kept, and supplementary ones have none';

CREATE OR REPLACE FUNCTION billing.counts_as_of(event text, as_of timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT NOT EXISTS (SELECT FROM billing.usage_corrections AS r WHERE r.event_id = event AND r.removes)
    AND coalesce((
        SELECT (SELECT ce.received_at FROM billing.usage_events AS ce WHERE ce.event_id = c.event_id)
        FROM billing.usage_corrections AS c
        WHERE c.corrects_event_id = event
    ) > as_of, TRUE);
$$;
COMMENT ON FUNCTION billing.counts_as_of IS 'Whether an event that was received by then was not corrected by then, and is no removal: corrected_events for a few events';

-- Two index probes a series, whatever the length of history: two unions inside a lateral join made the planner read all events
-- of the time for each series, and sealing and explaining took the square of a month.
CREATE OR REPLACE FUNCTION billing.billed_events(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, meter text, dimensions jsonb, place bigint, event_id text, quantity numeric, occurred_at timestamptz,
    received_at timestamptz, corrects_event_id text, corrected_by text, value text
)
LANGUAGE sql STABLE AS $$
WITH series AS MATERIALIZED (
    SELECT b.*, billing.series_id(b.customer_id, b.meter, b.dimensions) AS series_id,
        substring(b.aggregation FROM '^unique of (.+)$') AS property
    FROM billing.billed_snapshots(ids) AS b
),
events AS (
    SELECT s.invoice_id, s.meter, s.dimensions, s.as_of, s.property, u.event_id, u.quantity, u.occurred_at, u.received_at
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT e.event_id, e.quantity, e.occurred_at, e.received_at FROM billing.usage_events AS e
        WHERE e.series_id = s.series_id AND e.occurred_at >= s.period_start AND e.occurred_at < s.period_end
            AND e.received_at <= s.as_of
    ) AS u
    UNION ALL
    SELECT s.invoice_id, s.meter, s.dimensions, s.as_of, s.property, u.event_id, u.quantity, u.occurred_at, u.received_at
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT l.event_id, l.quantity, l.occurred_at, l.received_at FROM billing.usage_events AS l
        WHERE l.series_id = s.series_id AND l.occurred_at = (
            SELECT e.occurred_at FROM billing.usage_events AS e
            WHERE e.series_id = s.series_id AND e.occurred_at < s.period_start AND e.received_at <= s.as_of
                AND billing.counts_as_of(e.event_id, s.as_of)
            ORDER BY e.occurred_at DESC
            LIMIT 1
        )
            AND l.received_at <= s.as_of AND billing.counts_as_of(l.event_id, s.as_of)
        ORDER BY coalesce((
            SELECT p.place_received_at FROM billing.usage_corrections AS p WHERE p.event_id = l.event_id
        ), l.received_at) DESC, coalesce((
            SELECT p.place_event_id FROM billing.usage_corrections AS p WHERE p.event_id = l.event_id
        ), l.event_id) COLLATE "C" DESC, l.received_at DESC, l.event_id COLLATE "C" DESC
        LIMIT 1
    ) AS u
    WHERE s.aggregation IN ('last', 'max', 'time_weighted')
)
SELECT e.invoice_id, e.meter, e.dimensions,
    row_number() OVER (
        PARTITION BY e.invoice_id, e.meter, e.dimensions
        ORDER BY e.occurred_at, coalesce(x.place_received_at, e.received_at),
            coalesce(x.place_event_id, e.event_id) COLLATE "C", e.received_at, e.event_id COLLATE "C"
    ),
    e.event_id, e.quantity, e.occurred_at, e.received_at, x.corrects_event_id, CASE WHEN x.removes THEN e.event_id ELSE (
        SELECT c.event_id FROM billing.usage_corrections AS c JOIN billing.usage_events AS ce USING (event_id)
        WHERE c.corrects_event_id = e.event_id AND ce.received_at <= e.as_of
    ) END, v.value
FROM events AS e
LEFT JOIN billing.usage_corrections AS x ON x.event_id = e.event_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN e.property IS NOT NULL THEN (
        SELECT p.properties ->> e.property FROM billing.usage_events AS p WHERE p.event_id = e.event_id
    ) END AS value
) AS v
WHERE e.property IS NULL OR v.value IS NOT NULL;
$$;
COMMENT ON FUNCTION billing.billed_events IS 'One row an event behind a billed snapshot: those of the period known at its cut-off, corrected ones too, and the level in force before the period, in the order in which they count; of unique also the value that they are counted by, and none without it. A removal is corrected by itself';

CREATE OR REPLACE FUNCTION billing.keep_voided_snapshots() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.voided_snapshots (
        invoice_id, meter, dimensions, period_id, customer_id, snapshot_version, quantity, event_count, as_of, basis,
        aggregation, run_id
    )
    WITH billed AS (
        SELECT coalesce(max(l.snapshot_version), 1) AS snapshot_version
        FROM billing.invoice_line_items AS l WHERE l.invoice_id = new.invoice_id
    )
    SELECT new.invoice_id, s.meter, s.dimensions, s.period_id, s.customer_id, 1, s.quantity, s.event_count, s.as_of, s.basis,
        s.aggregation, s.run_id
    FROM billed JOIN billing.usage_snapshots AS s ON s.period_id = new.period_id
    WHERE billed.snapshot_version = 1
    UNION ALL
    SELECT new.invoice_id, r.meter, r.dimensions, r.period_id, r.customer_id, r.snapshot_version, r.quantity, r.event_count,
        r.as_of, r.basis, r.aggregation, r.run_id
    FROM billed JOIN billing.restated_snapshots AS r USING (snapshot_version)
    WHERE r.period_id = new.period_id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.keep_voided_snapshots IS 'Trigger: what a void invoice was billed from is kept beside it before its period is measured anew';
