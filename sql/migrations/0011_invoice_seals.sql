-- What an invoice was made of, digested when its charge intent is written, whoever writes it. A row of it that is changed
-- later, by somebody who can switch triggers off, no longer fits.

CREATE FUNCTION billing.billed_snapshots(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, period_id uuid, customer_id text, meter text, dimensions jsonb, snapshot_version integer,
    quantity numeric, event_count bigint, as_of timestamptz, basis text, aggregation text, run_id text,
    period_start timestamptz, period_end timestamptz
)
LANGUAGE sql STABLE AS $$
WITH billed AS MATERIALIZED (
    SELECT i.invoice_id, i.period_id, p.period_start, p.period_end, coalesce((
        SELECT max(l.snapshot_version) FROM billing.invoice_line_items AS l WHERE l.invoice_id = i.invoice_id
    ), 1) AS snapshot_version
    FROM billing.invoices AS i JOIN billing.billing_periods AS p USING (period_id)
    WHERE i.invoice_id = ANY(ids)
)
SELECT b.invoice_id, b.period_id, s.customer_id, s.meter, s.dimensions, 1, s.quantity, s.event_count, s.as_of, s.basis,
    s.aggregation, s.run_id, b.period_start, b.period_end
FROM billed AS b JOIN billing.usage_snapshots AS s USING (period_id)
WHERE b.snapshot_version = 1
UNION ALL
SELECT b.invoice_id, b.period_id, r.customer_id, r.meter, r.dimensions, r.snapshot_version, r.quantity, r.event_count,
    r.as_of, r.basis, r.aggregation, r.run_id, b.period_start, b.period_end
FROM billed AS b JOIN billing.restated_snapshots AS r USING (period_id, snapshot_version);
$$;
COMMENT ON FUNCTION billing.billed_snapshots IS 'One row a snapshot that the invoices were billed from, of the version that their lines name';

CREATE FUNCTION billing.billed_events(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, meter text, dimensions jsonb, place bigint, event_id text, quantity numeric, occurred_at timestamptz,
    received_at timestamptz, corrects_event_id text, corrected_by text
)
LANGUAGE sql STABLE AS $$
SELECT s.invoice_id, s.meter, s.dimensions,
    row_number() OVER (
        PARTITION BY s.invoice_id, s.meter, s.dimensions ORDER BY e.occurred_at, e.received_at, e.event_id
    ),
    e.event_id, e.quantity, e.occurred_at, e.received_at, e.corrects_event_id, e.corrected_by
FROM (
    SELECT b.*, md5(b.customer_id || chr(31) || b.meter || chr(31) || b.dimensions::text)::uuid AS series_id
    FROM billing.billed_snapshots(ids) AS b
) AS s
CROSS JOIN LATERAL (
    SELECT u.event_id, u.quantity, u.occurred_at, u.received_at, x.corrects_event_id, (
        SELECT c.event_id FROM billing.usage_corrections AS c JOIN billing.usage_events AS ce USING (event_id)
        WHERE c.corrects_event_id = u.event_id AND ce.received_at <= s.as_of
    ) AS corrected_by
    FROM billing.usage_events AS u LEFT JOIN billing.usage_corrections AS x USING (event_id)
    WHERE u.series_id = s.series_id AND u.occurred_at >= s.period_start AND u.occurred_at < s.period_end
        AND u.received_at <= s.as_of
    UNION ALL
    (
        SELECT u.event_id, u.quantity, u.occurred_at, u.received_at, x.corrects_event_id, NULL
        FROM billing.usage_events AS u LEFT JOIN billing.usage_corrections AS x USING (event_id)
        WHERE s.aggregation IN ('last', 'max', 'time_weighted')
            AND u.series_id = s.series_id AND u.occurred_at < s.period_start AND u.received_at <= s.as_of
            AND coalesce((
                SELECT (SELECT ce.received_at FROM billing.usage_events AS ce WHERE ce.event_id = c.event_id)
                FROM billing.usage_corrections AS c
                WHERE c.corrects_event_id = u.event_id
            ) > s.as_of, TRUE)
        ORDER BY u.occurred_at DESC, u.received_at DESC, u.event_id DESC
        LIMIT 1
    )
) AS e;
$$;
COMMENT ON FUNCTION billing.billed_events IS 'One row an event behind a billed snapshot: those of the period known at its cut-off, corrected ones too, and the level in force before the period';

