-- Grain: one row a step, a change of standing or a promise of :customer_id, in order of time.
SELECT
    h.at,
    h.what,
    i.number AS invoice,
    h.detail
FROM (
    SELECT
        d.opened_at AS at,
        'case opened' AS what,
        d.invoice_id,
        'counted from ' || to_char(d.begins_at, 'YYYY-MM-DD') AS detail
    FROM billing.dunning_cases AS d WHERE d.customer_id = :customer_id
    UNION ALL
    SELECT
        t.done_at,
        coalesce(nullif(t.kind, ''), t.action),
        t.invoice_id,
        'day ' || t.day || ' of course ' || t.course || ' of policy ' || t.policy
    FROM billing.dunning_steps AS t
    INNER JOIN billing.dunning_cases AS d ON t.invoice_id = d.invoice_id
    WHERE d.customer_id = :customer_id
    UNION ALL
    SELECT
        s.changed_at,
        s.state,
        s.invoice_id,
        'was ' || s.state_before
    FROM billing.standing_history AS s WHERE s.customer_id = :customer_id
    UNION ALL
    SELECT
        p.promised_at,
        'promise',
        NULL,
        'until ' || to_char(p.until, 'YYYY-MM-DD HH24:MI') || ' UTC, ' || p.author || ': ' || p.reason
    FROM billing.dunning_promises AS p WHERE p.customer_id = :customer_id
    UNION ALL
    SELECT
        d.closed_at,
        'case closed',
        d.invoice_id,
        d.outcome
    FROM billing.dunning_cases AS d WHERE d.customer_id = :customer_id AND d.closed_at IS NOT NULL
) AS h
LEFT JOIN billing.invoices AS i ON h.invoice_id = i.invoice_id
ORDER BY h.at
