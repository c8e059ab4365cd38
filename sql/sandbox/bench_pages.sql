-- Rows of the benches of pages and API, for current_setting('bench.customers') customers that are there: October 2026
-- final and charged, November as drafts, and current_setting('bench.events') events a customer over both, of five
-- meters. Past the triggers, which would take hours (bench/filling.py). What they would have written beside the rows is
-- written here, but for notices, seals, and the audit chain's entries of anything but customers and contracts.
SET LOCAL timezone = 'UTC';
SET LOCAL bytea_output = 'hex';

INSERT INTO billing.audit_entries (table_name, row_key, row_sha256)
WITH customers AS MATERIALIZED (SELECT to_jsonb(r) AS content FROM billing.customers AS r),

terms AS MATERIALIZED (SELECT to_jsonb(r) AS content FROM billing.contract_terms AS r)

SELECT 'customers', c.content ->> 'customer_id', billing.row_digest(c.content) FROM customers AS c
UNION ALL
SELECT 'contract_terms', t.content ->> 'term_id', billing.row_digest(t.content) FROM terms AS t;

INSERT INTO billing.usage_imports (source, received_at, row_count, new_event_count, complete_through)
VALUES ('bench', '2026-12-01Z', 0, 0, '2026-12-02Z');

INSERT INTO billing.usage_events (event_id, customer_id, meter, dimensions, quantity, occurred_at, received_at)
SELECT
    'e' || n || '-' || k,
    'c' || lpad(n::text, 8, '0'),
    (ARRAY['users', 'api_calls', 'egress_gb', 'backup_gb', 'sessions'])[1 + k % 5],
    '{}',
    k + n % 50,
    '2026-10-05Z'::timestamptz + k * interval '45 days' / current_setting('bench.events')::integer
    + n % 1000 * interval '1 minute',
    '2026-10-05Z'::timestamptz + k * interval '45 days' / current_setting('bench.events')::integer
    + n % 1000 * interval '1 minute'
FROM generate_series(1, current_setting('bench.customers')::integer) AS n,
    generate_series(1, current_setting('bench.events')::integer) AS k;

INSERT INTO billing.usage_series (series_id, customer_id, meter, dimensions, dimension_names, first_occurred_at)
SELECT e.series_id, e.customer_id, e.meter, e.dimensions, '{}', min(e.occurred_at)
FROM billing.usage_events AS e
GROUP BY e.series_id, e.customer_id, e.meter, e.dimensions;

INSERT INTO billing.billing_periods (
    customer_id, billing_month, currency, period_start, period_end, start_date, end_date, timezone, previous_end
)
SELECT
    c.customer_id,
    m.month,
    c.currency,
    m.month::timestamp AT TIME ZONE c.timezone,
    (m.month + interval '1 month')::timestamp AT TIME ZONE c.timezone,
    m.month,
    (m.month + interval '1 month')::date,
    c.timezone,
    CASE WHEN m.month = '2026-11-01' THEN m.month::timestamp AT TIME ZONE c.timezone END
FROM billing.customers AS c, (VALUES ('2026-10-01'::date), ('2026-11-01'::date)) AS m (month);

INSERT INTO billing.usage_snapshots (
    period_id, meter, dimensions, customer_id, billing_month, currency, quantity, event_count, as_of, basis, run_id,
    aggregation
)
SELECT
    p.period_id,
    'users',
    '{}',
    p.customer_id,
    p.billing_month,
    p.currency,
    20,
    3,
    '2026-12-01Z',
    'measured',
    'bench',
    'last'
FROM billing.billing_periods AS p;

INSERT INTO billing.invoices (
    invoice_id, customer_id, period_id, billing_month, currency, total_minor, line_count, run_id, status, invoice_number,
    finalised_at, finalised_by, finalised_through
)
SELECT
    md5('invoice' || p.period_id)::uuid,
    p.customer_id,
    p.period_id,
    p.billing_month,
    p.currency,
    3000 + right(p.customer_id, 6)::integer % 900 * 3,
    3,
    'bench',
    CASE WHEN f.is_draft THEN 'draft' WHEN right(p.customer_id, 2) = '07' THEN 'open' ELSE 'paid' END,
    CASE WHEN NOT f.is_draft THEN right(p.customer_id, 8)::bigint END,
    CASE WHEN NOT f.is_draft THEN '2026-11-02Z'::timestamptz END,
    CASE WHEN NOT f.is_draft THEN 'bench' END,
    CASE WHEN NOT f.is_draft THEN 'person' END