CREATE FUNCTION billing.contents_of(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, invoice_sha256 bytea, lines_sha256 bytea, prices_sha256 bytea, snapshots_sha256 bytea,
    events_sha256 bytea, intent_sha256 bytea
)
LANGUAGE sql STABLE SET timezone TO 'UTC' AS $$
WITH line_texts AS (
    SELECT l.invoice_id, string_agg(jsonb_build_array(
        l.line_no, l.period_id, l.customer_id, l.billing_month, l.meter, l.dimensions, l.kind, l.description,
        l.usage_quantity, l.included_quantity, l.quantity, l.unit_amount, l.exact_amount, l.currency, l.amount_minor,
        l.price_id, l.price_version, l.basis, l.snapshot_version, l.code_version, l.run_id
    )::text, chr(10) ORDER BY l.line_no) AS content
    FROM billing.invoice_line_items AS l WHERE l.invoice_id = ANY(ids) GROUP BY l.invoice_id
),
price_texts AS (
    SELECT u.invoice_id, string_agg(jsonb_build_array(
        p.price_id, p.book, p.currency, p.version_id, p.effective_from, p.customer_id, p.meter, p.dimensions, p.model,
        p.tier_no, p.tier_from, p.tier_up_to, p.unit_amount, p.package_size, p.included, p.minimum, p.description,
        p.position
    )::text, chr(10) ORDER BY p.price_id) AS content
    FROM (
        SELECT DISTINCT l.invoice_id, l.price_id FROM billing.invoice_line_items AS l WHERE l.invoice_id = ANY(ids)
    ) AS u JOIN billing.prices AS p USING (price_id)
    GROUP BY u.invoice_id
),
snapshot_texts AS (
    SELECT s.invoice_id, string_agg(jsonb_build_array(
        s.meter, s.dimensions, s.snapshot_version, s.customer_id, s.quantity, s.event_count, s.as_of, s.basis,
        s.aggregation, s.run_id
    )::text, chr(10) ORDER BY s.meter COLLATE "C", s.dimensions) AS content
    FROM billing.billed_snapshots(ids) AS s GROUP BY s.invoice_id
),
event_texts AS (
    SELECT e.invoice_id, string_agg(jsonb_build_array(
        e.meter, e.dimensions, e.event_id, e.quantity, e.occurred_at, e.received_at, e.corrects_event_id, e.corrected_by
    )::text, chr(10) ORDER BY e.meter COLLATE "C", e.dimensions, e.event_id COLLATE "C") AS content
    FROM billing.billed_events(ids) AS e GROUP BY e.invoice_id
)
SELECT i.invoice_id,
    sha256(convert_to(jsonb_build_array(
        i.customer_id, i.period_id, i.billing_month, i.revision, i.currency, i.total_minor, i.line_count,
        i.invoice_number, i.finalised_at, i.run_id, p.period_start, p.period_end, p.start_date, p.end_date, p.timezone
    )::text, 'UTF8')),
    sha256(convert_to(coalesce(line_texts.content, ''), 'UTF8')),
    sha256(convert_to(coalesce(price_texts.content, ''), 'UTF8')),
    sha256(convert_to(coalesce(snapshot_texts.content, ''), 'UTF8')),
    sha256(convert_to(coalesce(event_texts.content, ''), 'UTF8')),
    sha256(convert_to(jsonb_build_array(
        c.billing_month, c.customer_id, c.amount_minor, c.currency, c.created_at, c.run_id
    )::text, 'UTF8') || c.request_body)
FROM billing.invoices AS i
JOIN billing.billing_periods AS p USING (period_id)
JOIN billing.stripe_charges AS c ON c.invoice_id = i.invoice_id
LEFT JOIN line_texts ON line_texts.invoice_id = i.invoice_id
LEFT JOIN price_texts ON price_texts.invoice_id = i.invoice_id
LEFT JOIN snapshot_texts ON snapshot_texts.invoice_id = i.invoice_id
LEFT JOIN event_texts ON event_texts.invoice_id = i.invoice_id
WHERE i.invoice_id = ANY(ids);
$$;
COMMENT ON FUNCTION billing.contents_of IS 'Digests of all that finalised invoices were made of, as it is stored now. Columns are listed, so that a column added later leaves them as they are';

CREATE TABLE billing.invoice_seals (
    invoice_id uuid PRIMARY KEY REFERENCES billing.invoices (invoice_id),
    invoice_sha256 bytea NOT NULL,
    lines_sha256 bytea NOT NULL,
    prices_sha256 bytea NOT NULL,
    snapshots_sha256 bytea NOT NULL,
    events_sha256 bytea NOT NULL,
    intent_sha256 bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE billing.invoice_seals IS 'One row a finalised invoice: digests of all that it was made of, taken when its charge intent was written; `billing explain` compares';
COMMENT ON COLUMN billing.invoice_seals.invoice_id IS 'The invoice';
COMMENT ON COLUMN billing.invoice_seals.invoice_sha256 IS 'Of the invoice, without its status, and its period';
COMMENT ON COLUMN billing.invoice_seals.lines_sha256 IS 'Of its lines';
COMMENT ON COLUMN billing.invoice_seals.prices_sha256 IS 'Of the price rows that its lines name';
COMMENT ON COLUMN billing.invoice_seals.snapshots_sha256 IS 'Of the snapshots that it was billed from';
COMMENT ON COLUMN billing.invoice_seals.events_sha256 IS 'Of the events and corrections behind these snapshots';
COMMENT ON COLUMN billing.invoice_seals.intent_sha256 IS 'Of the intent to charge it and the request body';
COMMENT ON COLUMN billing.invoice_seals.sealed_at IS 'When it was sealed';
INSERT INTO billing.invoice_seals
(
    invoice_id, invoice_sha256, lines_sha256, prices_sha256, snapshots_sha256, events_sha256, intent_sha256
)
SELECT s.*
FROM billing.contents_of((SELECT array_agg(i.invoice_id) FROM billing.invoices AS i WHERE i.status <> 'draft')) AS s;

CREATE FUNCTION billing.seal_invoices() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.invoice_seals
    (invoice_id, invoice_sha256, lines_sha256, prices_sha256, snapshots_sha256, events_sha256, intent_sha256)
    SELECT * FROM billing.contents_of(ARRAY(SELECT n.invoice_id FROM new_rows AS n))
    -- an intent that was lost and is written anew is held against the seal that was taken first
    ON CONFLICT (invoice_id) DO NOTHING;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION billing.seal_invoices IS 'Trigger: no intent without the seal of its invoice';
CREATE TRIGGER stripe_charges_sealed AFTER INSERT ON billing.stripe_charges
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.seal_invoices();
CREATE TRIGGER invoice_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.invoice_seals
FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change('a seal is never renewed');
