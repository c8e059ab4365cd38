-- What an invoice was made of, digested when its charge intent is written, whoever writes it. A row of it that is changed
-- later, by somebody who can switch triggers off, no longer fits.

CREATE OR REPLACE FUNCTION billing.contents_of(ids uuid[])
RETURNS TABLE (
    invoice_id uuid, invoice_sha256 bytea, lines_sha256 bytea, prices_sha256 bytea, snapshots_sha256 bytea,
    events_sha256 bytea, intent_sha256 bytea
)
LANGUAGE sql STABLE SET timezone TO 'UTC' AS $$
WITH line_texts AS (
    SELECT l.invoice_id, string_agg(jsonb_build_array(
        l.line_no, l.period_id, l.customer_id, l.billing_month, l.meter, l.dimensions, l.kind, l.description,
        l.usage_quantity, l.included_quantity, l.quantity, l.unit_amount, l.exact_amount, l.currency, l.amount_minor,
        l.price_id, l.price_version, l.basis, l.snapshot_version, l.code_version, l.run_id, l.billed_days, l.full_days
    )::text || coalesce(l.term_id::text, ''), chr(10) ORDER BY l.line_no) AS content
    FROM billing.invoice_line_items AS l WHERE l.invoice_id = ANY(ids) GROUP BY l.invoice_id
),
adjustment_texts AS (
    SELECT a.invoice_id, string_agg(jsonb_build_array(
        a.line_no, a.adjustment_id, a.customer_id, a.period_id, a.billing_month, a.currency, a.description, a.amount_minor
    )::text, chr(10) ORDER BY a.line_no) AS content
    FROM billing.invoice_adjustments AS a WHERE a.invoice_id = ANY(ids) GROUP BY a.invoice_id
),
draw_texts AS (
    SELECT e.invoice_id, string_agg(jsonb_build_array(
        e.entry_id, e.line_no, e.grant_id, e.customer_id, e.currency, e.amount_minor, g.description
    )::text, chr(10) ORDER BY e.line_no) AS content
    FROM billing.credit_entries AS e JOIN billing.credit_grants AS g USING (grant_id)
    WHERE e.invoice_id = ANY(ids) AND e.kind = 'draw' GROUP BY e.invoice_id
),
price_texts AS (
    SELECT u.invoice_id, string_agg(jsonb_build_array(
        p.price_id, p.book, p.currency, p.version_id, p.effective_from, p.customer_id, p.meter, p.dimensions, p.model,
        p.tier_no, p.tier_from, p.tier_up_to, p.unit_amount, p.package_size, p.included, p.minimum, p.description,
        p.position, p.prorate, p.plan, p.lines, p.scope, p.pool, p.maximum, p.flat_amount
    )::text, chr(10) ORDER BY p.price_id) AS content
    FROM (
        SELECT DISTINCT l.invoice_id, l.price_id FROM billing.invoice_line_items AS l WHERE l.invoice_id = ANY(ids)
    ) AS u JOIN billing.prices AS p USING (price_id)
    GROUP BY u.invoice_id
),
term_texts AS (
    SELECT u.invoice_id, string_agg(jsonb_build_array(
        t.term_id, t.kind, t.name, t.currency, t.version_id, t.effective_from, t.customer_id, t.plan, t.meters, t.amount,
        t.percent, t.prorate, t.description, t.position
    )::text, chr(10) ORDER BY t.term_id) AS content
    FROM (
        SELECT DISTINCT l.invoice_id, l.term_id FROM billing.invoice_line_items AS l WHERE l.invoice_id = ANY(ids)
    ) AS u JOIN billing.terms AS t USING (term_id)
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
        e.meter, e.dimensions, e.event_id, e.quantity, e.occurred_at, e.received_at, e.corrects_event_id, e.corrected_by,
        e.value
    )::text, chr(10) ORDER BY e.meter COLLATE "C", e.dimensions, e.event_id COLLATE "C") AS content
    FROM billing.billed_events(ids) AS e GROUP BY e.invoice_id
)
SELECT i.invoice_id,
    sha256(convert_to(jsonb_build_array(
        i.customer_id, i.period_id, i.billing_month, i.revision, i.currency, i.total_minor, i.line_count,
        i.invoice_number, i.finalised_at, i.run_id, p.period_start, p.period_end, p.start_date, p.end_date, p.timezone,
        p.plan, p.full_days, p.in_trial
    )::text, 'UTF8')),
    sha256(convert_to(concat(line_texts.content, adjustment_texts.content, draw_texts.content), 'UTF8')),
    sha256(convert_to(concat(price_texts.content, term_texts.content), 'UTF8')),
    sha256(convert_to(coalesce(snapshot_texts.content, ''), 'UTF8')),
    sha256(convert_to(coalesce(event_texts.content, ''), 'UTF8')),
    sha256(convert_to(jsonb_build_array(
        c.billing_month, c.customer_id, c.amount_minor, c.currency, c.created_at, c.run_id
    )::text, 'UTF8') || c.request_body)
FROM billing.invoices AS i
JOIN billing.billing_periods AS p USING (period_id)
JOIN billing.stripe_charges AS c ON c.invoice_id = i.invoice_id
LEFT JOIN line_texts ON line_texts.invoice_id = i.invoice_id
LEFT JOIN adjustment_texts ON adjustment_texts.invoice_id = i.invoice_id
LEFT JOIN draw_texts ON draw_texts.invoice_id = i.invoice_id
LEFT JOIN price_texts ON price_texts.invoice_id = i.invoice_id
LEFT JOIN term_texts ON term_texts.invoice_id = i.invoice_id
LEFT JOIN snapshot_texts ON snapshot_texts.invoice_id = i.invoice_id
LEFT JOIN event_texts ON event_texts.invoice_id = i.invoice_id
WHERE i.invoice_id = ANY(ids);
$$;
COMMENT ON FUNCTION billing.contents_of IS 'Digests of all that finalised invoices were made of, as it is stored now; the lines'' with the adjustments and draws of credits, the prices'' with the terms. Columns are listed, so that a column added later leaves them as they are';

CREATE OR REPLACE FUNCTION billing.seal_invoices() RETURNS trigger
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

CREATE OR REPLACE FUNCTION billing.broken_seals(ids uuid[]) RETURNS TABLE (invoice_id uuid, parts text[])
LANGUAGE sql STABLE AS $$
SELECT i.invoice_id, array_remove(ARRAY[
    CASE WHEN k.invoice_id IS NULL THEN 'seal' END,
    CASE WHEN k.invoice_sha256 <> n.invoice_sha256 THEN 'invoice or period' END,
    CASE WHEN k.lines_sha256 <> n.lines_sha256 THEN 'lines' END,
    CASE WHEN k.prices_sha256 <> n.prices_sha256 THEN 'prices' END,
    CASE WHEN k.snapshots_sha256 <> n.snapshots_sha256 THEN 'snapshots' END,
    CASE WHEN k.events_sha256 <> n.events_sha256 THEN 'events' END,
    CASE WHEN k.intent_sha256 <> n.intent_sha256 THEN 'intent' END,
    CASE WHEN n.invoice_id IS NULL THEN 'period or intent' END
], NULL)
FROM unnest(ids) AS i (invoice_id)
LEFT JOIN billing.invoice_seals AS k ON i.invoice_id = k.invoice_id
LEFT JOIN billing.contents_of(ids) AS n ON i.invoice_id = n.invoice_id
$$;
COMMENT ON FUNCTION billing.broken_seals IS 'For each of these finalised invoices, which parts of it no longer fit its seal; an empty list: all fit';