FROM billing.billing_periods AS p
CROSS JOIN LATERAL (SELECT p.billing_month = '2026-11-01' AS is_draft) AS f;

INSERT INTO billing.invoice_line_items (
    invoice_id, line_no, period_id, customer_id, billing_month, meter, dimensions, kind, description, usage_quantity,
    included_quantity, quantity, unit_amount, exact_amount, currency, amount_minor, price_id, price_version, basis, run_id
)
SELECT
    i.invoice_id,
    n,
    i.period_id,
    i.customer_id,
    i.billing_month,
    'users',
    '{}',
    'usage',
    'Additional users',
    1,
    0,
    1,
    i.total_minor / 3 * 0.01,
    i.total_minor / 3 * 0.01,
    i.currency,
    i.total_minor / 3,
    (SELECT min(p.price_id::text)::uuid FROM billing.prices AS p WHERE p.meter = 'users' AND p.currency = 'usd'),
    'bench',
    'measured',
    'bench'
FROM billing.invoices AS i, generate_series(1, 3) AS n;

INSERT INTO billing.stripe_charges (
    invoice_id, billing_month, customer_id, amount_minor, currency, request_body, state, reason_code, reason,
    stripe_customer_id, stripe_invoice_id, stripe_total_minor, stripe_currency, run_id
)
SELECT
    i.invoice_id,
    i.billing_month,
    i.customer_id,
    i.due_minor,
    i.currency,
    '{}'::bytea,
    CASE i.status WHEN 'paid' THEN 'paid' ELSE 'refused' END,
    CASE i.status WHEN 'open' THEN 'declined' END,
    CASE i.status WHEN 'open' THEN 'Your card was declined.' END,
    'cus_' || i.customer_id,
    'in_' || i.invoice_number,
    i.due_minor,
    i.currency,
    'bench'
FROM billing.invoices AS i
WHERE i.status <> 'draft';

INSERT INTO billing.draft_times (invoice_id, drafted_at)
SELECT i.invoice_id, '2026-12-01Z'
FROM billing.invoices AS i
WHERE i.status = 'draft';

INSERT INTO billing.dunning_cases (invoice_id, customer_id, track, begins_at)
SELECT c.invoice_id, c.customer_id, 'after_refusal', '2026-11-02Z'
FROM billing.stripe_charges AS c
WHERE c.state = 'refused';

INSERT INTO billing.automation_log (logged_at, actor, action, object_type, object_id, reason)
SELECT
    '2026-11-02Z'::timestamptz + i.invoice_number * interval '10 milliseconds' + k * interval '1 millisecond',
    'stripe-charger',
    (ARRAY['charge.begin', 'stripe.invoice.create', 'stripe.invoice.lines', 'stripe.invoice.finalize'])[k],
    'invoice',
    i.invoice_id::text,
    'bench'
FROM billing.invoices AS i, generate_series(1, 4) AS k
WHERE i.status <> 'draft';

INSERT INTO billing.stripe_events (
    event_id, type, object_id, created, received_at, source, body, key_id, body_sha256, content_sha256
)
SELECT
    'evt_' || i.invoice_number,
    'invoice.paid',
    'in_' || i.invoice_number,
    '2026-11-02Z',
    '2026-11-02Z'::timestamptz + i.invoice_number * interval '10 milliseconds',
    'webhook',
    '{}'::bytea,
    'bench',
    sha256('{}'::bytea),
    sha256('{}'::bytea)
FROM billing.invoices AS i
WHERE i.status = 'paid';

INSERT INTO billing.stripe_event_work (event_id, state, applied_at)
SELECT e.event_id, 'applied', e.received_at
FROM billing.stripe_events AS e;

INSERT INTO billing.asset_months (asset, billing_month, run_id)
SELECT a.asset, m.month, 'bench'
FROM (VALUES ('billing_periods'), ('usage_snapshots'), ('invoice_line_items'), ('invoices')) AS a (asset),
    (VALUES ('2026-10-01'::date), ('2026-11-01'::date)) AS m (month);

SELECT billing.count_months_again();
