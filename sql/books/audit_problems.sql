-- Grain: one row a reason why the audit chain, or what keeps it, is not as it was made; empty when it is.
SELECT 'audit chain: entry ' || c.seal_no AS place, c.problem
FROM billing.broken_chain() AS c
UNION ALL
SELECT 'month ' || to_char(b.billing_month, 'YYYY-MM'), 'the seal that it was closed with is not in the audit chain'
FROM billing.month_books AS b
WHERE b.closed_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM billing.audit_entries AS e WHERE e.seal_no = b.audit_seal_no AND e.seal = b.audit_seal
    )
UNION ALL
SELECT 'trigger ' || t.tgname || ' of ' || t.tgrelid::regclass, 'is switched off'
FROM pg_catalog.pg_trigger AS t
INNER JOIN pg_catalog.pg_class AS c ON t.tgrelid = c.oid
WHERE c.relnamespace = 'billing'::regnamespace AND t.tgenabled <> 'O'
UNION ALL
SELECT 'billing.' || a.table_name, 'has no trigger that writes its changes into the audit chain'
FROM billing.audited_tables() AS a
WHERE (
    SELECT count(*) FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = format('billing.%I', a.table_name)::regclass AND t.tgname IN ('note_insert', 'note_update', 'note_delete')
) < 3
UNION ALL
SELECT 'line ' || l.line_no || ' of ' || l.invoice_id, 'is of no invoice, and its period has a final one'
FROM billing.invoice_line_items AS l
WHERE NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = l.invoice_id) AND EXISTS (
        SELECT FROM billing.invoices AS i
        WHERE i.period_id = l.period_id AND i.supplement_no = 0 AND billing.is_final(i.status)
    )
UNION ALL
SELECT 'snapshot of ' || s.customer_id || ' ' || s.meter, 'is not its period''s'
FROM billing.usage_snapshots AS s
WHERE NOT EXISTS (
        SELECT FROM billing.billing_periods AS p
        WHERE p.period_id = s.period_id AND p.customer_id = s.customer_id AND p.billing_month = s.billing_month
            AND p.currency = s.currency
    )
UNION ALL
SELECT 'usage of import ' || i.import_id, 'its events are missing'
FROM billing.usage_imports AS i
WHERE i.new_event_count > 0 AND NOT EXISTS (SELECT FROM billing.usage_events AS e WHERE e.received_at = i.received_at)
UNION ALL
SELECT
    'figures of ' || to_char(f.billing_month, 'YYYY-MM') || ', ' || concat_ws(' ', f.subject, f.state, f.reason_code),
    'are not what is counted'
FROM (
    SELECT billing_month, subject, state, reason_code, currency, row_count, total FROM billing.month_figures
    UNION ALL
    SELECT billing_month, subject, state, reason_code, currency, -row_count, -total FROM billing.counted_months()
) AS f
GROUP BY f.billing_month, f.subject, f.state, f.reason_code, f.currency
HAVING sum(f.row_count) <> 0 OR sum(f.total) <> 0
UNION ALL
SELECT 'usage series ' || coalesce(s.series_id, e.series_id), 'is not what usage_events gives'
FROM billing.usage_series AS s
FULL JOIN (
    SELECT
        u.series_id,
        min(u.customer_id) AS customer_id,
        min(u.meter) AS meter,
        min(u.dimensions::text) AS dimensions,
        min(u.occurred_at) AS first_occurred_at
    FROM billing.usage_events AS u GROUP BY u.series_id
) AS e ON s.series_id = e.series_id
WHERE (s.customer_id, s.meter, s.dimensions::text, s.first_occurred_at)
    IS DISTINCT FROM (e.customer_id, e.meter, e.dimensions, e.first_occurred_at)
UNION ALL
SELECT 'usage series ' || s.series_id, 'names other dimensions than it has'
FROM billing.usage_series AS s
LEFT JOIN LATERAL jsonb_object_keys(s.dimensions) AS k (name) ON TRUE
GROUP BY s.series_id
HAVING s.dimension_names IS DISTINCT FROM coalesce(
        array_agg(k.name ORDER BY k.name COLLATE "C") FILTER (WHERE k.name IS NOT NULL), '{}'
    )
UNION ALL
SELECT 'usage series ' || l.series_id || ', ' || to_char(l.month, 'YYYY-MM'), 'its level is not what usage_events gives'
FROM billing.usage_delta_levels AS l
WHERE l.level <> billing.delta_level(l.series_id, (l.month + interval '1 month') AT TIME ZONE 'UTC', 'infinity')
ORDER BY place, problem
